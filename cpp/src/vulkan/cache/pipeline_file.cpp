#include "vulkan/cache/pipeline_file.hpp"

#include <cstring>
#include <utility>

#include "vulkan/instance/instance.hpp"

namespace realesrgan::vulkan {

namespace {

// VkPipelineCacheHeaderVersionOne, at the start of every pipeline cache.
struct Header {
    std::uint32_t length = 0, version = 0, vendor = 0, device = 0;
    unsigned char uuid[VK_UUID_SIZE] = {};
};

}  // namespace

bool is_pipeline_cache_of(const ncnn::GpuInfo& info, const Bytes& bytes) {
    Header header;
    if (bytes.size() < sizeof(header)) return false;
    std::memcpy(&header, bytes.data(), sizeof(header));
    return header.length >= sizeof(header) && header.length <= bytes.size() &&
           header.version == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           header.vendor == info.vendor_id() && header.device == info.device_id() &&
           std::memcmp(header.uuid, info.pipeline_cache_uuid(), VK_UUID_SIZE) == 0;
}

PipelineFile::PipelineFile(const ncnn::VulkanDevice& device)
    : device_(&device), stored_(checksum(nullptr, 0)) {
    if (device.info.bug_corrupted_online_pipeline_cache()) return;
    // Authenticated, and the header is checked as well, because a driver may crash on foreign data.
    const Bytes bytes = read_sealed_file(path(device));
    stored_ = checksum(bytes.data(), bytes.size());
    if (is_pipeline_cache_of(device.info, bytes)) make(bytes);
    if (!cache_) make({});
}

void PipelineFile::make(const Bytes& bytes) {
    VkPipelineCacheCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
    info.initialDataSize = bytes.size();
    info.pInitialData = bytes.data();
    const VkResult made = ncnn::vkCreatePipelineCache(device_->vkdevice(), &info, nullptr, &cache_);
    if (made != VK_SUCCESS) cache_ = 0;
}

std::string PipelineFile::path(const ncnn::VulkanDevice& device) {
    return cache_file_path(device.info, "pipelines");
}

void PipelineFile::save() {
    const std::string to = path(*device_);
    if (!cache_ || to.empty()) return;
    std::size_t size = 0;
    const auto get = [&](void* data) {
        return ncnn::vkGetPipelineCacheData(device_->vkdevice(), cache_, &size, data);
    };
    if (get(nullptr) != VK_SUCCESS) return;
    Bytes bytes(size);
    // VK_INCOMPLETE: another thread has added a pipeline meanwhile and will save it.
    if (get(bytes.data()) != VK_SUCCESS) return;
    bytes.resize(size);
    if (!is_pipeline_cache_of(device_->info, bytes)) return;
    const std::uint64_t now = checksum(bytes.data(), bytes.size());
    if (now == std::exchange(stored_, now)) return;
    write_sealed_file(to, std::move(bytes));
}

void PipelineFile::release() noexcept {
    if (cache_ && !gpu_of_parent())
        ncnn::vkDestroyPipelineCache(device_->vkdevice(), cache_, nullptr);
    cache_ = 0;
}

}  // namespace realesrgan::vulkan
