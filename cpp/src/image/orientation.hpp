#pragma once

#include <cstddef>
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

// Reverses an axis of `length` positions that are `stride` apart.
template <typename Data, typename Length>
void flip(Data*& data, Length length, std::ptrdiff_t& stride) {
    data += (length - 1) * stride;
    stride = -stride;
}

template <typename Sample>
BasicPlanes<Sample> flipped(BasicPlanes<Sample> planes, const Orientation& orientation) {
    if (orientation.flip_x) flip(planes.data, planes.width, planes.x_stride);
    if (orientation.flip_y) flip(planes.data, planes.height, planes.y_stride);
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
    if (orientation.flip_x) detail::flip(view.data, view.width, view.pixel_stride);
    if (orientation.flip_y) detail::flip(view.data, view.height, view.row_stride);
    return orientation.transpose ? transposed(view) : view;
}

// Copies sample by sample between planes of one size.
void copy(const ConstPlanes& from, const Planes& to);

}  // namespace realesrgan
