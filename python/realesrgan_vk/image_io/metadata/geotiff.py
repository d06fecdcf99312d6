"""GeoTIFF's tags for a picture that is turned or resampled (OGC 19-008r4, GeoTIFF 1.1).

Positions are transformed in coordinates whose origin is the upper left corner of the upper left
pixel. The tags have the same origin where a pixel is an area, and the pixel's centre where it is a
point (section 7.1.2, GTRasterTypeGeoKey).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.imaging.picture import TiffTags

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
GEO_KEYS, GEO_DOUBLES, GEO_TEXTS = 34735, 34736, 34737
GDAL_METADATA, GDAL_NODATA, RATIONAL_POLYNOMIALS = 42112, 42113, 50844
_INTERGRAPH = 33920  # TRANSFORMATION before version 1.0

TAGS = frozenset({PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, GEO_KEYS, GEO_DOUBLES, GEO_TEXTS,
                  GDAL_METADATA, GDAL_NODATA, RATIONAL_POLYNOMIALS, _INTERGRAPH})  # fmt: skip
_PLACING = {PIXEL_SCALE: 3, TRANSFORMATION: 16, RATIONAL_POLYNOMIALS: 92}  # counts of numbers
_RASTER_TYPE, _POINT = 1025, 2
_DOUBLE = 12
_MOST_TIE_POINTS = 100_000
_LARGEST = 1e100  # of a number: products of two of them are finite

Matrix = NDArray[np.float64]


def check(tags: TiffTags) -> None:
    """Check that the tags have numbers of the kinds and counts that the standard requires.

    Raises:
        ValueError: They have not, or they place the picture in a way that is not supported.
    """
    for tag, count in _PLACING.items():
        if tag in tags.values and len(_numbers(tags, tag)) != count:
            raise ValueError(f"tag {tag} has not {count} numbers")
    points = _numbers(tags, TIE_POINTS)
    if len(points) % 6 or len(points) > 6 * _MOST_TIE_POINTS:
        raise ValueError(f"tag {TIE_POINTS} has {len(points)} numbers")
    if _INTERGRAPH in tags.values:
        raise ValueError(f"tag {_INTERGRAPH} is not supported")
    for tag in (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, RATIONAL_POLYNOMIALS):
        numbers = np.abs(np.array(_numbers(tags, tag), np.float64))
        if not (numbers <= _LARGEST).all():  # neither is NaN
            raise ValueError(f"tag {tag} has numbers that are not finite, or beyond {_LARGEST:g}")


def for_size(tags: TiffTags, width: int, height: int) -> TiffTags:
    """The tags of the picture resampled to this size."""
    if tags.size == (width, height):
        return tags
    factors = (width / tags.size[0], height / tags.size[1])
    return replace(_moved(tags, np.diag([*factors, 1.0])), size=(width, height))


def turned(tags: TiffTags, orientation: int) -> TiffTags:
    """The tags of the picture turned upright from this EXIF orientation.

    Raises:
        ValueError: The tags cannot describe a turned picture.
    """
    move = np.eye(3)
    width, height = tags.size
    if orientation >= 5:  # rows and columns are exchanged
        move = move[[1, 0, 2]]
        width, height = height, width
    if orientation in (2, 3, 6, 7):
        move = np.array([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]]) @ move
    if orientation in (3, 4, 7, 8):
        move = np.array([[1.0, 0, 0], [0, -1, height], [0, 0, 1]]) @ move
    if orientation == 1:
        return tags
    return replace(_moved(_with_transformation(tags), move), size=(width, height))


def is_placed(tags: TiffTags | None) -> bool:
    """Whether there are GeoTIFF tags."""
    return tags is not None and not TAGS.isdisjoint(tags.values)


def without_places(tags: TiffTags) -> TiffTags:
    """The tags without GeoTIFF's."""
    values = {tag: value for tag, value in tags.values.items() if tag not in TAGS}
    return replace(tags, values=values)


def _numbers(tags: TiffTags, tag: int) -> tuple[float, ...]:
    """A tag's numbers; none where it is absent or holds bytes."""
    _, values = tags.values.get(tag, (0, ()))
    return () if isinstance(values, bytes) else values


def _moved(tags: TiffTags, move: Matrix) -> TiffTags:
    """The tags after positions were transformed by this 3 x 3 matrix, which may scale or turn."""
    keys = _numbers(tags, GEO_KEYS)
    entries = (keys[at : at + 4] for at in range(4, len(keys) - 3, 4))
    shift = np.eye(3)
    if any(entry[0] == _RASTER_TYPE and entry[3] == _POINT for entry in entries):
        shift[:2, 2] = 0.5
    places = np.linalg.inv(shift) @ move @ shift  # in the coordinates of the tags
    values = dict(tags.values)
    if points := _numbers(tags, TIE_POINTS):
        table = np.array(points).reshape(-1, 6)
        raster = np.column_stack([table[:, :2], np.ones(len(table))])
        table[:, :2] = (raster @ places.T)[:, :2]
        values[TIE_POINTS] = _doubles(table)
    if scale := _numbers(tags, PIXEL_SCALE):
        values[PIXEL_SCALE] = _doubles(np.array(scale) / [move[0, 0], move[1, 1], 1])
    if matrix := _numbers(tags, TRANSFORMATION):
        # From new raster positions to old ones, in three dimensions.
        back = np.eye(4)
        back[np.ix_([0, 1, 3], [0, 1, 3])] = np.linalg.inv(places)
        values[TRANSFORMATION] = _doubles(np.array(matrix).reshape(4, 4) @ back)
    if polynomials := _numbers(tags, RATIONAL_POLYNOMIALS):
        # Line and sample offsets count from the centre of the first pixel (section B.1 of "RPCs in
        # GeoTIFF").
        table = np.array(polynomials)
        for place, axis in ((2, 1), (3, 0)):
            table[place] = (table[place] + 0.5) * move[axis, axis] - 0.5
            table[place + 5] *= move[axis, axis]
        values[RATIONAL_POLYNOMIALS] = _doubles(table)
    return replace(tags, values=values)


def _doubles(numbers: Matrix) -> tuple[int, tuple[float, ...]]:
    return _DOUBLE, tuple(numbers.ravel().tolist())


def _with_transformation(tags: TiffTags) -> TiffTags:
    """The tags with a matrix in place of a scale and a tie point, which cannot turn."""
    scale, point = _numbers(tags, PIXEL_SCALE), _numbers(tags, TIE_POINTS)
    if RATIONAL_POLYNOMIALS in tags.values or (scale and len(point) != 6):
        raise ValueError("they cannot be turned")
    if not scale:
        return tags
    matrix = np.diag([scale[0], -scale[1], scale[2], 1.0])
    matrix[:3, 3] = np.array(point[3:]) - matrix[:3, :3] @ point[:3]
    values = dict(tags.values)
    del values[PIXEL_SCALE], values[TIE_POINTS]
    return replace(tags, values=values | {TRANSFORMATION: _doubles(matrix)})
