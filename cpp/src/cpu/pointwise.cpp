#include "cpu/pointwise.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <vector>

#include "base/integers.hpp"
#include "base/thread_pool.hpp"
#include "program/resize_taps.hpp"

namespace realesrgan::cpu {

namespace {

void add_skips(const Op& op, const RowBand& band, int channel, int y, float* to) {
    const int width = band.output->layout().width;
    for (std::size_t s = 0; s < op.skips.size(); ++s) {
        const Skip& skip = op.skips[s];
        const float* from =
            band.skips[s]->channel_row(skip.from.channel + channel, y / skip.upsample);
        for (int x = 0; x < width; x += skip.upsample) {
            const float other = from[x / skip.upsample * kGroup];
            const float add = other * skip.skip_scale + skip.shift;
            for (int i = 0; i < skip.upsample; ++i) {
                float& value = to[(x + i) * kGroup];
                value = skip.product ? value * other : value * skip.value_scale + add;
            }
        }
    }
}

void copy_row(const Op& op, const RowBand& band, int channel, int y, const float* from) {
    if (band.duplicate_output == nullptr) return;
    float* to = band.duplicate_output->channel_row(op.duplicate_output->channel + channel, y);
    for (int x = 0; x < band.output->layout().width; ++x) to[x * kGroup] = from[x * kGroup];
}

void shuffle_row(const Op& op, const RowBand& band, int channel, int y) {
    float* to = band.output->channel_row(op.output.channel + channel, y);
    const int width = band.output->layout().width;
    const int row = y - op.phase;
    for (int x = 0; x < (row < 0 ? width : op.phase); ++x) to[x * kGroup] = 0.0F;
    for (int dx = 0; dx < op.factor && row >= 0; ++dx) {
        const int source = (channel * op.factor + row % op.factor) * op.factor + dx;
        const float* from = band.input->channel_row(op.input.channel + source, row / op.factor);
        for (int x = op.phase + dx; x < width; x += op.factor, from += kGroup)
            to[x * kGroup] = *from;
    }
    add_skips(op, band, channel, y, to);
    copy_row(op, band, channel, y, to);
}

void unshuffle_row(const Op& op, const RowBand& band, int channel, int y) {
    float* to = band.output->channel_row(op.output.channel + channel, y);
    const int f = op.factor;
    const int row = y * f + op.phase + channel / f % f;
    const int first = op.phase + channel % f;
    const bool inside = row < band.input->height();
    const float* from =
        inside ? band.input->channel_row(op.input.channel + channel / (f * f), row) : nullptr;
    for (int x = 0; x < band.output->layout().width; ++x) {
        const int column = x * f + first;
        to[x * kGroup] =
            inside && column < band.input->layout().width ? from[column * kGroup] : 0.0F;
    }
    add_skips(op, band, channel, y, to);
    copy_row(op, band, channel, y, to);
}

// Of the first pixel of some rows, one for each group: the mean of their channels, or of the
// squares of what is off it.
float mean_of(const std::vector<const float*>& pixel, const NormNumbers& numbers, int channels) {
    float sums[kGroup] = {};
    for (std::size_t g = 0; g < pixel.size(); ++g) {
        const float* used = &numbers.used[g * kGroup];
        for (int i = 0; i < kGroup; ++i) sums[i] += pixel[g][i] * used[i];
    }
    return std::accumulate(std::begin(sums), std::end(sums), 0.0F) / static_cast<float>(channels);
}

float variance_of(const std::vector<const float*>& pixel, const NormNumbers& numbers, int channels,
                  float mean) {
    float sums[kGroup] = {};
    for (std::size_t g = 0; g < pixel.size(); ++g) {
        const float* used = &numbers.used[g * kGroup];
        for (int i = 0; i < kGroup; ++i) {
            const float off = (pixel[g][i] - mean) * used[i];
            sums[i] += off * off;
        }
    }
    return std::accumulate(std::begin(sums), std::end(sums), 0.0F) / static_cast<float>(channels);
}

void normalize_row(const Op& op, const NormNumbers& numbers, const RowBand& band, int y) {
    const int channels = op.input.channels;
    std::vector<const float*> from;
    std::vector<float*> to;
    for (int c = 0; c < channels; c += kGroup) {
        from.push_back(band.input->row(op.input.channel + c, y));
        to.push_back(band.output->row(op.output.channel + c, y));
    }
    for (int x = 0; x < band.output->layout().width; ++x) {
        const float mean = mean_of(from, numbers, channels);
        const float variance = variance_of(from, numbers, channels, mean);
        const float factor = 1.0F / std::sqrt(variance + op.epsilon);
        for (std::size_t g = 0; g < from.size(); ++g) {
            const float* scale = &numbers.scale[g * kGroup];
            const float* bias = &numbers.bias[g * kGroup];
            for (int i = 0; i < kGroup; ++i)
                to[g][i] = (from[g][i] - mean) * factor * scale[i] + bias[i];
            from[g] += kGroup;
            to[g] += kGroup;
        }
    }
    for (int c = 0; c < channels; ++c) {
        float* row = band.output->channel_row(op.output.channel + c, y);
        add_skips(op, band, c, y, row);
        copy_row(op, band, c, y, row);
    }
}

// Rows first, columns then, as ncnn does, and the filter's rows kept from one result row to the
// next.
class ChannelResizer {
  public:
    ChannelResizer(const Op& op, const RowBand& band, const std::vector<ResizeTaps>& columns,
                   int channel)
        : op_(op), band_(band), columns_(columns), channel_(channel) {}

    void store(int y) {
        const ResizeTaps taps = resize_taps(op_.resize, band_.input->height(), y);
        float* to = band_.output->channel_row(op_.output.channel + channel_, y);
        const float* rows[4] = {};
        for (int i = 0; i < taps.count; ++i) rows[i] = row(taps.first + i);
        for (std::size_t x = 0; x < columns_.size(); ++x) {
            float value = 0.0F;
            for (int i = 0; i < taps.count; ++i) value += rows[i][x] * taps.weight[idx(i)];
            to[static_cast<std::ptrdiff_t>(x) * kGroup] = value;
        }
        add_skips(op_, band_, channel_, y, to);
        copy_row(op_, band_, channel_, y, to);
    }

  private:
    struct Kept {
        int row = -1;
        std::vector<float> values;
    };

    const float* row(int y) {
        Kept& kept = kept_[y % 4];
        if (kept.row == y) return kept.values.data();
        kept.row = y;
        kept.values.resize(columns_.size());
        const float* from = band_.input->channel_row(op_.input.channel + channel_, y);
        for (std::size_t x = 0; x < columns_.size(); ++x) {
            const ResizeTaps& taps = columns_[x];
            float value = 0.0F;
            for (int i = 0; i < taps.count; ++i) {
                value += from[(taps.first + i) * kGroup] * taps.weight[idx(i)];
            }
            kept.values[x] = value;
        }
        return kept.values.data();
    }

    const Op& op_;
    const RowBand& band_;
    const std::vector<ResizeTaps>& columns_;
    int channel_;
    Kept kept_[4];  // filtered along the columns; a filter reads four rows at most
};

}  // namespace

void pixel_shuffle(const Op& op, const RowBand& band, int threads) {
    const auto row = op.kind == OpKind::pixel_shuffle ? shuffle_row : unshuffle_row;
    const int tasks = op.output.channels * band.count;
    ThreadPool::shared().run(tasks, threads, [&](int i, int) {
        row(op, band, i % op.output.channels, band.first + i / op.output.channels);
    });
}

NormNumbers::NormNumbers(const ConvolutionWeights& weights)
    : used(idx(weights.outputs), 1.0F), scale(weights.kernel), bias(weights.bias) {
    for (std::vector<float>* numbers : {&used, &scale, &bias})
        numbers->resize(idx(round_up(weights.outputs, kGroup)), 0.0F);
}

void layer_norm(const Op& op, const NormNumbers& numbers, const RowBand& band, int threads) {
    ThreadPool::shared().run(band.count, threads,
                             [&](int i, int) { normalize_row(op, numbers, band, band.first + i); });
}

void resize(const Op& op, const RowBand& band, int threads) {
    std::vector<ResizeTaps> columns;
    for (int x = 0; x < band.output->layout().width; ++x) {
        columns.push_back(resize_taps(op.resize, band.input->layout().width, x));
    }
    ThreadPool::shared().run(op.output.channels, threads, [&](int channel, int) {
        ChannelResizer resizer(op, band, columns, channel);
        for (int y = band.first; y < band.first + band.count; ++y) resizer.store(y);
    });
}

}  // namespace realesrgan::cpu
