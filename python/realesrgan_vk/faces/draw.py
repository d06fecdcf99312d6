"""Drawing what was found into a picture."""

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from realesrgan_vk.faces.face import Face
from realesrgan_vk.imaging.picture import Frame, Picture
from realesrgan_vk.imaging.samples import colour, eight_bit

_BOX, _POINT = (0, 255, 0), (255, 64, 64)


def drawn(picture: Picture, faces: list[Face]) -> Picture:
    """The picture's first frame in 8-bit colour with a box and five points for each face."""
    frame = eight_bit(picture.frames[0])
    samples = colour(frame)
    canvas = Image.fromarray(np.ascontiguousarray(samples[..., :3]))
    pen = ImageDraw.Draw(canvas)
    line = max(1, round(max(canvas.size) / 500))
    for face in faces:
        left, top, width, height = face.box
        pen.rectangle((left, top, left + width, top + height), outline=_BOX, width=line)
        for x, y in face.landmarks:
            radius = max(line, face.size / 40)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_POINT)
    return replace(
        picture,
        frames=(Frame(np.asarray(canvas), frame.alpha),),
        mode="colour",
        bits=8,
        value_range=(0.0, 1.0),
    )
