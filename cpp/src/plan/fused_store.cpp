#include "plan/fused_store.hpp"

#include "base/integers.hpp"
#include "plan/ring_aliasing.hpp"

namespace realesrgan {

bool can_fuse_store(const Program& program, const SessionFormat& format) {
    if (program.ops.empty() || format.output_planes) return false;
    const Op& last = program.ops.back();
    const ChannelSlice& result = program.output;
    const bool kind = last.kind == OpKind::convolution || last.kind == OpKind::pixel_shuffle;
    if (!kind || last.duplicate_output || last.output.tensor != result.tensor ||
        last.output.channel != result.channel || last.output.channels != result.channels ||
        result.channels > kMostStoredChannels) {
        return false;
    }
    const TensorUse use = tensor_uses(program)[idx(result.tensor)];
    return ssize(use.written) == 1 && use.readers.empty() && use.skip_readers.empty();
}

}  // namespace realesrgan
