"""What Debian's `ffprobe` reads in a file: a reader that shares no code with the program."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Tags that name the program which wrote the file, or repeat what other fields say.
TAGS_OF_WRITERS = {
    *("encoder", "ENCODER", "vendor_id", "DURATION", "handler_name", "creation_time"),
    *("major_brand", "minor_version", "compatible_brands"),
}


@dataclass(frozen=True)
class Packet:
    """One packet; times in seconds, None where the container has none.

    Attributes:
        pts: When it is shown.
        dts: When it is decoded.
        duration: How long it is shown.
        flags: K for a key frame, D for one that is not shown.
        data_hash: MD5 of its bytes.
    """

    pts: Fraction | None
    dts: Fraction | None
    duration: Fraction | None
    flags: str
    data_hash: str


@dataclass(frozen=True)
class Frame:
    """One decoded video frame.

    Attributes:
        time: When it is shown, in seconds; None where the container does not say.
        fields: Everything that ffprobe says of it.
    """

    time: Fraction | None
    fields: Mapping[str, Any]

    @property
    def side_data(self) -> dict[str, Mapping[str, Any]]:
        """Side data by its type."""
        return _by_type(self.fields)


@dataclass(frozen=True)
class Stream:
    """One stream with its packets and, of video, its frames.

    Attributes:
        fields: Everything that ffprobe says of it, such as `sample_aspect_ratio`.
        packets: In the order of the file.
        frames: In the order in which they are shown.
    """

    fields: Mapping[str, Any]
    packets: list[Packet]
    frames: list[Frame]

    @property
    def kind(self) -> str:
        """Such as "video", "audio", "subtitle", "attachment"."""
        return str(self.fields["codec_type"])

    @property
    def codec(self) -> str | None:
        """Its codec's name; None of an attachment without one."""
        return self.fields.get("codec_name")

    @property
    def tags(self) -> dict[str, str]:
        """Its tags without those of the program that wrote the file."""
        return _tags(self.fields)

    @property
    def dispositions(self) -> set[str]:
        """The names of the flags that are set, such as "default"."""
        return {name for name, on in self.fields["disposition"].items() if on}

    @property
    def side_data(self) -> dict[str, Mapping[str, Any]]:
        """Side data by its type."""
        return _by_type(self.fields)

    @property
    def times(self) -> list[Fraction | None]:
        """When its frames are shown, in seconds."""
        return [frame.time for frame in self.frames]

    @property
    def hashes(self) -> list[str]:
        """MD5 of each packet's bytes, in the order of the file."""
        return [packet.data_hash for packet in self.packets]


@dataclass(frozen=True)
class Chapter:
    """One chapter; times in seconds."""

    start: Fraction
    end: Fraction
    title: str


@dataclass(frozen=True)
class Probe:
    """Everything that ffprobe read in a file.

    Attributes:
        streams: In the order of the file.
        chapters: In the order of the file.
        container: FFmpeg's names of its format, separated by commas.
        tags: Of the whole file, without those of the program that wrote it.
        start: When the first stream begins, in seconds.
        duration: Of the whole file, in seconds; None where the container does not say.
        messages: What ffprobe's decoders and demuxer complained about.
    """

    streams: list[Stream]
    chapters: list[Chapter]
    container: str
    tags: dict[str, str]
    start: Fraction
    duration: Fraction | None
    messages: str

    def of_kind(self, kind: str) -> list[Stream]:
        """The streams of a kind; cover pictures are of the kind "cover", not of "video"."""
        return [
            stream
            for stream in self.streams
            if kind == ("cover" if "attached_pic" in stream.dispositions else stream.kind)
        ]

    @property
    def video(self) -> Stream:
        """The only video stream that is no cover."""
        (stream,) = self.of_kind("video")
        return stream


def probe(path: Path) -> Probe:
    """Read a file whole, decoding its video.

    Skips the test where there is no ffprobe; in CI, where the variable `CI` is set, fails it.
    """
    done = subprocess.run(
        [
            *(_program(), "-v", "warning", "-show_streams", "-show_packets", "-show_frames"),
            *("-show_chapters", "-show_format", "-show_data_hash", "MD5", "-of", "json"),
            str(path),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    bases = {stream["index"]: Fraction(stream["time_base"]) for stream in report["streams"]}
    packets: dict[int, list[Packet]] = {index: [] for index in bases}
    frames: dict[int, list[Frame]] = {index: [] for index in bases}
    for entry in report["packets_and_frames"]:
        index = entry.get("stream_index")
        if entry["type"] == "packet":
            packets[index].append(_packet(entry, bases[index]))
        elif entry["type"] == "frame" and entry["media_type"] == "video":
            ticks = entry.get("best_effort_timestamp")
            time = None if ticks is None else ticks * bases[index]
            frames[index].append(Frame(time, entry))
    form = report["format"]
    return Probe(
        [Stream(s, packets[s["index"]], frames[s["index"]]) for s in report["streams"]],
        [
            Chapter(
                Fraction(entry["start_time"]),
                Fraction(entry["end_time"]),
                entry.get("tags", {}).get("title", ""),
            )
            for entry in report["chapters"]
        ],
        form["format_name"],
        _tags(form),
        Fraction(form.get("start_time", 0)),
        Fraction(form["duration"]) if "duration" in form else None,
        done.stderr,
    )


@functools.cache
def _program() -> str:
    found = shutil.which("ffprobe")
    if found is None:
        missing = "ffprobe is not installed; Debian has it in the package ffmpeg"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def _packet(entry: Mapping[str, Any], base: Fraction) -> Packet:
    pts, dts, duration = (
        entry[name] * base if name in entry else None for name in ("pts", "dts", "duration")
    )
    return Packet(pts, dts, duration, entry["flags"], entry["data_hash"])


def _tags(fields: Mapping[str, Any]) -> dict[str, str]:
    tags = fields.get("tags", {})
    return {name: value for name, value in tags.items() if name not in TAGS_OF_WRITERS}


def _by_type(fields: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {entry["side_data_type"]: entry for entry in fields.get("side_data_list", [])}
