#include "vulkan/cache/spirv_file.hpp"

#include <platform.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "vulkan/cache/cache_file.hpp"

namespace realesrgan::vulkan {

namespace {

constexpr std::string_view kVersion =
    "format 1, realesrgan-vk " REALESRGAN_VK_VERSION ", ncnn " NCNN_VERSION_STRING "\n";

// Of one entry; its words follow.
struct Head {
    std::uint64_t key = 0;
    std::uint64_t words = 0;
};

void append(Bytes& bytes, const void* data, std::size_t size) {
    const auto* from = static_cast<const unsigned char*>(data);
    bytes.insert(bytes.end(), from, from + size);
}

}  // namespace

std::string spirv_file_path(const ncnn::VulkanDevice& device) {
    return cache_file_path(device.info, "spirv");
}

SpirvByKey read_spirv_file(const ncnn::VulkanDevice& device) {
    const Bytes bytes = read_sealed_file(spirv_file_path(device));
    std::size_t at = kVersion.size();
    if (bytes.size() < at || std::memcmp(bytes.data(), kVersion.data(), at) != 0) return {};
    SpirvByKey codes;
    while (bytes.size() - at >= sizeof(Head)) {
        Head head;
        std::memcpy(&head, bytes.data() + at, sizeof(head));
        at += sizeof(head);
        if (head.words > (bytes.size() - at) / sizeof(std::uint32_t)) return {};
        SpirvCode& code = codes[head.key];
        code.resize(head.words);
        const std::size_t size = code.size() * sizeof(code[0]);
        std::memcpy(code.data(), bytes.data() + at, size);
        at += size;
    }
    return codes;
}

void write_spirv_file(const ncnn::VulkanDevice& device, const SpirvByKey& codes) {
    const std::string path = spirv_file_path(device);
    if (path.empty()) return;
    Bytes bytes;
    append(bytes, kVersion.data(), kVersion.size());
    for (const auto& [key, code] : codes) {
        const Head head{key, code.size()};
        append(bytes, &head, sizeof(head));
        append(bytes, code.data(), code.size() * sizeof(code[0]));
    }
    write_sealed_file(path, std::move(bytes));
}

}  // namespace realesrgan::vulkan
