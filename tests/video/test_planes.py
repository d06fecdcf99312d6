"""Views of FFmpeg's frames as planes."""

from fractions import Fraction

import av
import numpy as np

from realesrgan_vk.video.frames import pixel_format, planes_of


def test_a_frame_that_is_stored_from_the_bottom_up() -> None:
    samples = np.random.default_rng(0).integers(0, 255, (36 * 3 // 2, 50), np.uint8)
    frame = av.VideoFrame.from_ndarray(samples, "yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    graph = av.filter.Graph()
    source = graph.add_buffer(width=50, height=36, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("vflip"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    turned = graph.vpull()
    assert all(plane.line_size < 0 for plane in turned.planes)
    form = pixel_format("yuv420p")
    for plane, other in zip(planes_of(frame, form)[0], planes_of(turned, form)[0], strict=True):
        assert np.array_equal(plane[::-1], other)
