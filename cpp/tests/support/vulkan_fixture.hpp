#pragma once

#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "base/half.hpp"
#include "plan/plan.hpp"
#include "program/reference.hpp"
#include "support/check.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/context.hpp"
#include "vulkan/instance/instance.hpp"
#include "vulkan/operations/ring_buffer.hpp"

// Rings filled and read from the host, for tests of single operations.
namespace fixture {

namespace vk = realesrgan::vulkan;
using realesrgan::FeatureMap;

inline std::shared_ptr<vk::Context> context() {
    if (realesrgan::gpu_count() == 0) throw check::Skip("no Vulkan device on this machine");
    return vk::Context::open(0);
}

inline float stored(float value, vk::Storage storage) {
    return storage == vk::Storage::fp16
               ? realesrgan::half_to_float(realesrgan::float_to_half(value))
               : value;
}

inline FeatureMap random_map(int width, int height, int channels, vk::Storage storage,
                             unsigned seed) {
    FeatureMap map(width, height, channels);
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    for (double& value : map.values) value = stored(uniform(random), storage);
    return map;
}

// A ring on the device with its own buffer; rows that were not put there are NaN.
class TestRing {
  public:
    TestRing(const std::shared_ptr<vk::Context>& context, vk::Storage storage, int width,
             int height, int channels, int rows)
        : context_(context), storage_(storage) {
        ring_ = {nullptr, width, height, channels, rows};
        buffer_ = std::make_unique<vk::Buffer>(context, vk::BufferKind::device,
                                               vk::ring_bytes(ring_, storage));
        ring_.buffer = buffer_.get();
        host_.assign(static_cast<std::size_t>(width * channels * rows),
                     std::numeric_limits<float>::quiet_NaN());
    }

    const vk::RingBuffer& ring() const { return ring_; }
    std::size_t index(int x, int y, int c) const {
        const int slot = ring_.slot(y);
        return static_cast<std::size_t>(
            ((slot * (ring_.channels / 16) + c / 16) * ring_.width + x) * 16 + c % 16);
    }
    float value(int x, int y, int c) const { return host_[index(x, y, c)]; }
    const std::vector<float>& values() const { return host_; }

    void clear(const std::vector<float>& values) { host_ = values; }
    void put(const FeatureMap& map, realesrgan::RowRange rows) {
        for (int y = static_cast<int>(rows.first); y < rows.end(); y++) {
            for (int x = 0; x < ring_.width; x++) {
                for (int c = 0; c < map.channels; c++)
                    host_[index(x, y, c)] = static_cast<float>(map.pixel(x, y)[c]);
            }
        }
    }
    void upload() {
        const vk::Buffer staging(context_, vk::BufferKind::upload, buffer_->bytes());
        for (std::size_t i = 0; i < host_.size(); i++) {
            const std::uint16_t half = realesrgan::float_to_half(host_[i]);
            if (storage_ == vk::Storage::fp16) std::memcpy(staging.data() + i * 2, &half, 2);
            if (storage_ == vk::Storage::fp32) std::memcpy(staging.data() + i * 4, &host_[i], 4);
        }
        staging.flush();
        transfer(staging, *buffer_);
    }
    void download() {
        const vk::Buffer staging(context_, vk::BufferKind::download, buffer_->bytes());
        transfer(*buffer_, staging);
        staging.invalidate();
        for (std::size_t i = 0; i < host_.size(); i++) {
            std::uint16_t half = 0;
            std::memcpy(&half, staging.data() + i * 2, 2);
            if (storage_ == vk::Storage::fp16) host_[i] = realesrgan::half_to_float(half);
            if (storage_ == vk::Storage::fp32) std::memcpy(&host_[i], staging.data() + i * 4, 4);
        }
    }

  private:
    void transfer(const vk::Buffer& from, const vk::Buffer& to) {
        vk::CommandBuffer commands(context_);
        commands.begin();
        commands.copy(from, to, {{0, 0, buffer_->bytes()}});
        commands.submit(vk::QueueLease(*context_));
        commands.wait();
    }

    std::shared_ptr<vk::Context> context_;
    vk::Storage storage_;
    vk::RingBuffer ring_;
    std::unique_ptr<vk::Buffer> buffer_;
    std::vector<float> host_;
};

}  // namespace fixture
