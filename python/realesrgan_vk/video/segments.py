"""A video in work: a folder of finished segments, which an interrupted run goes on from.

Each segment is encoded on its own, so that its bits depend on its frames and the encoder's settings
alone, and appears whole, by its record's rename. A segment is a Matroska file whose packets have
their frame's number as time stamp, because Matroska rounds times to a millisecond; the frames' own
times are in its record.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zlib import crc32

import av

from realesrgan_vk.errors import RealesrganError, printable
from realesrgan_vk.image_io.atomic import (
    appear,
    is_unfinished,
    remove_leftovers,
    to_disk,
    write_whole,
)
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.options import Shard
from realesrgan_vk.video.encoders import Encoding
from realesrgan_vk.video.options import MOST_THREADS
from realesrgan_vk.video.reader import file_url

if TYPE_CHECKING:
    from types import TracebackType

    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream
    from typing_extensions import Self

FORMAT = 3
SEGMENT_FORMAT = "matroska"
_RECORD = "record.json"
_RESULT = "result"
_LOCK = "lock"
_FRAMES = "frames"
_OF_SHARD = r"-[0-9]{1,7}-[0-9]{1,7}"
_UNFINISHED = re.compile(rf"(segment|result|segment{_OF_SHARD})\.part|lock{_OF_SHARD}")
_SEGMENT = re.compile(r"[0-9]{6}\.(mkv|json)")
_DELAY = 1000  # of a packet's number as a time stamp over its place in the order of decoding
_MILLISECOND = Fraction(1, 1000)  # Matroska's unit of time
# Of a segment's packets and header nothing has to be found out by decoding its first frames.
_UNPROBED = {"probesize": "32", "skip_frame": "all"}
_FINGERPRINT_BYTES = 1 << 20
_OF_HARDWARE = ("_nvenc", "_qsv", "_amf", "_vaapi", "_vulkan", "_videotoolbox", "_v4l2m2m")
_MOST_FRAMES = 1 << 26  # of a segment: more than an hour at 10,000 frames a second


class WorkError(RealesrganError):
    """What a video's folder of segments holds is damaged, or of another run."""


class BusyError(WorkError):
    """Another run is at work in a video's folder of segments."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment.

    Attributes:
        path: Its file.
        times: (pts, duration) of each frame, in the source's unit, in the order of showing.
        reused: How many frames took the result of the one before.
        damaged: Packets of the source, up to here, that could not be decoded.
        checksum: Of the source's frame that became the last one.
        delay: By how many places, at most, a packet comes later in the order of decoding than its
            frame in that of showing.
        last: Whether the video ends with it.
    """

    path: Path
    times: tuple[tuple[int, int], ...]
    reused: int
    damaged: int
    checksum: int
    delay: int
    last: bool


class SegmentWriter:
    """Encodes the frames of one segment.

    Attributes:
        times: (pts, duration) of each frame so far.
        delay: See `Segment`; complete after `finish`.
    """

    def __init__(self, path: Path, encoding: Encoding) -> None:
        """Begin a file.

        Raises:
            ValueError: The encoder refuses its settings.
            OSError: The file cannot be made.
        """
        self.times: list[tuple[int, int]] = []
        self.delay = 0
        self._path = path
        self._time_base = encoding.time_base
        self._numbers: dict[int, int] = {}  # of frames whose packets are to come, by their pts
        self._packets = 0
        self._container, self._stream = open_encoder(path, encoding)

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; it is removed after an exception."""
        if kind is not None:
            self.abandon()

    def abandon(self) -> None:
        """Close the file and remove it."""
        with suppress(OSError, ValueError):
            self._container.close()
        self._path.unlink(missing_ok=True)

    def write(self, frame: av.VideoFrame, pts: int, duration: int) -> None:
        """Encode a frame; its time stamp is above that of the one before.

        Raises:
            OSError: The file cannot be written.
        """
        self._numbers[pts] = len(self.times)
        self.times.append((pts, duration))
        frame.pts = pts
        frame.time_base = self._time_base
        frame.pict_type = 0
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds, to the disk itself.

        Raises:
            WorkError: The encoder gave another number of packets than frames.
            OSError: The file cannot be written.
        """
        self._mux(self._stream.encode(None))
        self._container.close()
        if self._packets != len(self.times):
            raise WorkError(
                f"the encoder made {self._packets} packets of {len(self.times)} frames; choose "
                "another codec"
            )
        to_disk(self._path)

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            number = None if packet.pts is None else self._numbers.pop(packet.pts, None)
            if number is None:
                raise WorkError("the encoder changes time stamps; choose another codec")
            packet.time_base = _MILLISECOND
            packet.pts = number + _DELAY
            packet.dts = self._packets
            packet.duration = 1
            packet.stream = self._stream
            self.delay = max(self.delay, self._packets - number)
            self._packets += 1
            self._container.mux_one(packet)


def open_encoder(path: Path, encoding: Encoding) -> tuple[OutputContainer, VideoStream]:
    """A Matroska file and its only stream, whose encoder is open.

    Raises:
        ValueError: The encoder refuses its settings.
        OSError: The file cannot be made.
    """
    plainly = {"fflags": "+bitexact"}
    container = av.open(file_url(path), "w", format=SEGMENT_FORMAT, container_options=plainly)
    try:
        return container, start_video(container, encoding)
    except BaseException:
        with suppress(av.error.FFmpegError):
            container.close()
        path.unlink(missing_ok=True)
        raise


def start_video(container: OutputContainer, encoding: Encoding) -> VideoStream:
    """Open a file's only stream, and its encoder.

    Raises:
        ValueError: The container cannot hold it, or the encoder refuses its settings.
    """
    cannot = cannot_hold(container.format.name, encoding)
    try:
        stream = container.add_stream(encoding.encoder, rate=encoding.rate)
    except ValueError as error:
        raise ValueError(cannot) from error
    if not isinstance(stream, av.VideoStream):
        raise ValueError(f"codec {encoding.encoder} is none of video")
    encoding.apply(stream.codec_context)
    try:
        container.start_encoding()
    except av.error.FFmpegError as error:
        if "avcodec_open2" not in str(error):
            raise ValueError(f"{cannot} in {encoding.pixel_format}") from error
        options = ", ".join(f"{name}={value}" for name, value in encoding.options.items())
        words = f"encoder {encoding.encoder} refuses {encoding.width}x{encoding.height} in "
        words += f"{encoding.pixel_format}{' with ' if options else ''}{options}: {error.strerror}"
        if encoding.encoder.endswith(_OF_HARDWARE):
            words += "; it needs hardware and a driver that this machine may not have"
        raise ValueError(words) from error
    if unknown := list(stream.codec_context.options):  # FFmpeg leaves what it does not know
        raise ValueError(f"encoder {encoding.encoder} has no option {unknown[0]!r}")
    return stream


def cannot_hold(target_format: str, encoding: Encoding) -> str:
    """Words for a format of FFmpeg's that does not take an encoder's stream."""
    return f"a file of format {target_format} cannot hold {encoding.encoder}'s video"


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Words for each setting that is not the same, also of the dictionaries inside."""
    words = []
    for name in sorted(found.keys() | wanted.keys()):
        old, new = found.get(name), wanted.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            words += _differences(old, new)
        else:
            words.append(f"{name}: {json.dumps(old)}, now {json.dumps(new)}")
    return words


def packets_of(segment: Segment) -> Iterator[tuple[Packet[Any], int, int]]:
    """The packets of a segment in the order of decoding, each with its frame's pts and duration.

    Raises:
        WorkError: The file is damaged.
    """
    count = 0
    try:
        with av.open(file_url(segment.path), options=_UNPROBED) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is None:
                    continue
                number = packet.pts - _DELAY
                if not 0 <= number < len(segment.times):
                    raise _damaged(segment.path)
                yield packet, *segment.times[number]
                count += 1
    except av.error.FFmpegError as error:
        raise _damaged(segment.path) from error
    if count != len(segment.times):
        raise _damaged(segment.path)


def encoder_header(segment: Segment) -> bytes:
    """What the encoder says of all packets of a segment, such as H.264's parameter sets.

    Raises:
        WorkError: The file is damaged.
    """
    try:
        with av.open(file_url(segment.path), options=_UNPROBED) as container:
            return container.streams.video[0].codec_context.extradata or b""
    except (av.error.FFmpegError, IndexError) as error:
        raise _damaged(segment.path) from error


class Claims:
    """Segments that one process makes beside others, and that another thread may add to.

    Attributes:
        name: Of the files of these segments while they are made; no other process at work in the
            folder has it.
    """

    def __init__(self, number: int) -> None:
        """`number`: Of the process, below ten million."""
        self.name = f"{number}-0"  # shards have a count in place of 0
        self._numbers: set[int] = set()
        self._news = threading.Condition()

    def add(self, number: int) -> None:
        """Another segment is to be made."""
        with self._news:
            self._numbers.add(number)
            self._news.notify()

    def remove(self, number: int) -> None:
        """A segment is finished, or the video ends before it."""
        with self._news:
            self._numbers.discard(number)

    def wait(self) -> None:
        """Wait until there is one."""
        with self._news:
            self._news.wait_for(lambda: self._numbers)

    @property
    def numbers(self) -> list[int]:
        """Those that are to be made, in order."""
        with self._news:
            return sorted(self._numbers)


class Workspace:
    """The folder of a video in work, beside its result.

    One run at a time uses it, or several shares, each of which makes segments of its own.

    Attributes:
        folder: Its path.
        finished: The segments that are finished, by their numbers; of a share its own.
    """

    def __init__(
        self,
        target: Path,
        settings: dict[str, Any],
        *,
        restart: bool = False,
        share: Shard | Claims | None = None,
    ) -> None:
        """Open the folder, or make it.

        Args:
            target: The result's path.
            settings: All that decides about the result, as JSON can store it; the finished segments
                of a folder with other settings are refused.
            restart: Remove what is there first; not of a share.
            share: Whose segments are made; None: all.

        Raises:
            WorkError: The folder is of a run with other settings, is damaged, or is no folder of
                this package.
            OSError: The folder cannot be made or read.
        """
        self.folder = _folder_of(target)
        if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
            raise self._in_the_way()
        self.finished: dict[int, Segment] = {}
        self._share = share
        self._locks: list[BinaryIO] = []
        wanted = json.loads(json.dumps({"format": FORMAT, **settings}))
        digest = sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
        self._result = self.folder / f"{_RESULT}-{digest[:16]}"
        try:
            if share is None:
                self._open(wanted, restart=restart)
            else:
                self._open_shared(wanted)
        except BaseException:
            self.close()
            raise

    def _open(self, wanted: dict[str, Any], *, restart: bool) -> None:
        record = self.folder / _RECORD
        if record.exists():
            self._locks.append(_locked(self.folder / _LOCK))
        results = sorted(self.folder.glob(f"{_RESULT}-*"))  # of a run that ended as it named it
        if restart and (record.exists() or results):
            self._clear()
            results = []
        if record.exists():
            self._check(record, wanted)
            for left in self.folder.glob("*.part"):
                left.unlink()
            self._find()
        elif results:
            if results != [self._result]:
                raise self._other_settings("all")
        elif self._has_only_leftovers():
            self.folder.mkdir(exist_ok=True)
            if not self._locks:
                self._locks.append(_locked(self.folder / _LOCK))
            self._clear()
            write_whole(record, json.dumps(wanted, indent=1).encode(), durable=True)
        else:
            raise self._in_the_way()

    def _clear(self) -> None:
        for left in self.folder.iterdir():
            if left.name != _LOCK:
                left.unlink()

    @property
    def _name(self) -> str:
        """Of the share; empty where all segments are made."""
        share = self._share
        if share is None:
            return ""
        return share.name if isinstance(share, Claims) else f"{share.number}-{share.count}"

    def _open_shared(self, wanted: dict[str, Any]) -> None:
        """Open it beside other shares, none of whose files are touched."""
        record = self.folder / _RECORD
        if list(self.folder.glob(f"{_RESULT}-*")):
            raise WorkError(
                f"{printable(self.folder)} holds the complete result; run the same command without "
                "--shard to give it its name"
            )
        if not (record.exists() or self._has_only_leftovers()):
            raise self._in_the_way()
        self.folder.mkdir(exist_ok=True)
        self._locks.append(_locked(self.folder / _LOCK, shared=True))
        own = self._name
        self._locks.append(_locked(self.folder / f"{_LOCK}-{own}"))
        if not record.exists():  # of several that write it at once, all write the same
            write_whole(record, json.dumps(wanted, indent=1).encode(), durable=True)
        self._check(record, wanted)
        self.part("segment").unlink(missing_ok=True)
        remove_leftovers([self.folder])
        self._find()

    def takes(self, number: int) -> bool:
        """Whether the segment of this number is still to be made here."""
        share = self._share
        if number in self.finished:
            return False
        if isinstance(share, Claims):
            return number in share.numbers
        return share is None or number % share.count == share.number

    def has_more(self, first: int) -> bool:
        """Whether a segment from this number on is, as far as is known, to be made here."""
        if isinstance(self._share, Claims):
            return any(n >= first and n not in self.finished for n in self._share.numbers)
        return self.last is None or any(map(self.takes, range(first, self.last + 1)))

    @property
    def segments(self) -> list[Segment]:
        """Those that are finished, in order, up to the first that is not."""
        found: list[Segment] = []
        while len(found) in self.finished:
            found.append(self.finished[len(found)])
        return found

    def _has_only_leftovers(self) -> bool:
        """Whether there is no folder, or one of a run that was killed as it made or removed it."""
        if not self.folder.exists():
            return True
        return all(
            path.name == _LOCK or _UNFINISHED.fullmatch(path.name) or is_unfinished(path.name)
            for path in self.folder.iterdir()
        )

    @property
    def frames(self) -> int:
        """Of all finished segments."""
        return sum(len(segment.times) for segment in self.finished.values())

    @property
    def last(self) -> int | None:
        """The number of the video's last segment, where that is finished."""
        return next((number for number, each in self.finished.items() if each.last), None)

    @property
    def is_complete(self) -> bool:
        """Whether all of the video's segments are finished."""
        segments = self.segments
        return bool(segments) and segments[-1].last

    def part(self, name: str) -> Path:
        """The path of an unfinished file, which the next run removes."""
        share = f"-{self._name}" if self._name else ""
        return self.folder / f"{name}{share}.part"

    @property
    def kept_frames(self) -> Path:
        """The path of the results of a segment in work, which the next run takes."""
        return self.folder / (f"{_FRAMES}-{self._name}" if self._name else _FRAMES)

    def add(
        self,
        number: int,
        part: Path,
        writer: SegmentWriter,
        **about: Any,  # noqa: ANN401
    ) -> None:
        """Take a writer's finished file as a segment; `about` is for the other fields.

        Raises:
            OSError: The record cannot be written.
        """
        path = self.folder / f"{number:06}.mkv"
        part.replace(path)
        segment = Segment(path, tuple(writer.times), delay=writer.delay, **about)
        self._record(segment)
        self.finished[number] = segment

    def mark_last(self, number: int) -> None:
        """Record that no frame comes after a finished segment; of another shard's nothing is done.

        Raises:
            OSError: The record cannot be written.
        """
        segment = self.finished.get(number)
        if segment is not None and not segment.last:
            self.finished[number] = replace(segment, last=True)
            self._record(self.finished[number])

    def _record(self, segment: Segment) -> None:
        about = (field.name for field in fields(segment) if field.name != "path")
        record = {name: getattr(segment, name) for name in about}  # asdict copies all times
        record["sha256"] = file_sha256(segment.path)
        record["record_checksum"] = _record_checksum(record)
        content = json.dumps(record).encode()
        write_whole(segment.path.with_suffix(".json"), content, durable=True)

    @property
    def result(self) -> Path | None:
        """The complete result, where a run ended while it was given its name."""
        return self._result if self._result.exists() else None

    def finish(self, part: Path, target: Path) -> None:
        """Give the complete result its name, and remove the folder.

        All else goes first, so that a run that is killed leaves the result in the folder, or
        nothing but the empty folder. Its name there tells the settings, whose record is gone then.

        Raises:
            OSError: A file cannot be renamed or removed.
        """
        if part != self._result:
            appear(part, self._result)
        if sys.platform == "win32":  # which removes no open file
            self.close()
        try:
            last = (_LOCK, _RECORD)
            for left in sorted(self.folder.iterdir(), key=lambda path: path.name in last):
                if left != self._result:
                    left.unlink()
            with suppress(OSError):  # the file that is replaced may be another user's
                shutil.copymode(target, self._result)
            self._result.replace(target)
            self.folder.rmdir()
        finally:
            self.close()

    def remove(self) -> None:
        """Remove the folder, its record last, so that what a kill leaves is known as its own."""
        if sys.platform == "win32":  # which removes no open file
            self.close()
        try:
            last = (_LOCK, _RECORD)
            for left in sorted(self.folder.iterdir(), key=lambda path: path.name in last):
                left.unlink()
            self.folder.rmdir()
        finally:
            self.close()

    def close(self) -> None:
        """Let another run take the folder."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()

    def _check(self, record: Path, wanted: dict[str, Any]) -> None:
        try:
            found = json.loads(record.read_bytes())
        except FileNotFoundError:
            raise self._in_the_way() from None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise _damaged(record)
        if other := _differences(found, wanted):
            raise self._other_settings("; ".join(other))

    def _other_settings(self, which: str) -> WorkError:
        return WorkError(
            f"{printable(self.folder)} holds an unfinished run with other settings "
            f"({printable(which)}); use those to go on, or begin again with --restart"
        )

    def _in_the_way(self) -> WorkError:
        return WorkError(
            f"{printable(self.folder)} is in the way: it is no folder of an unfinished video; move "
            "it away"
        )

    def _find(self) -> None:
        """Read the finished segments, and remove those whose record was not written."""
        for path in sorted(self.folder.iterdir()):
            if not _SEGMENT.fullmatch(path.name):
                continue
            number = int(path.stem)
            other = path.with_suffix(".mkv" if path.suffix == ".json" else ".json")
            if not self.takes(number):
                continue
            if other.exists():
                self.finished[number] = _read_segment(*sorted((path, other), reverse=True))
            else:
                path.unlink()


def _locked(path: Path, *, shared: bool = False) -> BinaryIO:
    """A file that is open, and that no other process can open like this until it is closed.

    The system lets go of it when a process ends, however it does. `shared`: others may, if theirs
    is shared, too; Windows has no such locks, and there nothing is locked then.
    """
    file = path.open("ab")
    busy = f"another run is at work in {printable(path.parent)}; wait for its end"
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - of Windows only

            if not shared:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not of Windows

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            raise BusyError(busy) from error
        return path.open("ab")  # a file system without locks
    if not (path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))):
        file.close()  # the other run removed the folder in the meantime
        raise BusyError(busy)
    return file


def _folder_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.realesrgan")


def recorded_threads(target: Path) -> int | None:
    """The number of the encoder's threads in a result's unfinished run; None: there is none.

    The bits of some encoders depend on it, so that a run that goes on takes the same.
    """
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads((_folder_of(target) / _RECORD).read_bytes())["encoding"]["threads"]
        if isinstance(found, int) and 1 <= found <= MOST_THREADS:
            return found
    return None


def _read_segment(path: Path, record: Path) -> Segment:
    try:
        found = json.loads(record.read_bytes())
        if found.pop("record_checksum") != _record_checksum(found):
            raise ValueError("checksum")
        times = tuple((int(pts), int(duration)) for pts, duration in found["times"])
        segment = Segment(
            path,
            times,
            reused=int(found["reused"]),
            damaged=int(found["damaged"]),
            checksum=int(found["checksum"]),
            delay=int(found["delay"]),
            last=found["last"] is True,
        )
        rising = all(one[0] < other[0] for one, other in pairwise(times))
        if not (rising and 0 < len(times) <= _MOST_FRAMES):
            raise ValueError("times")
        if not 0 <= segment.delay < len(times):
            raise ValueError("delay")
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _damaged(record) from error
    if found["sha256"] != file_sha256(path):  # what is damaged is found before any work
        raise _damaged(path)
    return segment


def _record_checksum(record: dict[str, Any]) -> int:
    return crc32(json.dumps(record).encode())


def _damaged(path: Path) -> WorkError:
    return WorkError(
        f"{printable(path)} is damaged; remove that segment's files (.mkv and .json) to make it "
        "again, or begin again with --restart"
    )


def fingerprint(path: Path) -> dict[str, Any]:
    """What tells a file from others: its size, and a digest of its first and its last megabyte.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = sha256(file.read(_FINGERPRINT_BYTES))
        file.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(file.read(_FINGERPRINT_BYTES))
    return {"bytes": size, "sha256": digest.hexdigest()}
