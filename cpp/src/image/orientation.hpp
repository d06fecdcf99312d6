#pragma once

#include <utility>
#include <vector>

#include "image/image_view.hpp"
#include "image/planes.hpp"

namespace realesrgan {

// One of the eight orientations of a picture: mirrored along x, along y, then transposed.
struct Orientation {
    bool flip_x = false;
    bool flip_y = false;
    bool transpose = false;
};

// The identity, or all eight orientations.
std::vector<Orientation> orientations(bool all);

namespace detail {

template <typename Sample>
BasicPlanes<Sample> flipped(BasicPlanes<Sample> planes, const Orientation& orientation) {
    if (orientation.flip_x) {
        planes.data += (planes.width - 1) * planes.x_stride;
        planes.x_stride = -planes.x_stride;
    }
    if (orientation.flip_y) {
        planes.data += (planes.height - 1) * planes.y_stride;
        planes.y_stride = -planes.y_stride;
    }
    return planes;
}

template <typename Sample>
BasicPlanes<Sample> transposed(BasicPlanes<Sample> planes, const Orientation& orientation) {
    if (orientation.transpose) {
        std::swap(planes.width, planes.height);
        std::swap(planes.x_stride, planes.y_stride);
    }
    return planes;
}

}  // namespace detail

// Views of the same samples in an orientation, and its inverse. Nothing is copied.
template <typename Sample>
BasicPlanes<Sample> oriented_view(const BasicPlanes<Sample>& planes,
                                  const Orientation& orientation) {
    return detail::transposed(detail::flipped(planes, orientation), orientation);
}

template <typename Sample>
BasicPlanes<Sample> inverse_oriented_view(const BasicPlanes<Sample>& planes,
                                          const Orientation& orientation) {
    return detail::flipped(detail::transposed(planes, orientation), orientation);
}

// The same of a view.
template <typename Byte>
BasicImageView<Byte> oriented_view(BasicImageView<Byte> view, const Orientation& orientation) {
    if (orientation.flip_x) {
        view.data += (view.width - 1) * view.pixel_stride;
        view.pixel_stride = -view.pixel_stride;
    }
    if (orientation.flip_y) {
        view.data += (view.height - 1) * view.row_stride;
        view.row_stride = -view.row_stride;
    }
    return orientation.transpose ? transposed(view) : view;
}

// Copies sample by sample between planes of one size.
void copy(const ConstPlanes& from, const Planes& to);

}  // namespace realesrgan
