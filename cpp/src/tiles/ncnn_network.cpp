#include "tiles/ncnn_network.hpp"

#include <allocator.h>
#include <cpu.h>
#include <datareader.h>
#include <gpu.h>
#include <layer.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include "base/escape.hpp"
#include "base/forks.hpp"
#include "base/integers.hpp"
#include "base/memory_budget.hpp"
#include "base/openmp.hpp"
#include "base/thread_count.hpp"
#include "model/layer_kinds.hpp"
#include "model/param_writer.hpp"
#include "model/shape_inference.hpp"
#include "model/weight_file.hpp"
#include "realesrgan/errors.hpp"
#include "tiles/cpu_layers.hpp"
#include "tiles/gpu_blob_allocator.hpp"
#include "tiles/tile_pool.hpp"
#include "vulkan/instance/instance.hpp"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace realesrgan {
namespace {

constexpr int kNoMemory = CheckedNet::kNoMemory;

ncnn::Option make_option(const Options& options) {
    ncnn::Option option;
    option.num_threads = thread_count(options.threads);
    option.use_local_pool_allocator = false;  // a run has its own pool and gives it back
    option.use_fp16_arithmetic = false;       // sums are 32-bit everywhere
    option.use_fp16_packed = options.fp16;
    option.use_fp16_storage = options.fp16;
    // Winograd rounds to 16 bits between its steps. Largest error on lavapipe against fp32, in
    // 255ths, photograph of 48x40: x4plus-anime 1.24 with it, 0.65 without; animevideov3 0.27 and
    // 0.18 (and 2.19 and 0.54 with it and 16-bit sums). Without, no sample is more than 1 step off
    // in 8 bits.
    option.use_winograd_convolution = !options.fp16;
    option.use_bf16_packed = false;
    option.use_bf16_storage = false;
    option.use_vulkan_compute = options.device != kCpuDevice;
    return option;
}

// ncnn does not check the allocation of the weights that it transforms for Winograd: up to 36
// floats for 9 fp16 values of the file, besides the convolution's own floats, and twice the floats
// where convolutions that keep the file's values are computed by others. So all of it, with the
// stacks of its threads (usually 8 MB each), is allocated and freed first.
void ask_for_weights(const std::string& bin_path, winograd::WeightForm form, int threads) {
    const std::uintmax_t most_growth = form == winograd::WeightForm::packed ? 4 : 10;
    constexpr std::uintmax_t kThreadBytes = std::uintmax_t{10} << 20;
    std::error_code error;
    const std::uintmax_t bytes = std::filesystem::file_size(bin_path, error);
    if (error) {
        return;  // told by who reads it
    }
    // Called as functions: a pair of a new and a delete expression may be left out by a compiler.
    ::operator delete(
        ::operator new(bytes * most_growth + static_cast<unsigned>(threads) * kThreadBytes));
}

// Gives back what reading and transforming weights left of the heap: a fifth of a large network's.
void trim_heap() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

class WatchedStaging final : public ncnn::VkStagingAllocator {
  public:
    using ncnn::VkStagingAllocator::fastMalloc;
    using ncnn::VkStagingAllocator::VkStagingAllocator;

    ncnn::VkBufferMemory* fastMalloc(std::size_t size) override {
        ncnn::VkBufferMemory* memory = VkStagingAllocator::fastMalloc(size);
        refused_ = refused_ || memory == nullptr;
        return memory;
    }
    bool refused() const { return refused_; }

  private:
    bool refused_ = false;
};

// Work of a convolution in multiplications for each pixel of the network's input; 0 of others.
double layer_work(const Layer& layer, const Trace& sizes) {
    if (layer.type != "Convolution") return 0;
    const Ratio zoom = sizes.blobs[idx(layer.outputs.front())].zoom;
    return layer.number(6, 0.0F) * zoom.value() * zoom.value();
}

std::int64_t largest_run(const Graph& graph, const ncnn::VulkanDevice* device) {
    if (device == nullptr) {
        return std::numeric_limits<std::int64_t>::max();
    }
    double most = 1.0;
    for (const BlobSize& blob : trace(graph).blobs) {
        most = std::max(most, blob.channels * blob.zoom.value() * blob.zoom.value());
    }
    const double limit = device->info.physicalDeviceProperties().limits.maxStorageBufferRange;
    return static_cast<std::int64_t>(limit / (most * sizeof(float)));
}

// Feeds a .bin, which WeightFile has checked, to ncnn and notes whether it is as long as ncnn
// wants. Past its end it goes on with zeros, so that ncnn finishes quietly and the caller tells
// what was wrong.
class WeightReader final : public ncnn::DataReader {
  public:
    explicit WeightReader(const std::string& path)
        : path_(path), in_(std::filesystem::u8path(path), std::ios::binary) {}

    std::size_t read(void* buffer, std::size_t size) const override {
        wanted_ += size;
        in_.read(static_cast<char*>(buffer), static_cast<std::streamsize>(size));
        const auto got = static_cast<std::size_t>(in_.gcount());
        std::memset(static_cast<char*>(buffer) + got, 0, size - got);
        return size;
    }

    void check_all_read() const {
        std::error_code error;
        const std::uintmax_t size =
            std::filesystem::file_size(std::filesystem::u8path(path_), error);
        if (wanted_ == size) return;
        throw ModelError(shown_path(path_) + ": has " + std::to_string(size) +
                         " bytes, but the network of the .param file needs " +
                         std::to_string(wanted_) +
                         "; it is truncated or damaged, or belongs to another network");
    }

  private:
    std::string path_;
    mutable std::uint64_t wanted_ = 0;
    mutable std::ifstream in_;
};

}  // namespace

NcnnNetwork::NcnnNetwork(const Graph& graph, const std::string& param_path,
                         const std::string& bin_path, const Options& options)
    : name_(shown_path(param_path)),
      input_(graph.input),
      output_(graph.output),
      checkpoints_(checkpoints(graph)) {
    try {
        check_kinds(graph);
    } catch (const ModelError& error) {
        throw ModelError(name_ + ": " + error.what());
    }
    if (options.device != kCpuDevice) {
        device_ = &gpu_device(options.device);
        if (options.fp16 && !device_->info.support_fp16_storage()) {
            throw DeviceError(std::string(device_->info.device_name()) +
                              " has no 16-bit storage; use fp32 precision");
        }
    }
    memory_.emplace(graph, options, device_);
    most_pixels_ = largest_run(graph, device_);
    net_ = std::make_unique<CheckedNet>();
    net_->opt = make_option(options);
    try {
        load(graph, bin_path);
    } catch (const std::bad_alloc&) {
        throw OutOfMemoryError(shown_path(bin_path) + ": no memory left for the network's weights");
    }
}

NcnnNetwork::~NcnnNetwork() {
    if (device_ == nullptr) {
        return;
    }
    unregister_object();
    if (gpu_of_parent()) {
        static_cast<void>(net_.release());
    }
}

void NcnnNetwork::release() noexcept {
    net_.reset();
}

void NcnnNetwork::load(const Graph& graph, const std::string& bin_path) {
    prepare_openmp();
    const WeightFile whole(graph, bin_path);  // ncnn makes room for weights before it reads them
    const std::string text = param_text(graph);
    const WeightReader weights(bin_path);
    std::unique_ptr<GpuActivityGuard> use;
    if (device_ != nullptr) {
        use = std::make_unique<GpuActivityGuard>();
        net_->set_vulkan_device(device_);
    } else {
        ask_for_weights(bin_path, CpuLayers(graph).weight_form(), net_->opt.num_threads);
    }
    const auto* cursor = reinterpret_cast<const unsigned char*>(text.data());
    if (net_->load_param(ncnn::DataReaderFromMemory(cursor, text.size())) != 0) {
        throw ModelError(name_ +
                         ": ncnn refuses it: a layer that is not built in, or a parameter outside "
                         "of its range");
    }
    if (device_ != nullptr && !net_->opt.use_vulkan_compute) {
        throw DeviceError(std::string(device_->info.device_name()) +
                          " cannot run ncnn's Vulkan layers; use another device");
    }
    if (device_ == nullptr) {
        const CpuLayers own(graph);
        for (std::size_t i = 0; i < graph.layers.size(); ++i) {
            std::unique_ptr<ncnn::Layer> layer = own.make(graph, i, whole);
            if (layer != nullptr) net_->replace(i, std::move(layer));
        }
    }
    const int code = net_->load_model(weights);
    weights.check_all_read();
    if (code == kNoMemory) {
        throw OutOfMemoryError(shown_path(bin_path) + ": no memory left for the network's weights");
    }
    if (code != 0) {
        throw ModelError(shown_path(bin_path) + ": ncnn cannot use these weights (code " +
                         std::to_string(code) + "); the file is damaged");
    }
    net_->check_layers(graph);
    trim_heap();
    if (device_ != nullptr) {
        register_object();
    }
}

std::vector<NcnnNetwork::Checkpoint> NcnnNetwork::checkpoints(const Graph& graph) {
    constexpr int kParts = 24;
    const Trace sizes = trace(graph);
    std::vector<Checkpoint> all;
    double total = 0;
    for (const Layer& layer : graph.layers) total += layer_work(layer, sizes);
    double done = 0;
    double next = total / kParts;
    for (const Layer& layer : graph.layers) {
        done += layer_work(layer, sizes);
        if (done >= next && done < total) {
            all.push_back({layer.outputs.front(), done / total});
            next = done + total / kParts;
        }
    }
    return all;
}

std::uint64_t NcnnNetwork::memory_budget() const {
    if (device_ == nullptr) {
        return host_budget();
    }
    const GpuActivityGuard use;
    return device_budget(*device_);
}

bool NcnnNetwork::own_memory() const {
    return device_ != nullptr && !shares_host_memory(*device_);
}

ncnn::Mat NcnnNetwork::infer(const ncnn::Mat& input, const Progress& progress,
                             std::size_t most_bytes) const {
    return device_ == nullptr ? infer_cpu(input, progress, most_bytes)
                              : infer_gpu(input, progress, most_bytes);
}

ncnn::Mat NcnnNetwork::infer_cpu(const ncnn::Mat& input, const Progress& progress,
                                 std::size_t most_bytes) const {
    TilePool pool(memory_->used(input.w, input.h), most_bytes);
    ncnn::Mat result;
    {
        ncnn::Extractor extractor = net_->create_extractor();
        extractor.set_blob_allocator(&pool);
        extractor.set_workspace_allocator(&pool);
        int code = extractor.input(input_, input);
        for (const Checkpoint& checkpoint : checkpoints_) {
            if (code != 0 || !progress) {
                break;
            }
            ncnn::Mat
                passing;  // as it is (type 1): looked at by nobody, so neither unpacked nor kept
            code = extractor.extract(checkpoint.blob, passing, 1);
            passing.release();
            progress(checkpoint.fraction);
        }
        if (code == 0) {
            code = extractor.extract(output_, result);
        }
        if (code != 0 || result.empty()) {
            fail(code, input, pool.refused());
        }
        pool.trim();
        result = result.clone();  // out of the pool, which ends here
    }
    if (result.empty()) {
        fail(kNoMemory, input, true);
    }
    return result;
}

ncnn::Mat NcnnNetwork::infer_gpu(const ncnn::Mat& input, const Progress& progress,
                                 std::size_t most_bytes) const {
    const GpuActivityGuard use;
    GpuBlobs blobs(device_, memory_->block(input.w, input.h), most_bytes);
    WatchedStaging staging(device_);
    ncnn::Mat result;
    ncnn::Extractor extractor = net_->create_extractor();
    extractor.set_blob_vkallocator(&blobs);
    extractor.set_workspace_vkallocator(&blobs);
    extractor.set_staging_vkallocator(&staging);
    int code = extractor.input(input_, input);
    if (progress) {
        // What one submission holds cannot be stopped: as many of them as there are checkpoints.
        ncnn::VkCompute commands(device_);
        for (const Checkpoint& checkpoint : checkpoints_) {
            ncnn::VkMat passing;
            code = code == 0 ? extractor.extract(checkpoint.blob, passing, commands) : code;
            passing.release();
            code = code == 0 ? commands.submit_and_wait() : code;
            code = code == 0 ? commands.reset() : code;
            if (code != 0) {
                fail(code, input, blobs.refused() || staging.refused());
            }
            progress(checkpoint.fraction);
        }
    }
    if (code == 0) {
        code = extractor.extract(output_, result);
    }
    if (code != 0 || result.empty()) {
        fail(code, input, blobs.refused() || staging.refused());
    }
    return result;
}

void NcnnNetwork::fail(int code, const ncnn::Mat& input, bool memory_refused) const {
    const std::string size = std::to_string(input.w) + "x" + std::to_string(input.h);
    if (code == CheckedNet::kFault) {
        throw ModelError(name_ + ": " + CheckedNet::last_fault() + " (of " + size + " pixels)");
    }
    if (memory_refused) {
        throw OutOfMemoryError("no memory left for a tile of " + size +
                               " pixels; use a smaller tile or another device");
    }
    if (code == 0 || code == kNoMemory) {
        throw ModelError(name_ + ": a layer makes nothing of a picture of " + size +
                         " pixels; the sizes of the network's layers do not fit it");
    }
    if (device_ != nullptr) {
        const std::string name = device_->info.device_name();
        retire_gpu_device(*device_);
        throw DeviceError(name + " failed during a run (code " + std::to_string(code) +
                          "); make a new upscaler, or use another device");
    }
    throw ModelError(name_ + ": ncnn cannot run it on " + size + " pixels (code " +
                     std::to_string(code) + ")");
}

}  // namespace realesrgan
