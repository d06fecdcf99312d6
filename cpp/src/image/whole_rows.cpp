#include "image/whole_rows.hpp"

#include <cstddef>
#include <vector>

namespace realesrgan {

namespace {

// A packed picture of its own.
class Whole {
  public:
    Whole(int width, int height, int channels, SampleType type) {
        const std::ptrdiff_t sample = type == SampleType::u8 ? 1 : type == SampleType::u16 ? 2 : 4;
        view_ = {nullptr,           type,  width, height, channels, sample * channels * width,
                 sample * channels, sample};
        samples_.resize(static_cast<std::size_t>(view_.row_stride) *
                        static_cast<std::size_t>(height));
        view_.data = samples_.data();
    }

    const MutableImageView& view() const { return view_; }
    ImageView as_const() const {
        return {view_.data,     view_.type,       view_.width,        view_.height,
                view_.channels, view_.row_stride, view_.pixel_stride, view_.channel_stride};
    }

  private:
    std::vector<std::byte> samples_;
    MutableImageView view_;
};

}  // namespace

void run_whole(const Engine& engine, const NetworkInfo& network, RowSource& source, RowSink& sink,
               SampleType output, const Progress& progress) {
    const Whole picture(source.width(), source.height(), source.channels(), source.type());
    source.read(0, 0, picture.view());
    const Whole result(source.width() * network.scale, source.height() * network.scale,
                       network.output_channels, output);
    engine.run(picture.as_const(), result.view(), progress);
    sink.write(0, 0, result.as_const());
}

}  // namespace realesrgan
