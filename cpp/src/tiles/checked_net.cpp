#include "tiles/checked_net.hpp"

#include <layer.h>

#include <memory>
#include <utility>
#include <vector>

#include "model/layer_kinds.hpp"
#include "model/layer_sizes.hpp"

namespace realesrgan {

namespace {

thread_local std::string fault_of_thread;

// Of an ncnn::Mat or ncnn::VkMat, which may hold several channels in one element.
template <typename Blob>
Shape shape_of(const Blob& blob) {
    Shape shape{blob.dims, blob.w, blob.h, blob.d, blob.c};
    std::int64_t& packed = shape.dims == 1 ? shape.w : shape.dims == 2 ? shape.h : shape.c;
    packed *= blob.elempack;
    return shape;
}

// Gives a layer the name, the blobs and the masks of another one.
void take_place(const ncnn::Layer& of, ncnn::Layer& layer) {
    layer.featmask = of.featmask;
    layer.typeindex = of.typeindex;
    layer.type = of.type;
    layer.name = of.name;
    layer.bottoms = of.bottoms;
    layer.tops = of.tops;
    layer.bottom_shapes = of.bottom_shapes;
    layer.top_shapes = of.top_shapes;
}

// One layer in front of ncnn's own. Noop and others that work in place give their inputs back.
class CheckedLayer final : public ncnn::Layer {
  public:
    CheckedLayer(ncnn::Layer* inner, realesrgan::Layer layer)
        : inner_(inner), layer_(std::move(layer)) {
        one_blob_only = inner->one_blob_only;  // not all of ncnn::Layer is initialized
        support_inplace = inner->support_inplace;
        support_vulkan = inner->support_vulkan;
        support_packing = inner->support_packing;
        support_bf16_storage = inner->support_bf16_storage;
        support_fp16_storage = inner->support_fp16_storage;
        support_int8_storage = inner->support_int8_storage;
        support_tensor_storage = inner->support_tensor_storage;
        support_vulkan_packing = inner->support_vulkan_packing;
        support_any_packing = inner->support_any_packing;
        support_vulkan_any_packing = inner->support_vulkan_any_packing;
        support_batch = inner->support_batch;
        vkdev = inner->vkdev;
        take_place(*inner, *this);
    }

    int destroy_pipeline(const ncnn::Option& option) override {
        return inner_->destroy_pipeline(option);
    }

    int forward(const std::vector<ncnn::Mat>& in, std::vector<ncnn::Mat>& out,
                const ncnn::Option& option) const override {
        return run(in, out, [&] { return inner_->forward(in, out, option); });
    }
    int forward(const ncnn::Mat& in, ncnn::Mat& out, const ncnn::Option& option) const override {
        return run(in, out, [&] { return inner_->forward(in, out, option); });
    }
    int forward_inplace(std::vector<ncnn::Mat>& blobs, const ncnn::Option& option) const override {
        return run(blobs, blobs, [&] { return inner_->forward_inplace(blobs, option); });
    }
    int forward_inplace(ncnn::Mat& blob, const ncnn::Option& option) const override {
        return run(blob, blob, [&] { return inner_->forward_inplace(blob, option); });
    }
    int forward(const std::vector<ncnn::VkMat>& in, std::vector<ncnn::VkMat>& out,
                ncnn::VkCompute& commands, const ncnn::Option& option) const override {
        return run(in, out, [&] { return inner_->forward(in, out, commands, option); });
    }
    int forward(const ncnn::VkMat& in, ncnn::VkMat& out, ncnn::VkCompute& commands,
                const ncnn::Option& option) const override {
        return run(in, out, [&] { return inner_->forward(in, out, commands, option); });
    }
    int forward_inplace(std::vector<ncnn::VkMat>& blobs, ncnn::VkCompute& commands,
                        const ncnn::Option& option) const override {
        return run(blobs, blobs, [&] { return inner_->forward_inplace(blobs, commands, option); });
    }
    int forward_inplace(ncnn::VkMat& blob, ncnn::VkCompute& commands,
                        const ncnn::Option& option) const override {
        return run(blob, blob, [&] { return inner_->forward_inplace(blob, commands, option); });
    }

  private:
    template <typename In, typename Out, typename Compute>
    int run(const In& in, const Out& out, const Compute& compute) const {
        const std::vector<Shape> inputs = shapes_of(in);
        for (const Shape& shape : inputs) {
            if (shape.dims == 0) return fail("reads a blob that was not computed");
        }
        const std::string before = size_fault(layer_, inputs);
        if (!before.empty()) return fail(before);
        const int code = compute();
        if (code != 0) return code;
        for (const Shape& shape : shapes_of(out)) {
            if (shape.dims == 0 || shape.total() < 1) return CheckedNet::kNoMemory;
        }
        return within_memory(out) ? 0 : fail("made a result that does not fit its memory");
    }

    template <typename Blob>
    static std::vector<Shape> shapes_of(const Blob& blob) {
        return {shape_of(blob)};
    }
    template <typename Blob>
    static std::vector<Shape> shapes_of(const std::vector<Blob>& blobs) {
        std::vector<Shape> shapes;
        for (const Blob& blob : blobs) shapes.push_back(shape_of(blob));
        return shapes;
    }

    template <typename Blob>
    static bool within_memory(const Blob& blob) {
        return std::int64_t{blob.w} * blob.h * blob.d <= static_cast<std::int64_t>(blob.cstep);
    }
    template <typename Blob>
    static bool within_memory(const std::vector<Blob>& blobs) {
        for (const Blob& blob : blobs) {
            if (!within_memory(blob)) return false;
        }
        return true;
    }

    int fail(const std::string& fault) const {
        return CheckedNet::fail(layer_title(layer_) + " " + fault);
    }

    std::unique_ptr<ncnn::Layer> inner_;
    realesrgan::Layer layer_;
};

}  // namespace

void CheckedNet::check_layers(const Graph& graph) {
    std::vector<ncnn::Layer*>& layers = mutable_layers();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        layers[i] = new CheckedLayer(layers[i], graph.layers[i]);  // ncnn::Net deletes it
    }
}

void CheckedNet::replace(std::size_t index, std::unique_ptr<ncnn::Layer> layer) {
    ncnn::Layer*& place = mutable_layers()[index];
    take_place(*place, *layer);
    delete std::exchange(place, layer.release());  // as ncnn::Net does
}

int CheckedNet::fail(const std::string& reason) {
    fault_of_thread = reason;
    return kFault;
}

std::string CheckedNet::last_fault() {
    return fault_of_thread;
}

}  // namespace realesrgan
