// The plugin in a real VapourSynth core, against the engine's own results.
#include <VSConstants4.h>
#include <VapourSynth4.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/half.hpp"
#include "image/yuv_conversion.hpp"
#include "realesrgan/realesrgan.hpp"
#include "support/check.hpp"
#include "support/tiny_network.hpp"

namespace {

using namespace realesrgan;

constexpr int kWidth = 41;
constexpr int kHeight = 26;
constexpr int kScale = 2;

// Integers, by name.
using Numbers = std::map<std::string, std::int64_t>;
using Texts = std::map<std::string, std::string>;

std::uint32_t mixed(std::uint32_t value) {  // the finalizer of MurmurHash3
    value = (value ^ value >> 16U) * 0x85EBCA6BU;
    value = (value ^ value >> 13U) * 0xC2B2AE35U;
    return value ^ value >> 16U;
}

// A clip whose samples are noise, the same for a number of a frame whenever it is asked for.
struct Noise {
    VSVideoInfo video;
    Numbers properties;
};

void fill(VSFrame* frame, std::uint32_t number, const VSAPI* api) {
    const VSVideoFormat* format = api->getVideoFrameFormat(frame);
    for (int plane = 0; plane < format->numPlanes; ++plane) {
        const int height = api->getFrameHeight(frame, plane);
        const int width = api->getFrameWidth(frame, plane);
        for (int y = 0; y < height; ++y) {
            std::uint8_t* row = api->getWritePtr(frame, plane) + y * api->getStride(frame, plane);
            for (int x = 0; x < width; ++x) {
                const auto place = static_cast<std::uint32_t>((plane * height + y) * width + x);
                const std::uint32_t noise = mixed(mixed(number) + place);
                const float unit = static_cast<float>(noise >> 8U) * 0x1p-24F;
                const auto whole =
                    static_cast<std::uint16_t>(noise >> (32 - std::min(format->bitsPerSample, 16)));
                const std::uint16_t half = float_to_half(unit);
                const auto byte = static_cast<std::uint8_t>(whole);
                const bool floats = format->sampleType == stFloat;
                const void* sample = format->bytesPerSample == 4 ? static_cast<const void*>(&unit)
                                     : floats                    ? &half
                                     : format->bytesPerSample == 2
                                         ? static_cast<const void*>(&whole)
                                         : &byte;
                std::memcpy(row + std::ptrdiff_t{x} * format->bytesPerSample, sample,
                            idx(format->bytesPerSample));
            }
        }
    }
}

const VSFrame* VS_CC noise_frame(int n, int reason, void* data, void** /*frame_data*/,
                                 VSFrameContext* /*context*/, VSCore* core, const VSAPI* api) {
    if (reason != arInitial) return nullptr;
    const auto& noise = *static_cast<Noise*>(data);
    VSFrame* frame = api->newVideoFrame(&noise.video.format, noise.video.width, noise.video.height,
                                        nullptr, core);
    fill(frame, static_cast<std::uint32_t>(n), api);
    VSMap* properties = api->getFramePropertiesRW(frame);
    for (const auto& [name, value] : noise.properties) {
        api->mapSetInt(properties, name.c_str(), value, maReplace);
    }
    return frame;
}

void VS_CC free_noise(void* data, VSCore* /*core*/, const VSAPI* /*api*/) {
    delete static_cast<Noise*>(data);
}

// A core with the plugin, and a network in a folder.
class Host {
  public:
    explicit Host(int threads = 8) {
        void* library = dlopen(VAPOURSYNTH_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) throw check::Skip(std::string("no VapourSynth: ") + dlerror());
        const auto entry =
            reinterpret_cast<VSGetVapourSynthAPI>(dlsym(library, "getVapourSynthAPI"));
        CHECK(entry != nullptr);
        api = entry(VAPOURSYNTH_API_VERSION);
        CHECK(api != nullptr);
        core = api->createCore(ccfDisableAutoLoading);
        api->setThreadCount(threads, core);
        VSMap* loaded = call("std", "LoadPlugin", nullptr, {}, {{"path", PLUGIN}});
        const char* error = api->mapGetError(loaded);
        CHECK_EQUAL(std::string(error == nullptr ? "" : error), "");
        api->freeMap(loaded);
        const tiny::Network net = tiny::compact();
        param = folder.file("net.param", net.param);
        bin = folder.file("net.bin", net.bin);
    }
    ~Host() { api->freeCore(core); }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    VSMap* call(const char* space, const char* function, VSNode* clip, const Numbers& numbers,
                const Texts& texts) const {
        VSMap* arguments = api->createMap();
        if (clip != nullptr) api->mapSetNode(arguments, "clip", clip, maReplace);
        for (const auto& [name, value] : numbers) {
            api->mapSetInt(arguments, name.c_str(), value, maReplace);
        }
        for (const auto& [name, value] : texts) {
            api->mapSetData(arguments, name.c_str(), value.data(), static_cast<int>(value.size()),
                            dtUtf8, maReplace);
        }
        VSMap* result = api->invoke(api->getPluginByNamespace(space, core), function, arguments);
        api->freeMap(arguments);
        return result;
    }

    VSNode* noise(std::uint32_t format, int frames, Numbers properties = {}) const {
        auto clip = std::make_unique<Noise>();
        CHECK(api->getVideoFormatByID(&clip->video.format, format, core) != 0);
        clip->video.fpsNum = 25;
        clip->video.fpsDen = 1;
        // Of 4:1:0 sides must be multiples of 4.
        clip->video.width = clip->video.format.subSamplingW > 0 ? kWidth / 4 * 4 : kWidth;
        clip->video.height = clip->video.format.subSamplingH > 0 ? kHeight / 4 * 4 : kHeight;
        clip->video.numFrames = frames;
        clip->properties = std::move(properties);
        const VSVideoInfo video = clip->video;
        return api->createVideoFilter2("Noise", &video, noise_frame, free_noise, fmParallel,
                                       nullptr, 0, clip.release(), core);
    }

    VSNode* upscaled(VSNode* clip, Numbers numbers = {}) const {
        numbers.insert({"device", kCpuDevice});
        VSMap* result = call("rvk", "Upscale", clip, numbers, {{"model", param}});
        const char* error = api->mapGetError(result);
        CHECK_EQUAL(std::string(error == nullptr ? "" : error), "");
        VSNode* node = api->mapGetNode(result, "clip", 0, nullptr);
        api->freeMap(result);
        return node;
    }

    // The words of the refusal of `rvk.Upscale`.
    std::string refusal(VSNode* clip, const Numbers& numbers, const Texts& texts) const {
        VSMap* result = call("rvk", "Upscale", clip, numbers, texts);
        const char* error = api->mapGetError(result);
        const std::string words = error == nullptr ? "" : error;
        api->freeMap(result);
        api->freeNode(clip);
        return words;
    }

    const VSAPI* api = nullptr;
    VSCore* core = nullptr;
    tiny::Folder folder;
    std::string param;
    std::string bin;
};

// All frames of a node, asked for at once.
class Frames {
  public:
    Frames(const Host& host, VSNode* node) : host_(host) {
        const int count = host.api->getVideoInfo(node)->numFrames;
        frames_.resize(idx(count));
        left_ = count;
        for (int n = 0; n < count; ++n) host.api->getFrameAsync(n, node, done, this);
        std::unique_lock lock(mutex_);
        all_.wait(lock, [this] { return left_ == 0; });
    }
    ~Frames() {
        for (const VSFrame* frame : frames_) {
            if (frame != nullptr) host_.api->freeFrame(frame);
        }
    }
    Frames(const Frames&) = delete;
    Frames& operator=(const Frames&) = delete;

    const VSFrame* operator[](int n) const { return frames_[idx(n)]; }
    int size() const { return ssize(frames_); }
    const std::string& error() const { return error_; }

  private:
    static void VS_CC done(void* data, const VSFrame* frame, int n, VSNode* /*node*/,
                           const char* error) {
        auto& self = *static_cast<Frames*>(data);
        const std::lock_guard lock(self.mutex_);
        self.frames_[idx(n)] = frame;
        if (error != nullptr) self.error_ = error;
        if (--self.left_ == 0) self.all_.notify_one();
    }

    const Host& host_;
    std::vector<const VSFrame*> frames_;
    std::mutex mutex_;
    std::condition_variable all_;
    int left_ = 0;
    std::string error_;
};

// One plane's samples, without what lies between its rows.
std::vector<std::byte> plane_of(const VSFrame* frame, int plane, const VSAPI* api) {
    const int bytes = api->getVideoFrameFormat(frame)->bytesPerSample;
    const std::size_t row = idx(api->getFrameWidth(frame, plane)) * idx(bytes);
    std::vector<std::byte> samples(row * idx(api->getFrameHeight(frame, plane)));
    for (int y = 0; y < api->getFrameHeight(frame, plane); ++y) {
        std::memcpy(samples.data() + idx(y) * row,
                    api->getReadPtr(frame, plane) + y * api->getStride(frame, plane), row);
    }
    return samples;
}

using Planes = std::vector<std::vector<std::byte>>;

Planes planes_of(const VSFrame* frame, const VSAPI* api) {
    Planes planes;
    for (int plane = 0; plane < api->getVideoFrameFormat(frame)->numPlanes; ++plane) {
        planes.push_back(plane_of(frame, plane, api));
    }
    return planes;
}

// What the engine makes of packed pixels of 8 bits: the contract of pictures.
Planes as_picture(const Upscaler& upscaler, const Planes& planes) {
    std::vector<std::byte> from(std::size_t{3} * kWidth * kHeight);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = planes[i % 3][i / 3];
    std::vector<std::byte> to(from.size() * kScale * kScale);
    upscaler.run(ImageView{from.data(), SampleType::u8, kWidth, kHeight, 3,
                           std::ptrdiff_t{3} * kWidth, 3, 1},
                 MutableImageView{to.data(), SampleType::u8, kScale * kWidth, kScale * kHeight, 3,
                                  std::ptrdiff_t{3} * kScale * kWidth, 3, 1});
    Planes result(3, std::vector<std::byte>(to.size() / 3));
    for (std::size_t i = 0; i < to.size(); ++i) result[i % 3][i / 3] = to[i];
    return result;
}

// What the engine makes of the planes of a frame of a video.
Planes as_planes(const Upscaler& upscaler, const YuvFormat& format, int width, int height,
                 const Planes& planes) {
    const std::ptrdiff_t bytes = format.bits > 8 ? 2 : 1;
    const bool rgb = format.matrix == YuvMatrix::rgb;
    constexpr std::array<std::size_t, 3> kGreenFirst = {1, 2, 0};
    YuvView from;
    MutableYuvView to;
    from.format = to.format = format;
    from.width = width;
    from.height = height;
    to.width = kScale * width;
    to.height = kScale * height;
    Planes result(planes.size());
    for (std::size_t i = 0; i < planes.size(); ++i) {
        const std::size_t plane = rgb ? kGreenFirst[i] : i;
        const int columns = i == 0 ? width : ceil_div(width, format.subsampling_x);
        result[plane].resize(planes[plane].size() * kScale * kScale);
        from.planes[i] = {planes[plane].data(), columns * bytes, bytes};
        to.planes[i] = {result[plane].data(), kScale * columns * bytes, bytes};
    }
    upscaler.run(from, to);
    return result;
}

std::vector<float> floats_of(const std::vector<std::byte>& samples, bool half) {
    std::vector<float> values(samples.size() / (half ? 2 : 4));
    for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint16_t bits = 0;
        if (half) {
            std::memcpy(&bits, samples.data() + 2 * i, sizeof(bits));
            values[i] = half_to_float(bits);
        } else {
            std::memcpy(&values[i], samples.data() + 4 * i, sizeof(float));
        }
    }
    return values;
}

// What the engine makes of floats; grey pictures in three equal channels.
std::vector<std::vector<float>> as_floats(const Upscaler& upscaler,
                                          const std::vector<std::vector<float>>& planes) {
    std::vector<float> from;
    for (std::size_t c = 0; c < 3; ++c) {
        const std::vector<float>& plane = planes[planes.size() == 1 ? 0 : c];
        from.insert(from.end(), plane.begin(), plane.end());
    }
    std::vector<float> to(from.size() * kScale * kScale);
    constexpr std::ptrdiff_t kSize = sizeof(float);
    upscaler.run(ImageView{reinterpret_cast<std::byte*>(from.data()), SampleType::f32, kWidth,
                           kHeight, 3, kSize * kWidth, kSize, kSize * kWidth * kHeight},
                 MutableImageView{reinterpret_cast<std::byte*>(to.data()), SampleType::f32,
                                  kScale * kWidth, kScale * kHeight, 3, kSize * kScale * kWidth,
                                  kSize, kSize * kScale * kWidth * kScale * kHeight});
    std::vector<std::vector<float>> result;
    const std::size_t size = to.size() / 3;
    for (std::size_t c = 0; c < 3; ++c) {
        const auto begin = to.begin() + static_cast<std::ptrdiff_t>(c * size);
        result.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(size));
    }
    return result;
}

using Expected = std::function<Planes(const Upscaler&, const Planes&)>;

// Every frame of the clip is what the engine makes of the source's.
void compare(const Host& host, VSNode* source, const Numbers& options, const Expected& expected) {
    VSNode* node = host.upscaled(source, options);
    CHECK_EQUAL(host.api->getVideoInfo(node)->width,
                kScale * host.api->getVideoInfo(source)->width);
    CHECK_EQUAL(host.api->getVideoInfo(node)->height,
                kScale * host.api->getVideoInfo(source)->height);
    const Upscaler upscaler(host.param, host.bin, Options{});
    {
        const Frames sources(host, source);
        const Frames results(host, node);
        CHECK_EQUAL(results.error(), "");
        for (int n = 0; n < results.size(); ++n) {
            CHECK(planes_of(results[n], host.api) ==
                  expected(upscaler, planes_of(sources[n], host.api)));
        }
    }
    host.api->freeNode(node);
    host.api->freeNode(source);
}

Expected planes_as(const YuvFormat& format, int width, int height) {
    return [=](const Upscaler& upscaler, const Planes& planes) {
        return as_planes(upscaler, format, width, height, planes);
    };
}

YuvFormat yuv(YuvMatrix matrix, bool full, ChromaSiting siting, int bits, int x, int y) {
    YuvFormat format;
    format.matrix = matrix;
    format.full_range = full;
    format.siting = siting;
    format.bits = bits;
    format.subsampling_x = x;
    format.subsampling_y = y;
    return format;
}

}  // namespace

TEST_CASE("a hundred frames of 8 threads are the pictures of the engine, bit for bit") {
    const Host host;
    for (const std::int64_t streams : {1, 3}) {  // fmParallelRequests, fmParallel
        compare(host, host.noise(pfRGB24, 100), {{"streams", streams}}, as_picture);
    }
}

TEST_CASE("more bits than 8") {
    const Host host;
    for (const auto& [id, bits] : {std::pair{pfRGB30, 10}, {pfRGB36, 12}, {pfRGB48, 16}}) {
        const YuvFormat format = yuv(YuvMatrix::rgb, true, ChromaSiting::left, bits, 1, 1);
        compare(host, host.noise(id, 3), {}, planes_as(format, kWidth, kHeight));
    }
}

TEST_CASE("YUV and grey frames by their properties") {
    const Host host;
    struct Case {
        std::uint32_t id;
        Numbers properties;
        YuvFormat format;
    };
    const auto left = ChromaSiting::left;
    const std::vector<Case> cases = {
        {pfYUV420P8, {}, yuv(YuvMatrix::bt601, false, left, 8, 2, 2)},
        {pfYUV420P8,
         {{"_Matrix", VSC_MATRIX_BT709}, {"_ColorRange", VSC_RANGE_FULL}, {"_ChromaLocation", 1}},
         yuv(YuvMatrix::bt709, true, ChromaSiting::center, 8, 2, 2)},
        {pfYUV420P10,
         {{"_Matrix", VSC_MATRIX_BT2020_NCL}, {"_ChromaLocation", 2}},
         yuv(YuvMatrix::bt2020, false, ChromaSiting::top_left, 10, 2, 2)},
        {pfYUV422P16,
         {{"_Matrix", VSC_MATRIX_ST170_M}, {"_Range", 1}},
         yuv(YuvMatrix::bt601, true, left, 16, 2, 1)},
        {pfYUV444P12, {{"_Matrix", 5}}, yuv(YuvMatrix::bt601, false, left, 12, 1, 1)},
        {pfYUV410P8, {{"_Range", 0}}, yuv(YuvMatrix::bt601, false, left, 8, 4, 4)},
        {pfGray8, {}, yuv(YuvMatrix::bt601, false, left, 8, 1, 1)},
        {pfGray16, {{"_ColorRange", VSC_RANGE_FULL}}, yuv(YuvMatrix::bt601, true, left, 16, 1, 1)},
    };
    for (const Case& each : cases) {
        VSNode* source = host.noise(each.id, 3, each.properties);
        const VSVideoInfo video = *host.api->getVideoInfo(source);
        compare(host, source, {}, planes_as(each.format, video.width, video.height));
    }
}

TEST_CASE("floats of 32 and 16 bits") {
    const Host host;
    const LumaWeights luma = luma_weights(YuvMatrix::bt601);
    for (const std::uint32_t id : {pfRGBS, pfRGBH, pfGrayS, pfGrayH}) {
        const bool half = id == pfRGBH || id == pfGrayH;
        compare(host, host.noise(id, 3), {}, [&](const Upscaler& upscaler, const Planes& planes) {
            std::vector<std::vector<float>> sources;
            for (const auto& plane : planes) sources.push_back(floats_of(plane, half));
            const auto colours = as_floats(upscaler, sources);
            Planes result(planes.size());
            for (std::size_t plane = 0; plane < planes.size(); ++plane) {
                for (std::size_t i = 0; i < colours[0].size(); ++i) {
                    const float value = planes.size() == 3 ? colours[plane][i]
                                                           : luma.red * colours[0][i] +
                                                                 luma.green * colours[1][i] +
                                                                 luma.blue * colours[2][i];
                    const std::uint16_t bits = float_to_half(value);
                    const auto* bytes = half ? reinterpret_cast<const std::byte*>(&bits)
                                             : reinterpret_cast<const std::byte*>(&value);
                    result[plane].insert(result[plane].end(), bytes, bytes + (half ? 2 : 4));
                }
            }
            return result;
        });
    }
}

TEST_CASE("the result keeps the properties, and tells the matrix that was assumed") {
    const Host host;
    VSNode* source = host.noise(pfYUV420P8, 1, {{"_SARNum", 4}, {"_SARDen", 3}});
    VSNode* node = host.upscaled(source);
    {
        const Frames frames(host, node);
        const VSMap* properties = host.api->getFramePropertiesRO(frames[0]);
        CHECK_EQUAL(host.api->mapGetInt(properties, "_SARNum", 0, nullptr), 4);
        CHECK_EQUAL(host.api->mapGetInt(properties, "_Matrix", 0, nullptr), VSC_MATRIX_ST170_M);
    }
    host.api->freeNode(node);
    host.api->freeNode(source);
}

TEST_CASE("frames that cannot be enlarged are refused with the reason") {
    const Host host;
    const std::vector<std::pair<Numbers, std::string>> cases = {
        {{{"_FieldBased", VSC_FIELD_TOP}}, "the frame is interlaced; deinterlace the clip first"},
        {{{"_Matrix", VSC_MATRIX_YCGCO}}, "the frame's _Matrix is 8; it must be 1, 5, 6 or 9"},
        {{{"_ChromaLocation", VSC_CHROMA_TOP}}, "the frame's _ChromaLocation is 3; it must be"},
    };
    for (const auto& [properties, words] : cases) {
        VSNode* source = host.noise(pfYUV420P8, 2, properties);
        VSNode* node = host.upscaled(source);
        {
            const Frames frames(host, node);
            CHECK(frames[0] == nullptr);
            CHECK(frames.error().find("rvk.Upscale: " + words) != std::string::npos);
        }
        host.api->freeNode(node);
        host.api->freeNode(source);
    }
}

TEST_CASE("arguments that are not possible are refused with what is") {
    const Host host;
    struct Case {
        std::uint32_t format;
        Numbers numbers;
        Texts texts;
        std::string words;
    };
    const std::vector<Case> cases = {
        {pfRGB24, {{"device", -2}}, {{"model", host.param}}, "device is -2; it must be from -1 to"},
        {pfRGB24, {{"device", 99}}, {{"model", host.param}}, "device is 99; it must be from -1 to"},
        {pfRGB24, {{"streams", 0}}, {{"model", host.param}}, "streams is 0; it must be from 1 to"},
        {pfRGB24, {{"device", -1}, {"tile", 7}}, {{"model", host.param}}, "tile"},
        {pfRGB24, {{"device", -1}, {"memory_limit", 1}}, {{"model", host.param}}, "memory"},
        {pfRGB24, {}, {{"model", host.param}, {"precision", "bf16"}}, "precision is bf16; it must"},
        {pfRGB24, {{"device", -1}}, {{"model", "no-such"}}, "no network no-such in "},
        {pfRGB24, {{"device", -1}}, {{"model", "/nothing/here.param"}}, "/nothing/here.param"},
        {pfYUV444PS, {{"device", -1}}, {{"model", host.param}}, "the clip's format is YUV444PS"},
    };
    for (const Case& each : cases) {
        const std::string words =
            host.refusal(host.noise(each.format, 1), each.numbers, each.texts);
        if (words.find("rvk.Upscale: ") != 0 || words.find(each.words) == std::string::npos) {
            check::fail(__FILE__, __LINE__, "no '" + each.words + "' in: " + words);
        }
    }
}

TEST_CASE("networks are found by name, devices are listed") {
    const Host host;
    const std::string folder = host.param.substr(0, host.param.rfind('/'));
    setenv("REALESRGAN_VK_MODELS", ("/nothing:" + folder).c_str(), 1);
    VSMap* found = host.call("rvk", "Models", nullptr, {}, {});
    CHECK_EQUAL(std::string(host.api->mapGetData(found, "name", 0, nullptr)), "net");
    CHECK_EQUAL(std::string(host.api->mapGetData(found, "path", 0, nullptr)), host.param);
    host.api->freeMap(found);
    VSNode* clip = host.noise(pfRGB24, 1);
    CHECK_EQUAL(host.refusal(clip, {{"device", -1}}, {{"model", "net"}}), "");
    VSMap* devices = host.call("rvk", "Devices", nullptr, {}, {});
    CHECK_EQUAL(std::max(0, host.api->mapNumElements(devices, "uuid")), ssize(list_devices()));
    host.api->freeMap(devices);
    unsetenv("REALESRGAN_VK_MODELS");
}

int main() {
    return check::run_all();
}
