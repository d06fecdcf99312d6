#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "realesrgan/realesrgan.h"
#include "realesrgan/realesrgan.hpp"

static_assert(std::is_standard_layout_v<realesrgan_options>);

struct realesrgan_network {
    realesrgan::Upscaler upscaler;
};

namespace {

using realesrgan::SampleType;

thread_local std::string last_error;

realesrgan_status failed(realesrgan_status status, const char* words) noexcept {
    try {
        last_error = words;
    } catch (...) {
        last_error.clear();
    }
    return status;
}

// The status of the exception that is being handled.
realesrgan_status caught() noexcept {
    try {
        throw;
    } catch (const realesrgan::ModelError& error) {
        return failed(REALESRGAN_MODEL_ERROR, error.what());
    } catch (const realesrgan::DeviceError& error) {
        return failed(REALESRGAN_DEVICE_ERROR, error.what());
    } catch (const realesrgan::OutOfMemoryError& error) {
        return failed(REALESRGAN_OUT_OF_MEMORY, error.what());
    } catch (const realesrgan::ImageError& error) {
        return failed(REALESRGAN_IMAGE_ERROR, error.what());
    } catch (const realesrgan::Cancelled& error) {
        return failed(REALESRGAN_CANCELLED, error.what());
    } catch (const std::invalid_argument& error) {
        return failed(REALESRGAN_INVALID_ARGUMENT, error.what());
    } catch (const std::bad_alloc&) {
        return failed(REALESRGAN_OUT_OF_MEMORY, "an allocation failed");
    } catch (const std::exception& error) {
        return failed(REALESRGAN_ERROR, error.what());
    } catch (...) {
        return failed(REALESRGAN_ERROR, "an exception of an unknown type");
    }
}

template <typename Work>
realesrgan_status guarded(const Work& work) noexcept {
    try {
        work();
        return REALESRGAN_OK;
    } catch (...) {
        return caught();
    }
}

void require(bool holds, const char* words) {
    if (!holds) throw std::invalid_argument(words);
}

// Those of a caller that was compiled with an earlier version lack the last fields.
realesrgan::Options options_of(const realesrgan_options* given) {
    realesrgan_options all;
    realesrgan_default_options(&all);
    if (given != nullptr) {
        require(given->size >= offsetof(realesrgan_options, memory_limit),
                "options.size is too small; call realesrgan_default_options first");
        require(given->size <= sizeof all,
                "the options are of a later version than the library; install that version");
        std::memcpy(&all, given, given->size);
    }
    realesrgan::Options options;
    options.device = all.device;
    options.fp16 = all.fp16 != 0;
    options.tile = all.tile;
    options.tta = all.tta != 0;
    options.threads = all.threads;
    options.runs_at_once = all.runs_at_once;
    options.memory_limit = all.memory_limit;
    return options;
}

template <typename Byte>
realesrgan::BasicImageView<Byte> view_of(const realesrgan_image* image, const char* missing) {
    require(image != nullptr && image->data != nullptr, missing);
    require(image->type >= REALESRGAN_U8 && image->type <= REALESRGAN_F32,
            "type of an image must be one of realesrgan_sample");
    constexpr SampleType kTypes[] = {SampleType::u8, SampleType::u16, SampleType::f32};
    return {static_cast<Byte*>(image->data),
            kTypes[image->type],
            image->width,
            image->height,
            image->channels,
            image->row_stride,
            image->pixel_stride,
            image->channel_stride};
}

}  // namespace

const char* realesrgan_version(void) {
    return REALESRGAN_VK_VERSION;
}

const char* realesrgan_last_error(void) {
    return last_error.c_str();
}

int32_t realesrgan_device_count(void) {
    std::size_t count = 0;
    const realesrgan_status status = guarded([&] { count = realesrgan::list_devices().size(); });
    return status == REALESRGAN_OK ? static_cast<int32_t>(count) : 0;
}

realesrgan_status realesrgan_device_name(int32_t index, char* name, size_t capacity) {
    return guarded([&] {
        require(name != nullptr && capacity > 0, "name must have room for a zero at least");
        name[0] = '\0';
        const auto devices = realesrgan::list_devices();
        require(index >= 0 && static_cast<std::size_t>(index) < devices.size(),
                "index must be from 0 to below realesrgan_device_count()");
        const std::string& found = devices[static_cast<std::size_t>(index)].name;
        const std::size_t length = std::min(found.size(), capacity - 1);
        std::memcpy(name, found.data(), length);
        name[length] = '\0';
    });
}

void realesrgan_default_options(realesrgan_options* options) {
    if (options == nullptr) return;
    const realesrgan::Options defaults;
    *options = realesrgan_options{
        sizeof *options,       defaults.device,      0, defaults.tile, 0, defaults.threads,
        defaults.runs_at_once, defaults.memory_limit};
}

realesrgan_status realesrgan_open(const char* param_path, const char* bin_path,
                                  const realesrgan_options* options, realesrgan_network** network) {
    if (network != nullptr) *network = nullptr;
    return guarded([&] {
        require(param_path != nullptr && bin_path != nullptr && network != nullptr,
                "param_path, bin_path and network must not be null");
        auto made = std::make_unique<realesrgan_network>(
            realesrgan_network{realesrgan::Upscaler(param_path, bin_path, options_of(options))});
        *network = made.release();
    });
}

void realesrgan_close(realesrgan_network* network) {
    delete network;
}

int32_t realesrgan_scale(const realesrgan_network* network) {
    return network == nullptr ? 0 : network->upscaler.network().scale;
}

int32_t realesrgan_channels(const realesrgan_network* network) {
    return network == nullptr ? 0 : network->upscaler.network().input_channels;
}

realesrgan_status realesrgan_upscale(const realesrgan_network* network,
                                     const realesrgan_image* input, const realesrgan_image* output,
                                     realesrgan_progress progress, void* context) {
    return guarded([&] {
        require(network != nullptr, "network must not be null");
        const auto from = view_of<const std::byte>(input, "input and its data must not be null");
        const auto into = view_of<std::byte>(output, "output and its data must not be null");
        realesrgan::Progress report;
        if (progress != nullptr) {
            report = [progress, context](double fraction) {
                if (progress(fraction, context) != 0) {
                    throw realesrgan::Cancelled("the progress function stopped the run");
                }
            };
        }
        network->upscaler.run(from, into, report);
    });
}
