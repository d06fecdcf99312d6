// The VapourSynth plugin "rvk" (API 4): core.rvk.Upscale(clip, model), core.rvk.Models() and
// core.rvk.Devices().
#include <VSConstants4.h>
#include <VapourSynth4.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/half.hpp"
#include "image/yuv_conversion.hpp"
#include "realesrgan/realesrgan.hpp"

namespace {

namespace fs = std::filesystem;
using namespace realesrgan;

constexpr char kOptions[] =
    "clip:vnode;model:data;device:int:opt;precision:data:opt;tile:int:opt;tta:int:opt;"
    "threads:int:opt;memory_limit:int:opt;streams:int:opt;";

std::string message_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
        return "rvk.Upscale: an allocation failed; give a smaller memory_limit or fewer streams";
    } catch (const std::exception& known) {
        return std::string("rvk.Upscale: ") + known.what();
    }
}

// ---- Networks and devices --------------------------------------------------------------------

struct Network {
    std::string name;
    fs::path param;

    fs::path weights() const { return fs::path(param).replace_extension(".bin"); }
};

// Those of REALESRGAN_VK_MODELS, then the folder that `realesrgan-vk models add` and `pull` fill.
std::vector<fs::path> network_folders() {
    std::vector<fs::path> folders;
#ifdef _WIN32
    constexpr char kSeparator = ';';
#else
    constexpr char kSeparator = ':';
#endif
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing sets it
        return std::string(value == nullptr ? "" : value);
    };
    const std::string listed = variable("REALESRGAN_VK_MODELS");
    for (std::size_t begin = 0; begin < listed.size();) {
        const std::size_t end = std::min(listed.find(kSeparator, begin), listed.size());
        if (end > begin) folders.push_back(fs::u8path(listed.substr(begin, end - begin)));
        begin = end + 1;
    }
#ifdef _WIN32
    const fs::path data = fs::u8path(variable("LOCALAPPDATA")) / "realesrgan-vk";
#elif defined(__APPLE__)
    const fs::path data = fs::path(variable("HOME")) / "Library" / "Application Support";
#else
    const std::string set = variable("XDG_DATA_HOME");
    const fs::path data =
        set.empty() ? fs::path(variable("HOME")) / ".local" / "share" : fs::path(set);
#endif
    folders.push_back(data / "realesrgan-vk" / "models");
    return folders;
}

// The networks that can be asked for by name, sorted; of one name the first.
std::vector<Network> installed_networks() {
    std::vector<Network> found;
    for (const fs::path& folder : network_folders()) {
        std::error_code unreadable;
        for (fs::directory_iterator each(folder, unreadable), end; !unreadable && each != end;
             each.increment(unreadable)) {
            Network network{each->path().stem().u8string(), each->path()};
            std::error_code missing;
            const bool known = std::any_of(found.begin(), found.end(), [&](const Network& other) {
                return other.name == network.name;
            });
            if (network.param.extension() == ".param" && !known &&
                fs::is_regular_file(network.weights(), missing)) {
                found.push_back(std::move(network));
            }
        }
    }
    std::sort(found.begin(), found.end(),
              [](const Network& a, const Network& b) { return a.name < b.name; });
    return found;
}

// A path of a .param file, or the name of an installed network.
Network find_network(const std::string& model) {
    fs::path path = fs::u8path(model);
    if (path.extension() == ".param") return {path.stem().u8string(), std::move(path)};
    std::string names;
    for (Network& network : installed_networks()) {
        if (network.name == model) return std::move(network);
        names += (names.empty() ? "" : ", ") + network.name;
    }
    std::string folders;
    for (const fs::path& folder : network_folders()) {
        folders += (folders.empty() ? "" : ", ") + folder.u8string();
    }
    throw ModelError("no network " + model + " in " + folders + "; " +
                     (names.empty() ? "there are none" : "there are " + names) +
                     "; give one of them, or the path of a .param file");
}

// As the Python package chooses: never a software driver, which is slower than the CPU's kernels.
int default_device(const std::vector<DeviceInfo>& devices) {
    for (const DeviceType type :
         {DeviceType::discrete, DeviceType::integrated, DeviceType::virtual_gpu}) {
        for (const DeviceInfo& device : devices) {
            if (device.type == type) return device.index;
        }
    }
    return kCpuDevice;
}

// ---- Arguments -------------------------------------------------------------------------------

class Arguments {
  public:
    Arguments(const VSMap* map, const VSAPI* api) : map_(map), api_(api) {}

    bool has(const char* name) const { return api_->mapNumElements(map_, name) > 0; }

    std::int64_t number(const char* name, std::int64_t otherwise, std::int64_t least,
                        std::int64_t most) const {
        if (!has(name)) return otherwise;
        const std::int64_t value = api_->mapGetInt(map_, name, 0, nullptr);
        if (value < least || value > most) {
            throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) +
                                        "; it must be from " + std::to_string(least) + " to " +
                                        std::to_string(most));
        }
        return value;
    }

    std::string text(const char* name, const char* otherwise) const {
        if (!has(name)) return otherwise;
        return {api_->mapGetData(map_, name, 0, nullptr),
                static_cast<std::size_t>(api_->mapGetDataSize(map_, name, 0, nullptr))};
    }

  private:
    const VSMap* map_;
    const VSAPI* api_;
};

Options options_of(const Arguments& arguments, const std::vector<DeviceInfo>& devices) {
    Options options;
    options.device = static_cast<int>(
        arguments.number("device", default_device(devices), -1, ssize(devices) - 1));
    const std::string precision = arguments.text("precision", "auto");
    if (precision != "auto" && precision != "fp16" && precision != "fp32") {
        throw std::invalid_argument("precision is " + precision +
                                    "; it must be auto, fp16 or fp32");
    }
    options.fp16 = precision == "fp16" || (precision == "auto" && options.device != kCpuDevice &&
                                           devices[idx(options.device)].fp16_storage);
    options.tile = static_cast<int>(arguments.number("tile", kTileAuto, kTileWhole, kMostSide));
    options.tta = arguments.number("tta", 0, 0, 1) != 0;
    options.threads = static_cast<int>(arguments.number("threads", 0, 0, 1 << 16));
    options.memory_limit = static_cast<std::uint64_t>(
        arguments.number("memory_limit", 0, 0, std::numeric_limits<std::int64_t>::max()));
    // A GPU computes one frame while another is uploaded or downloaded.
    options.runs_at_once =
        static_cast<int>(arguments.number("streams", options.device == kCpuDevice ? 1 : 2, 1, 64));
    return options;
}

// ---- Frames ----------------------------------------------------------------------------------

// How a frame's planes stand for colours, as its properties say; as `realesrgan-vk video` does
// where they say nothing.
class FrameColours {
  public:
    FrameColours(const VSFrame* frame, const VSAPI* api)
        : properties_(api->getFramePropertiesRO(frame)),
          api_(api),
          video_(api->getVideoFrameFormat(frame)) {
        if (property("_FieldBased", VSC_FIELD_PROGRESSIVE) != VSC_FIELD_PROGRESSIVE) {
            throw ImageError("the frame is interlaced; deinterlace the clip first");
        }
        format_.bits = video_->bitsPerSample;
        format_.subsampling_x = 1 << video_->subSamplingW;
        format_.subsampling_y = 1 << video_->subSamplingH;
        if (video_->colorFamily == cfRGB) {
            format_.matrix = YuvMatrix::rgb;
            format_.full_range = true;
            return;
        }
        // API 4.2 calls it _Range, with other numbers.
        format_.full_range =
            property("_Range", property("_ColorRange", VSC_RANGE_LIMITED) == VSC_RANGE_FULL) == 1;
        format_.matrix = matrix(api->getFrameHeight(frame, 0));
        if (video_->subSamplingW > 0 || video_->subSamplingH > 0) format_.siting = siting();
    }

    const YuvFormat& format() const { return format_; }

    // The matrix of a frame without one depends on its height, which the result does not share.
    void tag(VSFrame* result) const {
        if (format_.matrix == YuvMatrix::rgb) return;
        constexpr std::array<std::int64_t, 3> kCodes = {VSC_MATRIX_ST170_M, VSC_MATRIX_BT709,
                                                        VSC_MATRIX_BT2020_NCL};
        if (property("_Matrix", VSC_MATRIX_UNSPECIFIED) != VSC_MATRIX_UNSPECIFIED) return;
        api_->mapSetInt(api_->getFramePropertiesRW(result), "_Matrix",
                        kCodes[static_cast<std::size_t>(format_.matrix)], maReplace);
    }

  private:
    std::int64_t property(const char* name, std::int64_t otherwise) const {
        int missing = 0;
        const std::int64_t value = api_->mapGetInt(properties_, name, 0, &missing);
        return missing != 0 ? otherwise : value;
    }

    YuvMatrix matrix(int height) const {
        switch (const std::int64_t code = property("_Matrix", VSC_MATRIX_UNSPECIFIED); code) {
            case VSC_MATRIX_BT709:
                return YuvMatrix::bt709;
            case VSC_MATRIX_BT470_BG:
            case VSC_MATRIX_ST170_M:
                return YuvMatrix::bt601;
            case VSC_MATRIX_BT2020_NCL:
                return YuvMatrix::bt2020;
            case VSC_MATRIX_UNSPECIFIED:
                return height < 720 ? YuvMatrix::bt601 : YuvMatrix::bt709;
            default:
                throw ImageError("the frame's _Matrix is " + std::to_string(code) +
                                 "; it must be 1, 5, 6 or 9; convert the clip with resize");
        }
    }

    ChromaSiting siting() const {
        switch (const std::int64_t code = property("_ChromaLocation", VSC_CHROMA_LEFT); code) {
            case VSC_CHROMA_LEFT:
                return ChromaSiting::left;
            case VSC_CHROMA_CENTER:
                return ChromaSiting::center;
            case VSC_CHROMA_TOP_LEFT:
                return ChromaSiting::top_left;
            default:
                throw ImageError("the frame's _ChromaLocation is " + std::to_string(code) +
                                 "; it must be 0, 1 or 2; convert the clip with resize");
        }
    }

    const VSMap* properties_;
    const VSAPI* api_;
    const VSVideoFormat* video_;
    YuvFormat format_;
};

// The planes in the order of YuvFormat, whose RGB begins with green.
template <typename Byte, typename Plane>
BasicYuvView<Byte> planes_of(const VSFrame* frame, const YuvFormat& format, const VSAPI* api,
                             const Plane& data) {
    BasicYuvView<Byte> view;
    view.format = format;
    view.width = api->getFrameWidth(frame, 0);
    view.height = api->getFrameHeight(frame, 0);
    constexpr std::array<int, 3> kGreenFirst = {1, 2, 0};
    const VSVideoFormat* video = api->getVideoFrameFormat(frame);
    for (int i = 0; i < video->numPlanes; ++i) {
        const int plane = format.matrix == YuvMatrix::rgb ? kGreenFirst[idx(i)] : i;
        view.planes[idx(i)] = {data(plane), api->getStride(frame, plane), video->bytesPerSample};
    }
    return view;
}

float load_sample(const std::uint8_t* from, int bytes) {
    if (bytes == 4) {
        float value = 0;
        std::memcpy(&value, from, sizeof(value));
        return value;
    }
    std::uint16_t value = 0;
    std::memcpy(&value, from, sizeof(value));
    return half_to_float(value);
}

void store_sample(float value, std::uint8_t* to, int bytes) {
    if (bytes == 4) {
        std::memcpy(to, &value, sizeof(value));
        return;
    }
    const std::uint16_t half = float_to_half(value);
    std::memcpy(to, &half, sizeof(half));
}

// A picture of floats, its channels one after the other.
struct FloatPicture {
    int width;
    int height;
    int channels;
    std::vector<float> samples;

    FloatPicture(int columns, int rows, int planes)
        : width(columns),
          height(rows),
          channels(planes),
          samples(static_cast<std::size_t>(product(columns, rows, planes))) {}

    float* row(int channel, int y) {
        return samples.data() +
               (static_cast<std::size_t>(channel) * idx(height) + idx(y)) * idx(width);
    }
    // With fewer channels than are asked for, the one there is stands for all.
    MutableImageView view(int as_channels) {
        constexpr std::ptrdiff_t kSize = sizeof(float);
        return {reinterpret_cast<std::byte*>(samples.data()),
                SampleType::f32,
                width,
                height,
                as_channels,
                kSize * width,
                kSize,
                channels == 1 ? 0 : kSize * width * height};
    }
};

void run_integers(const Upscaler& upscaler, const VSFrame* source, VSFrame* result,
                  const YuvFormat& format, const VSAPI* api) {
    const auto from = planes_of<const std::byte>(source, format, api, [&](int plane) {
        return reinterpret_cast<const std::byte*>(api->getReadPtr(source, plane));
    });
    const auto to = planes_of<std::byte>(result, format, api, [&](int plane) {
        return reinterpret_cast<std::byte*>(api->getWritePtr(result, plane));
    });
    upscaler.run(from, to);
}

// RGB or grey, of 16 or 32 bits; grey is the luma of the result.
void run_floats(const Upscaler& upscaler, const VSFrame* source, VSFrame* result,
                const YuvFormat& format, const VSAPI* api) {
    const VSVideoFormat* video = api->getVideoFrameFormat(source);
    const int bytes = video->bytesPerSample;
    FloatPicture from(api->getFrameWidth(source, 0), api->getFrameHeight(source, 0),
                      video->numPlanes);
    for (int plane = 0; plane < from.channels; ++plane) {
        const std::uint8_t* samples = api->getReadPtr(source, plane);
        const std::ptrdiff_t stride = api->getStride(source, plane);
        for (int y = 0; y < from.height; ++y) {
            float* row = from.row(plane, y);
            for (int x = 0; x < from.width; ++x) {
                row[x] = load_sample(samples + y * stride + std::ptrdiff_t{x} * bytes, bytes);
            }
        }
    }
    FloatPicture to(api->getFrameWidth(result, 0), api->getFrameHeight(result, 0), 3);
    const MutableImageView input = from.view(3);
    upscaler.run(ImageView{input.data, input.type, input.width, input.height, input.channels,
                           input.row_stride, input.pixel_stride, input.channel_stride},
                 to.view(3));
    const LumaWeights luma = luma_weights(format.matrix);
    for (int plane = 0; plane < from.channels; ++plane) {
        std::uint8_t* samples = api->getWritePtr(result, plane);
        const std::ptrdiff_t stride = api->getStride(result, plane);
        for (int y = 0; y < to.height; ++y) {
            const float* red = to.row(0, y);
            const float* green = to.row(1, y);
            const float* blue = to.row(2, y);
            const float* own = to.row(plane, y);
            for (int x = 0; x < to.width; ++x) {
                const float value = from.channels == 3 ? own[x]
                                                       : luma.red * red[x] + luma.green * green[x] +
                                                             luma.blue * blue[x];
                store_sample(value, samples + y * stride + std::ptrdiff_t{x} * bytes, bytes);
            }
        }
    }
}

// ---- The filter ------------------------------------------------------------------------------

// As many frames at once as the memory was planned for.
class Slots {
  public:
    explicit Slots(int count) : free_(count) {}

    void take() {
        std::unique_lock lock(mutex_);
        freed_.wait(lock, [this] { return free_ > 0; });
        --free_;
    }
    void give() {
        {
            const std::lock_guard lock(mutex_);
            ++free_;
        }
        freed_.notify_one();
    }

  private:
    std::mutex mutex_;
    std::condition_variable freed_;
    int free_;
};

class Slot {
  public:
    explicit Slot(Slots& slots) : slots_(slots) { slots_.take(); }
    ~Slot() { slots_.give(); }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

  private:
    Slots& slots_;
};

struct UpscaleFilter {
    UpscaleFilter(VSNode* its_source, const VSAPI* its_api, Upscaler its_upscaler, int streams)
        : source(its_source), api(its_api), upscaler(std::move(its_upscaler)), slots(streams) {}
    ~UpscaleFilter() { api->freeNode(source); }
    UpscaleFilter(const UpscaleFilter&) = delete;
    UpscaleFilter& operator=(const UpscaleFilter&) = delete;

    VSNode* source;
    const VSAPI* api;
    Upscaler upscaler;
    Slots slots;
};

struct FreeFrame {
    const VSAPI* api;
    void operator()(const VSFrame* frame) const { api->freeFrame(frame); }
};

template <typename Frame>
using FrameReference = std::unique_ptr<Frame, FreeFrame>;

const VSFrame* upscaled(UpscaleFilter& filter, const VSFrame* source, VSCore* core,
                        const VSAPI* api) {
    const FrameColours colours(source, api);
    const int scale = filter.upscaler.network().scale;
    FrameReference<VSFrame> result(
        api->newVideoFrame(api->getVideoFrameFormat(source), api->getFrameWidth(source, 0) * scale,
                           api->getFrameHeight(source, 0) * scale, source, core),
        FreeFrame{api});
    const bool floats = api->getVideoFrameFormat(source)->sampleType == stFloat;
    {
        const Slot slot(filter.slots);
        (floats ? run_floats : run_integers)(filter.upscaler, source, result.get(),
                                             colours.format(), api);
    }
    colours.tag(result.get());
    return result.release();
}

const VSFrame* VS_CC get_frame(int n, int reason, void* data, void** /*frame_data*/,
                               VSFrameContext* context, VSCore* core, const VSAPI* api) {
    auto& filter = *static_cast<UpscaleFilter*>(data);
    if (reason == arInitial) {
        api->requestFrameFilter(n, filter.source, context);
        return nullptr;
    }
    if (reason != arAllFramesReady) return nullptr;
    const FrameReference<const VSFrame> source(api->getFrameFilter(n, filter.source, context),
                                               FreeFrame{api});
    try {
        return upscaled(filter, source.get(), core, api);
    } catch (...) {
        api->setFilterError(message_of(std::current_exception()).c_str(), context);
        return nullptr;
    }
}

void VS_CC free_filter(void* data, VSCore* /*core*/, const VSAPI* /*api*/) {
    delete static_cast<UpscaleFilter*>(data);  // made by `create`
}

void check_clip(const VSVideoInfo& clip, const VSAPI* api) {
    if (clip.format.colorFamily == cfUndefined || clip.width == 0 || clip.height == 0) {
        throw std::invalid_argument("the clip's frames must have one format and one size");
    }
    std::array<char, 32> name = {};
    const bool named = api->getVideoFormatName(&clip.format, name.data()) != 0;
    const bool floats = clip.format.sampleType == stFloat;
    if (floats ? clip.format.colorFamily == cfYUV
               : clip.format.bitsPerSample < 8 || clip.format.bitsPerSample > 16) {
        throw std::invalid_argument("the clip's format is " +
                                    std::string(named ? name.data() : "unknown") +
                                    "; it must be RGB, YUV or grey of 8 to 16 bits, or RGB or grey "
                                    "of floats; convert the clip with resize");
    }
}

void VS_CC create(const VSMap* in, VSMap* out, void* /*data*/, VSCore* core, const VSAPI* api) {
    const auto free_node = [api](VSNode* node) { api->freeNode(node); };
    std::unique_ptr<VSNode, decltype(free_node)> node(api->mapGetNode(in, "clip", 0, nullptr),
                                                      free_node);
    try {
        VSVideoInfo video = *api->getVideoInfo(node.get());
        check_clip(video, api);
        const Arguments arguments(in, api);
        const Options options = options_of(arguments, list_devices());
        const Network network = find_network(arguments.text("model", ""));
        Upscaler upscaler(network.param.u8string(), network.weights().u8string(), options);
        const NetworkInfo& info = upscaler.network();
        if (info.input_channels != 3 || info.output_channels != 3) {
            throw ModelError("the network " + network.name + " is not one for colours");
        }
        static_cast<void>(upscaler.plan(video.width, video.height));  // whether the memory suffices
        for (const std::string& notice : upscaler.notices()) {
            api->logMessage(mtWarning, ("rvk.Upscale: " + notice).c_str(), core);
        }
        video.width *= info.scale;
        video.height *= info.scale;
        const VSFilterDependency dependency = {node.get(), rpStrictSpatial};
        auto filter = std::make_unique<UpscaleFilter>(node.get(), api, std::move(upscaler),
                                                      options.runs_at_once);
        static_cast<void>(node.release());  // the filter's now
        api->createVideoFilter(out, "Upscale", &video, get_frame, free_filter,
                               options.runs_at_once == 1 ? fmParallelRequests : fmParallel,
                               &dependency, 1, filter.release(), core);
    } catch (...) {
        api->mapSetError(out, message_of(std::current_exception()).c_str());
    }
}

void append(VSMap* out, const char* key, const std::string& text, const VSAPI* api) {
    api->mapSetData(out, key, text.data(), static_cast<int>(text.size()), dtUtf8, maAppend);
}

void VS_CC models(const VSMap* /*in*/, VSMap* out, void* /*data*/, VSCore* /*core*/,
                  const VSAPI* api) {
    try {
        for (const Network& network : installed_networks()) {
            append(out, "name", network.name, api);
            append(out, "path", network.param.u8string(), api);
        }
    } catch (const std::exception& error) {
        api->mapSetError(out, (std::string("rvk.Models: ") + error.what()).c_str());
    }
}

void VS_CC devices(const VSMap* /*in*/, VSMap* out, void* /*data*/, VSCore* /*core*/,
                   const VSAPI* api) {
    try {
        for (const DeviceInfo& device : list_devices()) {
            api->mapSetInt(out, "index", device.index, maAppend);
            append(out, "name", device.name, api);
            append(out, "type", type_name(device.type), api);
            append(out, "uuid", device.uuid, api);
        }
    } catch (const std::exception& error) {
        api->mapSetError(out, (std::string("rvk.Devices: ") + error.what()).c_str());
    }
}

}  // namespace

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin* plugin, const VSPLUGINAPI* api) {
    api->configPlugin("realesrgan_vk.vapoursynth", "rvk", "Real-ESRGAN on any GPU",
                      VS_MAKE_VERSION(RVK_VERSION_MAJOR, RVK_VERSION_MINOR),
                      VAPOURSYNTH_API_VERSION, 0, plugin);
    api->registerFunction("Upscale", kOptions, "clip:vnode;", create, nullptr, plugin);
    api->registerFunction("Models", "", "name:data[]:opt;path:data[]:opt;", models, nullptr,
                          plugin);
    api->registerFunction("Devices", "",
                          "index:int[]:opt;name:data[]:opt;type:data[]:opt;uuid:data[]:opt;",
                          devices, nullptr, plugin);
}
