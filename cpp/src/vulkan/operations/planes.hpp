#pragma once

#include "plan/plane_window.hpp"
#include "vulkan/device/command_buffer.hpp"
#include "vulkan/device/pipeline_registry.hpp"
#include "vulkan/operations/ring_buffer.hpp"

namespace realesrgan::vulkan {

// Constants 0 to 8 of load.glsl, the first of each shader that loads a picture.
Constants transform_constants(const std::vector<InputTransform>& transform);

// Turns planes of YUV into rows of the input ring.
class PlaneLoader {
  public:
    PlaneLoader(Context& context, Storage storage, const PlaneShape& shape, const Program& program,
                const RingBuffer& ring);

    Pipeline& pipeline() const { return *pipeline_; }

    // `samples`: window_to_load() of the picture rows that these rows of the ring hold.
    void record(CommandBuffer& commands, const Buffer& samples, RowRange rows) const;

  private:
    Context& context_;
    Storage storage_;
    PlaneShape shape_;
    int unshuffle_;
    RingBuffer ring_;
    Pipeline* pipeline_;
};

// Turns rows of the result's ring, of which `channel` is the first, into planes of YUV.
class PlaneWriter {
  public:
    PlaneWriter(Context& context, Storage storage, const PlaneShape& shape, int channel,
                const RingBuffer& ring);

    Pipeline& pipeline() const { return *pipeline_; }

    // `result` gets four words, the first of which counts the values that are not finite, and
    // window_to_store() of the rows.
    void record(CommandBuffer& commands, const Buffer& result, RowRange rows) const;

  private:
    Context& context_;
    Storage storage_;
    PlaneShape shape_;
    RingBuffer ring_;
    Pipeline* pipeline_;
};

}  // namespace realesrgan::vulkan
