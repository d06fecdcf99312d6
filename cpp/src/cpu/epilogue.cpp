#include "cpu/epilogue.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/integers.hpp"

namespace realesrgan::cpu {

namespace {

// One group of one row: where everything is.
struct RowTask {
    const float* from = nullptr;
    float* to = nullptr;
    float* copy = nullptr;
    const float* slopes = nullptr;  // `group` of them
    std::array<const float*, kMaxSkips> skips{};
    std::array<float, kMaxSkips> value_scale{};
    std::array<float, kMaxSkips> skip_scale{};
    int width = 0;
};

template <int Group, bool Slopes, int Skips>
void store_row(const RowTask& task) {
    for (int x = 0; x < task.width; ++x) {
        for (int k = 0; k < Group; ++k) {
            const int i = x * Group + k;
            float value = task.from[i];
            if constexpr (Slopes) {
                value = std::max(value, 0.0F) + task.slopes[k] * std::min(value, 0.0F);
            }
            for (std::size_t s = 0; s < Skips; ++s) {
                value = value * task.value_scale[s] + task.skips[s][i] * task.skip_scale[s];
            }
            task.to[i] = value;
        }
    }
    if (task.copy != nullptr) {
        std::memcpy(task.copy, task.to,
                    static_cast<std::size_t>(task.width) * Group * sizeof(float));
    }
}

using StoreRow = void (*)(const RowTask&);

template <int Group, bool Slopes>
StoreRow store_with(std::size_t skips) {
    switch (skips) {
        case 0:
            return store_row<Group, Slopes, 0>;
        case 1:
            return store_row<Group, Slopes, 1>;
        default:
            return store_row<Group, Slopes, 2>;
    }
}

StoreRow store_for(int group, bool slopes, std::size_t skips) {
    switch (group) {
        case 16:
            return slopes ? store_with<16, true>(skips) : store_with<16, false>(skips);
        case 8:
            return slopes ? store_with<8, true>(skips) : store_with<8, false>(skips);
        case 4:
            return slopes ? store_with<4, true>(skips) : store_with<4, false>(skips);
        case 1:
            return slopes ? store_with<1, true>(skips) : store_with<1, false>(skips);
        default:
            return nullptr;
    }
}

// One sample at a time, for groups that differ and skips that are enlarged.
void store_slowly(const Op& op, const std::vector<float>& slopes, const BareRows& bare,
                  const Band& band, int channel, int y) {
    const int out_group = band.output->layout().group;
    const float* from = bare.data + channel / bare.group * bare.group_stride +
                        static_cast<std::ptrdiff_t>(y - band.first) * bare.width * bare.group +
                        channel % bare.group;
    const auto place = [&](const LineBuffer& buffer, const ChannelSlice& slice, int row) {
        const int group = buffer.layout().group;
        const int at = slice.channel + channel;
        return buffer.row(at / group * group, row) + at % group;
    };
    float* to = place(*band.output, op.output, y);
    float* copy = band.duplicate_output != nullptr
                      ? place(*band.duplicate_output, *op.duplicate_output, y)
                      : nullptr;
    const int copy_group =
        band.duplicate_output != nullptr ? band.duplicate_output->layout().group : 0;
    for (int x = 0; x < bare.width; ++x) {
        float value = from[x * bare.group];
        if (!slopes.empty()) {
            const float slope = slopes[idx(channel)];
            value = std::max(value, 0.0F) + slope * std::min(value, 0.0F);
        }
        for (std::size_t s = 0; s < op.skips.size(); ++s) {
            const Skip& skip = op.skips[s];
            const float* row = place(*band.skips[s], skip.from, y / skip.upsample);
            value = value * skip.value_scale +
                    row[x / skip.upsample * band.skips[s]->layout().group] * skip.skip_scale;
        }
        to[x * out_group] = value;
        if (copy != nullptr) copy[x * copy_group] = value;
    }
}

bool alike(const Op& op, const BareRows& bare, const Band& band) {
    const int group = bare.group;
    bool same =
        band.output->layout().group == group &&
        (band.duplicate_output == nullptr || band.duplicate_output->layout().group == group);
    for (std::size_t s = 0; s < op.skips.size(); ++s) {
        same = same && op.skips[s].upsample == 1 && band.skips[s]->layout().group == group;
    }
    return same && store_for(group, false, 0) != nullptr;
}

RowTask row_task(const Op& op, const std::vector<float>& slopes, const BareRows& bare,
                 const Band& band, int group, int y) {
    RowTask task;
    const int channel = group * bare.group;
    task.width = bare.width;
    task.from = bare.data + group * bare.group_stride +
                static_cast<std::ptrdiff_t>(y - band.first) * bare.width * bare.group;
    task.to = band.output->row(op.output.channel + channel, y);
    if (band.duplicate_output != nullptr)
        task.copy = band.duplicate_output->row(op.duplicate_output->channel + channel, y);
    if (!slopes.empty()) task.slopes = &slopes[idx(channel)];
    for (std::size_t s = 0; s < op.skips.size(); ++s) {
        task.skips[s] = band.skips[s]->row(op.skips[s].from.channel + channel, y);
        task.value_scale[s] = op.skips[s].value_scale;
        task.skip_scale[s] = op.skips[s].skip_scale;
    }
    return task;
}

}  // namespace

void store_band(const Op& op, const std::vector<float>& slopes, const BareRows& bare,
                const Band& band, [[maybe_unused]] int threads) {
    const int groups = (op.output.channels + bare.group - 1) / bare.group;
    if (!alike(op, bare, band)) {
        const int tasks = op.output.channels * band.count;
#pragma omp parallel for num_threads(threads)
        for (int i = 0; i < tasks; ++i) {
            store_slowly(op, slopes, bare, band, i / band.count, band.first + i % band.count);
        }
        return;
    }
    const StoreRow store = store_for(bare.group, !slopes.empty(), op.skips.size());
    const int tasks = groups * band.count;
#pragma omp parallel for num_threads(threads)
    for (int i = 0; i < tasks; ++i) {
        store(row_task(op, slopes, bare, band, i / band.count, band.first + i % band.count));
    }
}

}  // namespace realesrgan::cpu
