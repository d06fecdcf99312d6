#include "image/whole_rows.hpp"

#include <cstddef>
#include <vector>

#include "image/image_view.hpp"

namespace realesrgan {

namespace {

// A packed picture with memory of its own.
class Whole {
  public:
    Whole(int width, int height, int channels, SampleType type)
        : view_(packed_view<std::byte>(nullptr, type, width, height, channels)) {
        samples_.resize(static_cast<std::size_t>(view_.row_stride) *
                        static_cast<std::size_t>(height));
        view_.data = samples_.data();
    }

    const MutableImageView& view() const { return view_; }

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
    engine.run(as_const(picture.view()), result.view(), progress);
    sink.write(0, 0, as_const(result.view()));
}

}  // namespace realesrgan
