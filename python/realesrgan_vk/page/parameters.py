"""The options of a job: query parameters or form fields, with the names of `upscale`'s options."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from realesrgan_vk.errors import ModelError
from realesrgan_vk.faces.detect import require_detector
from realesrgan_vk.image_io.formats import PNG, SUFFIXES, Format, format_for, sniff
from realesrgan_vk.models.registry import find_model, list_models, official_name
from realesrgan_vk.options import (
    ALPHA_METHODS,
    DEFAULT_FACE_MODEL,
    FACE_CHOICES,
    LIGHTS,
    PRECISIONS,
    SMALLEST_TILE,
    SUBSAMPLINGS,
    FaceOptions,
    Request,
    TargetSize,
    UpscalerOptions,
    WriteOptions,
)
from realesrgan_vk.page.problems import Problem
from realesrgan_vk.upscaler import DEFAULT_MODEL
from realesrgan_vk.video.options import AUDIO, CONTAINERS, VideoOptions

_LONGEST_NAME = 120  # characters of a file's name; each is at most four bytes
_NOT_IN_NAMES = re.compile(r'[<>:"|?*%]')
CODECS = ("auto", "x264", "x265", "av1", "vp9", "ffv1", "prores")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One option.

    Attributes:
        name: As in a query.
        description: For the API's document.
        schema: JSON Schema of its values.
        parse: The value of a text; raises `ValueError`.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    parse: Callable[[str], object] = str


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("it must be true or false") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("it must be a whole number")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[-+]?[0-9]{1,18}(\.[0-9]{0,18})?(e[-+]?[0-9]{1,3})?", text, re.I):
        raise ValueError("it must be a number")
    return float(text)


def _tile(text: str) -> str | int:
    return text if text in ("auto", "whole") else _whole(text)


_FORMATS = sorted(each[1:] for each in {*SUFFIXES, *CONTAINERS})


def _suffix(text: str) -> str:
    suffix = "." + text.lower().removeprefix(".")
    if suffix not in SUFFIXES and suffix not in CONTAINERS:
        raise ValueError(f"it must be one of {', '.join(_FORMATS)}")
    return suffix


def _model(text: str) -> str:
    """A network's name. Never a path: a request must not choose files of the machine."""
    if official := official_name(text):
        return official
    names = [model.name for model in list_models()]
    if text not in names:
        raise ValueError(f"it must be one of {', '.join(names)}")
    return text


def _codec(text: str) -> str:
    """One of a few. Never any of FFmpeg's encoders: some need a device, or write what they like."""
    if text not in CODECS:
        raise ValueError(f"it must be one of {', '.join(CODECS)}")
    return text


def _preset(text: str) -> str:
    """A speed. Whether the encoder has it, it says itself."""
    if not re.fullmatch("[a-z0-9]{1,16}", text):
        raise ValueError("it must be one of the codec's presets, such as slow or 6")
    return text


def _choice(values: Iterable[str], default: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values), "default": default}


_SIDE = {"type": "integer", "minimum": 1, "maximum": 1 << 24}
_FLAG = {"type": "boolean", "default": False}
NAME = Parameter(
    "name",
    "The picture's file name. Its suffix decides the result's format where `format` does not.",
    {"type": "string"},
)
_NETWORK = (
    Parameter(
        "model", "A network's name, of `/api/models`.",
        {"type": "string", "default": DEFAULT_MODEL}, _model,
    ),
    Parameter(
        "device", "`auto`, or an `id` of `/api/devices`.",
        {"type": "string", "maxLength": 200, "default": "auto"},
    ),
    Parameter(
        "denoise", "Of realesr-general-x4v3: 0 keeps noise, 1 removes it.",
        {"type": "number", "minimum": 0, "maximum": 1}, _number,
    ),
    Parameter("tta", "Average eight orientations: 8 times the work.", _FLAG, _boolean),
    Parameter(
        "tile", "`auto`, `whole`, or a tile's side in pixels.",
        {"anyOf": [{"enum": ["auto", "whole"]}, {"type": "integer", "minimum": SMALLEST_TILE}],
         "default": "auto"},
        _tile,
    ),
    Parameter(
        "precision", "`auto`: fp16 on a GPU that has it.", _choice(PRECISIONS, "auto")
    ),
)  # fmt: skip
_SIZE = (
    Parameter(
        "scale", "Output pixels per input pixel along a side. Default: the network's.",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 256}, _number,
    ),
    Parameter("width", "Output width; the height follows.", _SIDE, _whole),
    Parameter("height", "Output height; the width follows.", _SIDE, _whole),
    Parameter("long_edge", "Longer side of the output.", _SIDE, _whole),
    Parameter(
        "light", "What the final resampling averages.", _choice(LIGHTS, "gamma")
    ),
    Parameter(
        "strength", "How much of the network's result is in the picture.",
        {"type": "number", "minimum": 0, "maximum": 1, "default": 1}, _number,
    ),
    Parameter("alpha", "What upscales transparency.", _choice(ALPHA_METHODS, "network")),
)  # fmt: skip
_OUTPUT = (
    Parameter(
        "format", "File type of the result. Default: by the name's suffix, else by the content.",
        {"type": "string", "enum": _FORMATS}, _suffix,
    ),
    Parameter(
        "quality", "Of JPEG, WebP, AVIF and HEIC.",
        {"type": "integer", "minimum": 1, "maximum": 100, "default": 95}, _whole,
    ),
    Parameter("subsampling", "Of JPEG's colour.", _choice(SUBSAMPLINGS, "4:4:4")),
    Parameter(
        "lossless", "WebP (default: as the source) or a video without loss.",
        {"type": "boolean"}, _boolean,
    ),
    Parameter(
        "compression", "PNG's effort.",
        {"type": "integer", "minimum": 0, "maximum": 9, "default": 6}, _whole,
    ),
    Parameter("strip", "Drop metadata; colours become sRGB.", _FLAG, _boolean),
)  # fmt: skip
_FACES = (
    Parameter(
        "faces", "Restore faces: draw them anew. What is drawn is invented.", _FLAG, _boolean
    ),
    Parameter(
        "face_strength", "How much of the restored face is in the result.",
        {"type": "number", "minimum": 0, "maximum": 1, "default": 0.8}, _number,
    ),
    Parameter(
        "face_min_size", "Leave faces alone whose longer side is less, in pixels.",
        {**_SIDE, "default": 16}, _whole,
    ),
    Parameter(
        "max_faces", "At most so many, the largest.", {"type": "integer", "minimum": 1}, _whole
    ),
    Parameter("face_only", "All faces, or the largest.", _choice(FACE_CHOICES, "all")),
)  # fmt: skip
_OF_FACES = {
    "face_strength": "strength",
    "face_min_size": "min_size",
    "max_faces": "max_faces",
    "face_only": "only",
}
_VIDEO = (
    Parameter("codec", "Of a video: its encoder.", _choice(CODECS, "auto"), _codec),
    Parameter(
        "crf", "Of a video: quality; less is better and larger.",
        {"type": "number", "minimum": 0, "maximum": 255}, _number,
    ),
    Parameter(
        "preset", "Of a video: speed, one of the codec's `presets` of `/api/codecs`.",
        {"type": "string", "pattern": "^[a-z0-9]{1,16}$"}, _preset,
    ),
    Parameter(
        "audio", "Of a video: whether audio is copied, left out, or encoded.",
        _choice(AUDIO, "copy"),
    ),
    Parameter(
        "deinterlace", "Of a video: make a whole frame of each pair of fields.", _FLAG, _boolean
    ),
)  # fmt: skip
_TRIAL = Parameter(
    "trial", "A job to look at: not listed, and removed after ten minutes.", _FLAG, _boolean
)
PLAN_PARAMETERS = (*_NETWORK, *_SIZE)
JOB_PARAMETERS = (NAME, *_NETWORK, *_SIZE, *_FACES, *_OUTPUT, *_VIDEO, _TRIAL)
_BY_NAME = {parameter.name: parameter for parameter in JOB_PARAMETERS}


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What a request asks for.

    Attributes:
        given: The parameters as texts, from which `of` makes the same options again.
        name: The picture's file name, without folders and unusual characters.
        model: A network's name.
        device: As given.
        suffix: Of the result, with its dot; None: not asked for.
        trial: Whether the job is not listed.
        request: What to make of the picture.
        upscaler: How the network runs; the device is set by the worker.
        write: How to write a picture.
        video: How to read and write a video.
    """

    given: Mapping[str, str]
    name: str
    model: str
    device: str
    suffix: str | None
    trial: bool
    request: Request
    upscaler: UpscalerOptions
    write: WriteOptions
    video: VideoOptions

    @staticmethod
    def of(pairs: Iterable[tuple[str, str]]) -> "JobOptions":
        """The options of a request.

        Raises:
            Problem: An unknown parameter, one given twice, or a value out of range (422).
        """
        given: dict[str, str] = {}
        values: dict[str, Any] = {}
        for name, text in pairs:
            parameter = _BY_NAME.get(name)
            if parameter is None:
                raise Problem(422, f"there is no parameter {name[:60]!r}")
            if name in given:
                raise Problem(422, f"{name} is given twice")
            given[name] = text
            try:
                values[name] = parameter.parse(text)
            except (ValueError, ModelError) as error:
                raise Problem(422, f"{name} is {text[:60]!r}; {error}") from error
        values.setdefault("model", DEFAULT_MODEL)
        size = _taken(values, TargetSize)
        try:
            values["faces"] = _wanted_faces(values)
            return JobOptions(
                given,
                clean_name(values.get("name", "")),
                values["model"],
                values.get("device", "auto"),
                values.get("format"),
                values.get("trial", False),
                Request(TargetSize(**size), **_taken(values, Request)),
                UpscalerOptions(**_taken(values, UpscalerOptions, without="device")),
                WriteOptions(**_taken(values, WriteOptions)),
                VideoOptions(**_taken(values, VideoOptions)),
            )
        except (ValueError, TypeError) as error:
            raise Problem(422, str(error)) from error

    def format_of(self, start: bytes) -> tuple[Format, str]:
        """The result's format and suffix, as `realesrgan-vk upscale` chooses them.

        Args:
            start: The file's first bytes, for a picture whose name has no suffix of a format.
        """
        named = format_for(Path(self.name))
        sniffed = sniff(start) or PNG
        suffix = self.suffix or (Path(self.name).suffix if named else sniffed.suffixes[0])
        return format_for(Path(f"_{suffix}")) or PNG, suffix


def missing_for_faces() -> dict[str, str]:
    """What has to be installed before faces can be restored, each with what to do, in words.

    The keys are `detector`, which finds faces, and `network`, which restores them.
    """
    missing = {}
    try:
        require_detector()
    except ImportError as error:
        missing["detector"] = str(error)
    try:
        find_model(DEFAULT_FACE_MODEL)
    except ModelError as error:
        missing["network"] = str(error)
    return missing


def _wanted_faces(values: Mapping[str, Any]) -> FaceOptions | None:
    """Which faces are restored; None: none.

    Raises:
        Problem: What finds or restores them is not installed (422).
        ValueError: A value out of range.
    """
    options = FaceOptions(
        **{name: values[given] for given, name in _OF_FACES.items() if given in values}
    )
    if not values.get("faces", False):
        return None
    if missing := missing_for_faces():
        raise Problem(422, "; ".join(missing.values()))
    return options


def _taken(values: Mapping[str, Any], kind: type, without: str = "") -> dict[str, Any]:
    names = {field.name for field in fields(kind)} - {without}
    return {name: value for name, value in values.items() if name in names}


def clean_name(name: str) -> str:
    r"""A file's name without folders, control characters and what some system forbids.

    `..\..\a<b>.png` becomes `a_b_.png`; an empty name becomes `picture`.
    """
    last = re.split(r"[\\/]", name)[-1]
    kept = "".join(each for each in last if each.isprintable())
    kept = _NOT_IN_NAMES.sub("_", kept).strip(" .")
    if len(kept) > _LONGEST_NAME:
        suffix = Path(kept).suffix[:12]
        kept = kept[: _LONGEST_NAME - len(suffix)] + suffix
    return kept or "picture"
