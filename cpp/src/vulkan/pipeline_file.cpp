#include "pipeline_file.hpp"

#include <cstring>
#include <utility>

#include "cache_file.hpp"

namespace realesrgan::vulkan {

namespace {

// What every cache begins with (VkPipelineCacheHeaderVersionOne), but for its first word.
struct Header {
    std::uint32_t length = 0, version = 0, vendor = 0, device = 0;
    unsigned char uuid[VK_UUID_SIZE] = {};
};

bool made_by(const ncnn::GpuInfo& info, const Bytes& bytes) {
    Header header;
    if (bytes.size() < sizeof(header)) return false;
    std::memcpy(&header, bytes.data(), sizeof(header));
    return header.length >= sizeof(header) && header.length <= bytes.size() &&
           header.version == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           header.vendor == info.vendor_id() && header.device == info.device_id() &&
           std::memcmp(header.uuid, info.pipeline_cache_uuid(), VK_UUID_SIZE) == 0;
}

}  // namespace

PipelineFile::PipelineFile(const ncnn::VulkanDevice& device)
    : device_(&device), stored_(checksum(nullptr, 0)) {
    if (device.info.bug_corrupted_online_pipeline_cache()) return;
    // Sealed, and looked at besides, because a driver given damaged data may crash.
    Bytes bytes = read_sealed_file(path(device));
    stored_ = checksum(bytes.data(), bytes.size());
    if (!made_by(device.info, bytes)) bytes.clear();
    VkPipelineCacheCreateInfo info = {};
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
    info.initialDataSize = bytes.size();
    info.pInitialData = bytes.data();
    const VkResult made = ncnn::vkCreatePipelineCache(device.vkdevice(), &info, nullptr, &cache_);
    if (made != VK_SUCCESS) cache_ = 0;  // pipelines are built without one, too
}

std::string PipelineFile::path(const ncnn::VulkanDevice& device) {
    return cache_file_path(device.info, "pipelines");
}

void PipelineFile::save() {
    const std::string to = path(*device_);
    if (!cache_ || to.empty()) return;
    std::size_t size = 0;
    ncnn::vkGetPipelineCacheData(device_->vkdevice(), cache_, &size, nullptr);
    Bytes bytes(size);
    const VkResult read =
        ncnn::vkGetPipelineCacheData(device_->vkdevice(), cache_, &size, bytes.data());
    if (read != VK_SUCCESS) return;  // another thread made one meanwhile, and will save it
    bytes.resize(size);
    const std::uint64_t now = checksum(bytes.data(), bytes.size());
    if (now == std::exchange(stored_, now)) return;
    write_sealed_file(to, std::move(bytes));
}

void PipelineFile::let_go() noexcept {
    if (cache_) ncnn::vkDestroyPipelineCache(device_->vkdevice(), cache_, nullptr);
    cache_ = 0;
}

}  // namespace realesrgan::vulkan
