"""`realesrgan-vk faces`: where a picture's faces are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from realesrgan_vk.cli import options as shared
from realesrgan_vk.cli.help import Command
from realesrgan_vk.cli.messages import say, show
from realesrgan_vk.cli.options import option
from realesrgan_vk.options import FACE_CHOICES, FaceOptions

_FACES, _OUTPUT = "Faces", "Output"


@click.command(
    cls=Command,
    examples=(
        "realesrgan-vk faces photo.jpg",
        "realesrgan-vk faces photo.jpg --json --draw faces.png",
    ),
)
@click.argument("image", metavar="IMAGE", type=shared.PathName())
@shared.options(
    option("--min-size", type=click.IntRange(1), default=16, metavar="PIXELS", group=_FACES,
           help="Leave out faces whose longer side is less. Default: 16."),
    option("--max-faces", type=click.IntRange(1), metavar="N", group=_FACES,
           help="At most so many, the largest. Default: all."),
    option("--only", type=click.Choice(FACE_CHOICES), default="all", group=_FACES,
           help="all (default), or the largest one."),
    option("--threshold", type=click.FloatRange(0, 1), default=0.8, metavar="0..1", group=_FACES,
           help="Least score. Higher: fewer mistakes, fewer faces. Default: 0.8."),
    shared.max_pixels_option,
    option("--draw", metavar="OUT", type=shared.PathName(), group=_OUTPUT,
           help="Write the picture with the faces drawn into it, in 8 bits."),
    shared.json_option("one JSON object"),
)  # fmt: skip
@shared.grouped(faces=FaceOptions)
def faces(
    image: str, faces: FaceOptions, max_pixels: int | None, draw: str | None, as_json: bool
) -> None:
    """List the faces of a picture: box, score and landmarks, in pixels.

    Needs the extra 'faces'. Of an animation the first frame is taken.
    """
    with shared.usage_errors():
        require_faces()
        # These import what is for pictures.
        from realesrgan_vk import image_io  # noqa: PLC0415
        from realesrgan_vk.faces.detect import detect  # noqa: PLC0415
        from realesrgan_vk.faces.draw import drawn  # noqa: PLC0415
        from realesrgan_vk.imaging.samples import eight_bit  # noqa: PLC0415

        if not Path(image).exists():
            raise ValueError(f"picture {image} does not exist")
        picture = image_io.read(Path(image), max_pixels=max_pixels)
        found = detect(eight_bit(picture.frames[0]).pixels, faces)
        if draw is not None:
            for note in image_io.write(drawn(picture, found), Path(draw)):
                say(note)
    if as_json:
        listed = [face.as_dict() for face in found]
        size = {"width": picture.width, "height": picture.height}
        show(json.dumps({**size, "faces": listed}))
        return
    for face in found:
        left, top, width, height = face.box
        show(f"{width:.0f} x {height:.0f} at {left:.0f}, {top:.0f}  score {face.score:.2f}")
    if not found:
        say("no faces found")


def require_faces(restored: FaceOptions | None = None) -> None:
    """Refuse to begin where what finds or restores faces is not installed.

    Args:
        restored: How faces are restored; None: they are only found.

    Raises:
        ValueError: The extra is missing; the message has the command that installs it.
        ModelError: The network that restores faces is missing, damaged, or not one for faces.
    """
    from realesrgan_vk.faces.detect import require_detector  # noqa: PLC0415 - imports NumPy

    shared.require(require_detector)
    if restored is not None:
        from realesrgan_vk.faces.restore import find_restorer  # noqa: PLC0415 - imports NumPy

        find_restorer(restored.model)
