#include "model/layer_sizes.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

#include "model/layer_kinds.hpp"
#include "model/layer_weights.hpp"
#include "model/size_expression.hpp"

namespace realesrgan {

namespace sizes {

namespace {

using Shapes = std::vector<Shape>;

constexpr std::int64_t kMostPlane = 2147483647;             // samples: ncnn counts them in 32 bits
constexpr std::int64_t kMostTotal = std::int64_t{1} << 40;  // samples: far from overflow
constexpr std::int64_t kMostChannels = 1 << 20;

// The end of a sentence that begins with the layer's name.
struct Fault {
    std::string text;
};

[[noreturn]] void fail(const std::string& text) {
    throw Fault{text};
}

std::string text(std::int64_t number) {
    return std::to_string(number);
}

std::string text(const Shape& shape) {
    std::string words;
    for (int i = shape.dims - 1; i >= 0; --i) {
        words += text(shape.axis(i)) + (i > 0 ? "x" : "");
    }
    return words;
}

// Called for every layer whose result may be larger than its inputs.
void want_result(std::int64_t w, std::int64_t h, std::int64_t d, std::int64_t c) {
    if (w < 1 || h < 1 || d < 1 || c < 1) fail("would make an empty result");
    const bool plane = w <= kMostPlane && h <= kMostPlane / w && d <= kMostPlane / (w * h);
    if (!plane || c > kMostTotal / (w * h * d)) fail("would make a result that is too large");
}

void want_dims(const Shape& shape, int dims) {
    if (shape.dims != dims)
        fail("reads a blob of " + text(shape.dims) + " dimensions, expected " + text(dims));
}

void want_channels(const Shape& shape, std::int64_t count, const char* what) {
    if (shape.axis(0) != count)
        fail("has " + text(count) + ' ' + what + " for " + text(shape.axis(0)) + " channels");
}

// ncnn counts negative axes from the end.
int positive_axis(std::int64_t axis, const Shape& shape) {
    const std::int64_t index = axis < 0 ? axis + shape.dims : axis;
    if (index < 0 || index >= shape.dims)
        fail("has an axis of " + text(axis) + " for a blob of " + text(shape.dims) + " dimensions");
    return static_cast<int>(index);
}

// Output samples of a window along an axis; 0 where it does not fit.
std::int64_t steps(const KernelAxis& window, std::int64_t size) {
    if (window.pad_before < 0) {  // as many as strides, by padding what the kernel needs
        return window.stride > window.reach() + 1 ? 0 : (size + window.stride - 1) / window.stride;
    }
    const std::int64_t room = size + window.pad_before + window.pad_after - window.reach() - 1;
    return room < 0 ? 0 : room / window.stride + 1;
}

void want_window(const Layer& layer, const Shape& in, std::int64_t channels) {
    const std::int64_t w = steps(kernel_columns(layer), in.w);
    const std::int64_t h = steps(kernel_rows(layer), in.h);
    if (w < 1 || h < 1) fail("has a kernel larger than its input of " + text(in));
    want_result(w, h, 1, channels);
}

// The channels that a convolution's weights are for.
std::int64_t weighed_channels(const Layer& layer) {
    const std::int64_t kernel = layer.integer(1, 1);
    const std::int64_t taps = kernel * layer.integer(11, static_cast<int>(kernel));
    return layer.integer(6, 0) / (taps * layer.integer(0, 1));
}

void want_weights(const Layer& layer, const Shape& in) {
    const std::int64_t groups =
        layer.type.find("DepthWise") == std::string::npos ? 1 : layer.integer(7, 1);
    const std::int64_t expected = weighed_channels(layer) * groups;
    if (in.c != expected)
        fail("has weights for " + text(expected) + " channels, but reads " + text(in.c));
}

void convolution(const Layer& layer, const Shapes& in) {
    const bool dot = layer.type == "Convolution" && in[0].dims == 1;
    if (dot) {  // ncnn runs a 1x1 kernel on a row of channels as an inner product
        const bool one = layer.integer(1, 1) == 1 && layer.integer(11, 1) == 1;
        if (!one) return want_dims(in[0], 3);
        return want_weights(layer, Shape::picture(1, 1, in[0].w));
    }
    want_dims(in[0], 3);
    want_weights(layer, in[0]);
    want_window(layer, in[0], layer.integer(0, 1));
}

void deconvolution(const Layer& layer, const Shapes& in) {
    want_dims(in[0], 3);
    want_weights(layer, in[0]);
    const auto made = [](const KernelAxis& window, std::int64_t size, std::int64_t more) {
        return (size - 1) * window.stride + window.reach() + 1 + more - window.pad_before -
               window.pad_after;
    };
    const int more = layer.integer(18, 0);
    want_result(made(kernel_columns(layer), in[0].w, more),
                made(kernel_rows(layer), in[0].h, layer.integer(19, more)), 1, layer.integer(0, 1));
}

void inner_product(const Layer& layer, const Shapes& in) {
    const std::int64_t expected = layer.integer(2, 0) / layer.integer(0, 1);
    const std::int64_t found = in[0].dims == 2 && in[0].w == expected ? in[0].w : in[0].total();
    if (found != expected)
        fail("has weights for " + text(expected) + " inputs, but reads " + text(found));
}

void prelu(const Layer& layer, const Shapes& in) {
    const int slopes = layer.integer(0, 0);
    if (slopes != 1) want_channels(in[0], slopes, "slopes");
}

void scale(const Layer& layer, const Shapes& in) {
    if (layer.integer(0, 0) != kRest) return want_channels(in[0], layer.integer(0, 0), "factors");
    if (in[1].dims == 0) return;
    want_channels(in[0], in[1].total(), "factors");
}

void group_norm(const Layer& layer, const Shapes& in) {
    const int groups = layer.integer(0, 1);
    if (in[0].axis(0) % groups != 0) fail("has channels that its groups do not divide");
    want_channels(in[0], layer.integer(1, 0), "factors");
}

void instance_norm(const Layer& layer, const Shapes& in) {
    want_dims(in[0], 3);
    if (layer.integer(2, 1) != 0) want_channels(in[0], layer.integer(0, 0), "factors");
}

void layer_norm(const Layer& layer, const Shapes& in) {
    const int size = layer.integer(0, 0);
    const bool row = size == in[0].w;
    const bool plane = in[0].dims == 3 && size == in[0].w * in[0].h;
    if ((!row && !plane) || in[0].dims > 3)
        fail("has " + text(size) + " factors for a blob of " + text(in[0]));
}

void normalize(const Layer& layer, const Shapes& in) {
    want_dims(in[0], 3);
    if (layer.integer(1, 0) == 0) return want_channels(in[0], layer.integer(3, 0), "factors");
    if (layer.integer(3, 0) != 1) fail("has more than one factor");
}

// How ncnn broadcasts the operand of fewer dimensions to the other one.
Shape spread(const Shape& small, const Shape& large) {
    if (small.dims == large.dims) return small;
    Shape shape = small;
    shape.dims = large.dims;
    if (small.dims == 1) {
        const bool outermost = small.w == large.axis(0);
        if (outermost) {
            shape.w = 1;
            (large.dims == 2 ? shape.h : shape.c) = small.w;
        }
    } else if (small.dims == 2) {
        shape.w = 1;
        (large.dims == 3 ? shape.h : shape.d) = small.w;
        shape.c = small.h;
        if (large.dims == 4) shape.h = 1;
    } else {
        shape.w = 1;
        shape.h = small.w;
        shape.d = small.h;
        shape.c = small.c;
    }
    return shape;
}

[[noreturn]] void fail_unequal(const Shape& a, const Shape& b) {
    fail("reads blobs of " + text(a) + " and " + text(b) + ", which do not fit each other");
}

void binary(const Layer& /*layer*/, const Shapes& in) {
    if (in.size() < 2) return;
    const Shape a = spread(in[0], in[1].dims > in[0].dims ? in[1] : in[0]);
    const Shape b = spread(in[1], in[0].dims > in[1].dims ? in[0] : in[1]);
    const auto fit = [](std::int64_t one, std::int64_t other) {
        return one == other || one == 1 || other == 1;
    };
    if (!fit(a.w, b.w) || !fit(a.h, b.h) || !fit(a.d, b.d) || !fit(a.c, b.c)) {
        fail_unequal(in[0], in[1]);
    }
    want_result(std::max(a.w, b.w), std::max(a.h, b.h), std::max(a.d, b.d), std::max(a.c, b.c));
}

void eltwise(const Layer& /*layer*/, const Shapes& in) {
    for (const Shape& other : in) {
        for (int i = 0; i < std::max(in[0].dims, other.dims); ++i) {
            if (other.dims != in[0].dims || other.axis(i) != in[0].axis(i)) {
                fail_unequal(in[0], other);
            }
        }
    }
}

void concat(const Layer& layer, const Shapes& in) {
    const int axis = positive_axis(layer.integer(0, 0), in[0]);
    Shape sum = in[0];
    std::int64_t length = 0;
    for (const Shape& part : in) {
        for (int i = 0; i < in[0].dims; ++i) {
            if (part.dims != in[0].dims || (i != axis && part.axis(i) != in[0].axis(i))) {
                fail_unequal(in[0], part);
            }
        }
        length += part.axis(axis);
    }
    const int last = in[0].dims - 1;
    (axis == last       ? sum.w
     : axis == 0        ? (last == 1 ? sum.h : sum.c)
     : axis == last - 1 ? sum.h
                        : sum.d) = length;
    want_result(sum.w, sum.h, sum.d, sum.c);
}

void slice(const Layer& layer, const Shapes& in) {
    const int axis = positive_axis(layer.integer(1, 0), in[0]);
    const std::int64_t length = in[0].axis(axis);
    const std::string fault = "has slices that do not fit into " + text(length);
    const std::vector<int> indices = layer.integers(2);
    std::int64_t at = 0;
    for (const int index : indices) {
        const std::int64_t end = index < 0 ? length + index : index;
        if (end <= at || end >= length) fail(fault);
        at = end;
    }
    if (!indices.empty()) return;
    const std::vector<int> slices = layer.integers(0);
    for (std::size_t i = 0; i < slices.size(); ++i) {
        const auto left = static_cast<std::int64_t>(slices.size() - i);
        const std::int64_t size = slices[i] == kRest ? (length - at) / left : slices[i];
        if (size < 1 || size > length - at) fail(fault);
        at += size;
    }
    if (at != length) fail(fault);
}

void grid_sample(const Layer& layer, const Shapes& in) {
    for (const Shape& shape : in) {
        if (shape.dims != 0) want_dims(shape, 3);
    }
    const std::int64_t coordinates = layer.integer(3, 0) != 0 ? in[1].c : in[1].w;
    if (in[1].dims != 0 && coordinates != 2) fail("reads positions that are no pairs");
}

void matmul(const Layer& layer, const Shapes& in) {
    const Shape& a = in[0];
    const Shape& b = in[1];
    const bool turned = layer.integer(0, 0) != 0 || b.dims == 1;
    const auto fit = [](std::int64_t one, std::int64_t other) {
        return one == other || one == 1 || other == 1;
    };
    // Three dimensions against four: the channels of the former are the depth of the latter.
    const bool deep = std::max(a.dims, b.dims) == 4 && std::min(a.dims, b.dims) == 3;
    Shape left = a;
    Shape right = b;
    for (Shape* shape : {&left, &right}) {
        if (deep && shape->dims == 3) *shape = Shape{4, shape->w, shape->h, shape->c, 1};
    }
    const bool batches =
        a.dims == 1 || b.dims == 1 || (fit(left.d, right.d) && fit(left.c, right.c));
    if (a.w != (turned ? b.w : b.h) || !batches) fail_unequal(a, b);
    want_result(turned ? b.h : b.w, a.h, std::max(left.d, right.d), std::max(left.c, right.c));
}

void gemm(const Layer& layer, const Shapes& in) {
    const bool constant_a = layer.integer(4, 0) != 0;
    const bool constant_b = layer.integer(5, 0) != 0;
    const std::size_t second = constant_a ? 0 : 1;
    std::int64_t m = layer.integer(7, 0);
    std::int64_t n = layer.integer(8, 0);
    const std::int64_t constant_m = m;
    const std::int64_t constant_n = n;
    std::int64_t left = layer.integer(9, 0);
    std::int64_t right = left;
    if (!constant_a) {
        want_dims(in[0], 2);
        const bool turned = layer.integer(2, 0) != 0;
        m = turned ? in[0].w : in[0].h;
        left = turned ? in[0].h : in[0].w;
    }
    if (!constant_b) {
        want_dims(in[second], 2);
        const bool turned = layer.integer(3, 0) != 0;
        n = turned ? in[second].h : in[second].w;
        right = turned ? in[second].w : in[second].h;
    }
    if (left != right) {
        fail("multiplies rows of " + text(left) + " by columns of " + text(right));
    }
    const std::size_t third = second + (constant_b ? 0 : 1);
    if (layer.integer(6, 0) != 0) {
        const int type = layer.integer(10, 0);
        const bool fits =
            (type < 1 || type > 3 || constant_m == m) && (type < 3 || constant_n == n);
        if (!fits) fail("adds a constant that does not fit its result");
    } else if (third < in.size()) {
        const Shape& added = in[third];
        const bool row = added.dims == 1 && (added.w == 1 || added.w == m || added.w == n);
        const bool plane = added.dims == 2 && ((added.w == 1 && added.h == m) ||
                                               (added.w == n && (added.h == m || added.h == 1)));
        if (!row && !plane) fail("adds a blob that does not fit its result");
    }
    want_result(n, m, 1, 1);
}

void attention(const Layer& layer, const Shapes& in) {
    const int embed = layer.integer(0, 1);
    const bool mask = layer.integer(5, 0) != 0;
    const std::size_t matrices = in.size() - (mask ? 1 : 0);
    const Shape& query = in[0];
    const Shape& key = in[matrices > 1 ? 1 : 0];
    const Shape& value = in[matrices > 2 ? 2 : matrices > 1 ? 1 : 0];
    for (const Shape* shape : {&query, &key, &value}) {
        want_dims(*shape, 2);
    }
    if (query.w != layer.integer(2, 0) / embed || key.w != layer.integer(3, embed) ||
        value.w != layer.integer(4, embed) || key.h != value.h) {
        fail("has weights for blobs of other sizes");
    }
    if (mask) {
        const Shape& hides = in.back();
        const bool heads = hides.dims == 2 || (hides.dims == 3 && hides.c == layer.integer(1, 1));
        if (!heads || hides.w != key.h || hides.h != query.h) fail("has a mask of another size");
    }
    want_result(key.h, query.h, 1, layer.integer(1, 1));
}

void sdpa(const Layer& layer, const Shapes& in) {
    for (std::size_t i = 0; i < 3; ++i) {
        want_dims(in[i], 3);
    }
    const Shape& query = in[0];
    const Shape& key = in[1];
    const Shape& value = in[2];
    if (key.w != query.w || key.h != value.h || key.c != value.c || query.c % key.c != 0) {
        fail("reads blobs that do not fit each other");
    }
    if (layer.integer(5, 0) != 0) {
        const Shape& hides = in[3];
        const bool heads =
            hides.dims == 2 || (hides.dims == 3 && (hides.c == 1 || hides.c == query.c));
        if (!heads || hides.w != key.h || hides.h != query.h) fail("has a mask of another size");
    }
    want_result(key.h, query.h, 1, query.c);
}

// The part that a Crop takes along one axis.
void want_part(std::int64_t begin, std::int64_t size, std::int64_t length) {
    if (begin < 0 || size < 1 || begin + size > length)
        fail("takes " + text(size) + " from " + text(begin) + " on of " + text(length));
}

void listed_crop(const Shape& in, const std::vector<std::int64_t>& starts,
                 const std::vector<std::int64_t>& ends, const std::vector<std::int64_t>& axes) {
    const std::size_t count = axes.empty() ? static_cast<std::size_t>(in.dims) : axes.size();
    if (starts.size() < count || ends.size() < count || count > 4) {
        fail("has lists of starts, ends and axes that do not agree");
    }
    for (std::size_t i = 0; i < count; ++i) {
        const auto written = axes.empty() ? static_cast<std::int64_t>(i) : axes[i];
        const int axis = positive_axis(written, in);
        const std::int64_t length = in.axis(axis);
        const std::int64_t begin = starts[i] == kRest ? 0
                                   : starts[i] >= 0   ? starts[i]
                                                      : length + starts[i];
        const std::int64_t last = ends[i] == kRest ? length
                                  : ends[i] > 0    ? ends[i]
                                                   : length + ends[i];
        want_part(begin, std::min(length, last) - begin, length);
    }
}

std::vector<std::int64_t> wide(const std::vector<int>& values) {
    return {values.begin(), values.end()};
}

// The ids of an axis' offset, size and second offset in a Crop of `dims` dimensions.
std::array<int, 3> crop_ids(int axis, int dims) {
    if (axis == dims - 1) return {0, 3, 6};
    if (axis == 0 && dims > 2) return {2, 5, 8};
    return axis == dims - 2 ? std::array<int, 3>{1, 4, 7} : std::array<int, 3>{13, 14, 15};
}

void crop(const Layer& layer, const Shapes& in) {
    if (!layer.text(19).empty()) {
        const auto starts = evaluate_sizes(layer.text(19), in);
        const auto ends = evaluate_sizes(layer.text(20), in);
        const auto axes = layer.text(21).empty() ? std::vector<std::int64_t>()
                                                 : evaluate_sizes(layer.text(21), in);
        if (!starts || !ends || !axes || layer.text(21).empty()) {
            fail("has sizes that cannot be computed");
        }
        return listed_crop(in[0], *starts, *ends, *axes);
    }
    if (!layer.integers(9).empty()) {
        return listed_crop(in[0], wide(layer.integers(9)), wide(layer.integers(10)),
                           wide(layer.integers(11)));
    }
    const bool like = in.size() > 1;  // the size of a second blob
    if (like && layer.integer(0, 0) == kRest) fail("takes its offsets from a blob");
    if (like && in[1].dims == 0) return;
    if (like && in[1].dims != in[0].dims) fail_unequal(in[0], in[1]);
    for (int axis = 0; axis < in[0].dims; ++axis) {
        const auto [offset, size, second] = crop_ids(axis, in[0].dims);
        const std::int64_t begin = layer.integer(offset, 0);
        const std::int64_t room = in[0].axis(axis) - begin - layer.integer(second, 0);
        const std::int64_t asked = layer.integer(size, 0);
        const std::int64_t taken = like             ? in[1].axis(axis)
                                   : asked == kRest ? room
                                                    : std::min(asked, room);
        want_part(begin, taken, in[0].axis(axis));
    }
}

void expand_dims(const Layer& layer, const Shapes& in) {
    const std::size_t listed = layer.integers(3).size();
    const int flags =
        layer.integer(0, 0) + layer.integer(1, 0) + layer.integer(2, 0) + layer.integer(11, 0);
    const std::size_t added = listed > 0 ? listed : static_cast<std::size_t>(flags);
    if (static_cast<std::size_t>(in[0].dims) + added > 4) fail("would make five dimensions");
}

void want_axes(const Layer& layer, int id, const Shape& shape) {
    for (const int axis : layer.integers(id)) positive_axis(axis, shape);
}

void fold(const Layer& layer, const Shapes& in) {
    want_dims(in[0], 2);
    const int width = layer.integer(20, 1);
    const std::int64_t w = steps(kernel_columns(layer), width);
    const std::int64_t h = steps(kernel_rows(layer), layer.integer(21, width));
    const std::int64_t kernel = layer.integer(1, 1);
    const std::int64_t taps = kernel * layer.integer(11, static_cast<int>(kernel));
    if (w * h != in[0].w || in[0].h % taps != 0) fail("does not fit its input of " + text(in[0]));
}

void glu(const Layer& layer, const Shapes& in) {
    const int axis = positive_axis(layer.integer(0, 0), in[0]);
    if (in[0].axis(axis) % 2 != 0) fail("halves an odd size");
}

void interp(const Layer& layer, const Shapes& in) {
    if (in[0].dims > 3) return want_dims(in[0], 3);
    const bool row = in[0].dims == 1;
    std::int64_t w = layer.integer(4, 0);
    std::int64_t h = layer.integer(3, 0);
    if (!layer.text(9).empty()) {
        const auto sizes = evaluate_sizes(layer.text(9), in);
        if (!sizes || sizes->size() > 2) fail("has sizes that cannot be computed");
        w = sizes->front();
        h = sizes->size() > 1 ? sizes->back() : in[0].h;
    } else if (in.size() > 1) {
        if (in[1].dims == 0) return;
        w = in[1].w;
        h = in[1].h;
    } else if (w == 0 || h == 0) {
        const auto times = [](std::int64_t size, float zoom) {
            return static_cast<std::int64_t>(static_cast<double>(size) * static_cast<double>(zoom));
        };
        w = times(row ? 1 : in[0].w, layer.number(2, 1.0F));
        h = times(row ? 1 : in[0].h, layer.number(1, 1.0F));
    }
    if (in[0].dims == 2) h = in[0].h;
    want_result(w, h, 1, row ? in[0].w : in[0].c);
}

void padding(const Layer& layer, const Shapes& in) {
    const std::int64_t top = layer.integer(0, 0);
    const std::int64_t bottom = layer.integer(1, 0);
    const std::int64_t left = layer.integer(2, 0);
    const std::int64_t right = layer.integer(3, 0);
    const std::int64_t front = layer.integer(7, 0);
    const std::int64_t behind = layer.integer(8, 0);
    constexpr int kReflect = 2;
    if (layer.integer(4, 0) == kReflect) {
        const std::int64_t outer = in[0].dims == 4 ? in[0].d : in[0].c;
        const bool inside = std::max(left, right) < in[0].w &&
                            (in[0].dims < 2 || std::max(top, bottom) < in[0].h) &&
                            (in[0].dims < 3 || std::max(front, behind) < outer);
        if (!inside) fail("mirrors more than its input of " + text(in[0]) + " has");
    }
    const std::int64_t channels = in[0].dims == 3 ? in[0].c + front + behind : in[0].c;
    const int values = layer.integer(6, 0);
    if (values != 0 && (in[0].dims < 3 || values != channels)) {
        fail("has " + text(values) + " values for " + text(channels) + " channels");
    }
    want_result(in[0].w + left + right, in[0].h + top + bottom,
                in[0].d + (in[0].dims == 4 ? front + behind : 0), channels);
}

void permute(const Layer& layer, const Shapes& in) {
    constexpr int kOrders[] = {1, 1, 2, 6, 24};
    if (layer.integer(0, 0) >= kOrders[in[0].dims])
        fail("has an order for more dimensions than its input of " + text(in[0]));
}

void pixel_shuffle(const Layer& layer, const Shapes& in) {
    const std::int64_t factor = layer.integer(0, 1);
    want_dims(in[0], 3);
    if (in[0].c % (factor * factor) != 0) {
        fail("shuffles " + text(in[0].c) + " channels by " + text(factor) +
             ", which does not divide them");
    }
    want_result(in[0].w * factor, in[0].h * factor, 1, in[0].c / (factor * factor));
}

void reorg(const Layer& layer, const Shapes& in) {
    const std::int64_t factor = layer.integer(0, 1);
    want_dims(in[0], 3);
    if (in[0].w < factor || in[0].h < factor) fail("reads an input of " + text(in[0]));
    const bool many = in[0].c * factor * factor > kMostChannels;
    if (many) fail("would make more than 1048576 channels");
}

void pooling(const Layer& layer, const Shapes& in) {
    if (layer.integer(4, 0) != 0) return;
    want_dims(in[0], 3);
    if (layer.integer(7, 0) != 0) {
        const int w = layer.integer(8, 1);
        const int h = layer.integer(18, w);
        return want_result(w == kRest ? in[0].w : w, h == kRest ? in[0].h : h, 1, in[0].c);
    }
    const std::int64_t kernel = layer.integer(1, 1);
    const std::int64_t stride = layer.integer(2, 1);
    const int left = layer.integer(3, 0);
    const int top = layer.integer(13, left);
    KernelAxis across{kernel, 1, stride, left, layer.integer(14, left)};
    KernelAxis down{layer.integer(11, layer.integer(1, 1)), 1,
                    layer.integer(12, layer.integer(2, 1)), top, layer.integer(15, top)};
    constexpr int kFirstSame = 2;
    if (layer.integer(5, 0) >= kFirstSame) across.pad_before = down.pad_before = kRest;
    if (steps(across, in[0].w) < 1 || steps(down, in[0].h) < 1)
        fail("has a kernel larger than its input of " + text(in[0]));
}

void reshape(const Layer& layer, const Shapes& in) {
    constexpr std::int64_t kNone = kRest;
    std::array<std::int64_t, 4> size{layer.integer(0, kRest), layer.integer(1, kRest),
                                     layer.integer(11, kRest), layer.integer(2, kRest)};
    if (!layer.text(6).empty()) {
        const auto sizes = evaluate_sizes(layer.text(6), in);
        if (!sizes || sizes->size() > 4) fail("has sizes that cannot be computed");
        const std::vector<std::int64_t>& found = *sizes;
        const std::size_t dims = found.size();
        size = {found[0], dims > 1 ? found[1] : kNone, dims > 3 ? found[2] : kNone,
                dims > 2 ? found[dims - 1] : kNone};
    } else {  // as ncnn counts dimensions: by the first one that is not given
        if (size[1] == kNone) size[3] = kNone;
        if (size[3] == kNone) size[2] = kNone;
    }
    const std::array<std::int64_t, 4> kept{in[0].w, in[0].h, in[0].d, in[0].c};
    std::int64_t product = 1;
    int unknown = 0;
    for (std::size_t i = 0; i < size.size(); ++i) {
        if (size[i] == kNone) continue;
        if (size[i] == 0) size[i] = kept[i];
        if (size[i] < -1 || size[i] > kMostPlane) fail("has a size of " + text(size[i]));
        unknown += size[i] == -1 ? 1 : 0;
        product = size[i] == -1 ? product : std::min(product * size[i], kMostTotal);
    }
    const std::int64_t total = in[0].total();
    const bool fits = unknown == 0 ? product == total : unknown == 1 && total % product == 0;
    if (!fits) fail("cannot give a blob of " + text(in[0]) + " its size");
}

void shuffle_channel(const Layer& layer, const Shapes& in) {
    want_dims(in[0], 3);
    if (in[0].c % layer.integer(0, 1) != 0) fail("has channels that its groups do not divide");
}

void tile(const Layer& layer, const Shapes& in) {
    const std::vector<int> repeats = layer.integers(2);
    std::int64_t times = layer.integer(1, 1);
    if (repeats.empty()) {
        if (in[0].dims > 1) positive_axis(layer.integer(0, 0), in[0]);
    } else {
        times = 1;
        for (const int repeat : repeats) times = std::min(times * repeat, kMostTotal);
    }
    if (times > kMostPlane / in[0].total()) fail("would make a result that is too large");
}

void unfold(const Layer& layer, const Shapes& in) {
    want_dims(in[0], 3);
    const std::int64_t w = steps(kernel_columns(layer), in[0].w);
    const std::int64_t h = steps(kernel_rows(layer), in[0].h);
    if (w < 1 || h < 1) fail("has a kernel larger than its input of " + text(in[0]));
    const std::int64_t kernel = layer.integer(1, 1);
    const std::int64_t taps = kernel * layer.integer(11, static_cast<int>(kernel));
    if (w * h > kMostPlane) fail("would make a result that is too large");
    want_result(w * h, in[0].c * taps, 1, 1);
}

void channel_weights(const Layer& layer, const Shapes& in) {
    want_channels(in[0], layer.integer(0, 0), "factors");
}

void bias(const Layer& layer, const Shapes& in) {
    want_dims(in[0], 3);
    channel_weights(layer, in);
}

using Check = void (*)(const Layer&, const Shapes&);

// Kinds that are not here compute each sample on its own, or copy.
const std::map<std::string_view, Check>& checks() {
    static const std::map<std::string_view, Check> all = {
        {"BatchNorm", channel_weights},
        {"Bias", bias},
        {"BinaryOp", binary},
        {"Concat", concat},
        {"Convolution", convolution},
        {"ConvolutionDepthWise", convolution},
        {"Crop", crop},
        {"Deconvolution", deconvolution},
        {"DeconvolutionDepthWise", deconvolution},
        {"Eltwise", eltwise},
        {"ExpandDims", expand_dims},
        {"Flip", [](const Layer& layer, const Shapes& in) { want_axes(layer, 0, in[0]); }},
        {"Fold", fold},
        {"GLU", glu},
        {"Gemm", gemm},
        {"GridSample", grid_sample},
        {"GroupNorm", group_norm},
        {"InnerProduct", inner_product},
        {"InstanceNorm", instance_norm},
        {"Interp", interp},
        {"LayerNorm", layer_norm},
        {"MVN", [](const Layer&, const Shapes& in) { want_dims(in[0], 3); }},
        {"MatMul", matmul},
        {"MultiHeadAttention", attention},
        {"Normalize", normalize},
        {"PReLU", prelu},
        {"Padding", padding},
        {"Permute", permute},
        {"PixelShuffle", pixel_shuffle},
        {"Pooling", pooling},
        {"RMSNorm", layer_norm},
        {"Reduction",
         [](const Layer& layer, const Shapes& in) {
             if (layer.integer(1, 1) == 0) want_axes(layer, 3, in[0]);
         }},
        {"Reorg", reorg},
        {"Reshape", reshape},
        {"SDPA", sdpa},
        {"Scale", scale},
        {"ShuffleChannel", shuffle_channel},
        {"Slice", slice},
        {"Softmax",
         [](const Layer& layer, const Shapes& in) { positive_axis(layer.integer(0, 0), in[0]); }},
        {"Squeeze", [](const Layer& layer, const Shapes& in) { want_axes(layer, 3, in[0]); }},
        {"Tile", tile},
        {"Unfold", unfold},
    };
    return all;
}

}  // namespace

}  // namespace sizes

std::int64_t Shape::axis(int index) const {
    const int from_width = dims - 1 - index;
    if (from_width == 0) return w;
    if (index == 0 && dims > 2) return c;
    return from_width == 1 ? h : d;
}

std::string size_fault(const Layer& layer, const std::vector<Shape>& inputs) {
    const auto& checks = sizes::checks();
    const auto check = checks.find(layer.type);
    if (check == checks.end() || inputs.empty()) return {};
    const bool known = std::all_of(inputs.begin(), inputs.end(),
                                   [](const Shape& shape) { return shape.dims > 0; });
    try {
        if (known) check->second(layer, inputs);
    } catch (const sizes::Fault& fault) {
        return fault.text;
    }
    return {};
}

}  // namespace realesrgan
