"""Where a result goes: devices, pipes, descriptors and links, and the access rights of files."""

import errno
import os
import stat
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import Photo
from drop_in import SCRIPTS
from PIL import Image

from realesrgan_vk import ImageError, image_io
from realesrgan_vk.image_io import atomic
from realesrgan_vk.image_io.atomic import whole_file, write_whole
from realesrgan_vk.image_io.formats import PNG
from realesrgan_vk.image_io.rows import TiffRowWriter
from realesrgan_vk.imaging.picture import Frame, Picture

COMMAND = [sys.executable, "-m", "realesrgan_vk", "upscale", "-m", "realesr-animevideov3"]
COMMAND += ["-d", "cpu"]
DROP_IN = [str(SCRIPTS / "realesrgan-ncnn-vulkan"), "-g", "-1"]
SCALED = (80, 64)
needs_unix = pytest.mark.skipif(os.name != "posix", reason="needs pipes and links of a Unix system")
pytestmark = needs_unix


@pytest.fixture
def picture() -> Picture:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    return Picture((Frame(pixels),), "colour", 8)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def size_of(content: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(BytesIO(content)) as image:
        image.load()
        return image.format, image.size


def shell(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a bash script; its arguments are $1 and on."""
    return subprocess.run(
        ["bash", "-c", script, "bash", *map(str, arguments)],
        check=False,
        capture_output=True,
        timeout=120,
    )


def test_a_device_is_written_into(picture: Picture, tmp_path: Path) -> None:
    device = tmp_path / "null.png"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        device.open("wb").close()
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")
    image_io.write(picture, device)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert list(tmp_path.iterdir()) == [device]


def test_a_device_that_takes_nothing_is_an_error(picture: Picture) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with pytest.raises(ImageError, match="/dev/full cannot be written: No space left"):
        image_io.write(picture, Path("/dev/full"), known=PNG)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_pipe_is_written_into_and_read(picture: Picture, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    got: list[Picture] = []
    reader = threading.Thread(target=lambda: got.append(image_io.read(pipe)))
    reader.start()
    image_io.write(picture, pipe)
    reader.join(30)
    assert np.array_equal(got[0].frames[0].pixels, picture.frames[0].pixels)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_a_descriptor_is_written_into_where_it_stands(tmp_path: Path, name: str) -> None:
    target = tmp_path / "file"
    with target.open("wb") as file:
        file.write(b"before,")
        file.flush()
        path = Path(name.format(file.fileno()))
        if name == "link":
            path = tmp_path / "link"
            path.symlink_to(f"/dev/fd/{file.fileno()}")
        write_whole(path, b"picture")
    assert target.read_bytes() == b"before,picture"


@pytest.mark.parametrize("present", [True, False])
def test_links_are_followed(tmp_path: Path, present: bool) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    target, inner, link = folder / "target.png", folder / "inner.png", tmp_path / "link.png"
    inner.symlink_to("target.png")
    link.symlink_to("deep/inner.png")
    if present:
        target.write_bytes(b"old")
    write_whole(link, b"new")
    assert (link.is_symlink(), inner.is_symlink(), target.is_symlink()) == (True, True, False)
    assert target.read_bytes() == b"new"
    assert sorted(folder.iterdir()) == [inner, target]
    loop = tmp_path / "loop.png"
    loop.symlink_to("loop.png")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(loop, b"new")
    assert loop.is_symlink()


@pytest.mark.parametrize("content", [b"new", b"a new one that is longer than the old one"])
def test_a_file_of_two_names_keeps_both(tmp_path: Path, content: bytes) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    first.write_bytes(b"the old content")
    second.hardlink_to(first)
    write_whole(first, content)
    assert first.samefile(second)
    assert second.read_bytes() == content

    def stop_half_way() -> None:
        with whole_file(first) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stop_half_way()
    assert second.read_bytes() == content
    assert sorted(tmp_path.iterdir()) == [first, second]


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_a_durable_file_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, nameless: bool
) -> None:
    if not nameless:
        monkeypatch.setattr(atomic, "_open_nameless", lambda *_: None)
    path = tmp_path / "record.json"
    if there:
        path.write_bytes(b"old")
    seen: list[tuple[bool, bytes | None]] = []

    def synced(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        seen.append((is_folder, path.read_bytes() if path.exists() else None))

    monkeypatch.setattr(os, "fsync", synced)
    write_whole(path, b"new", durable=True)
    assert seen == [(False, b"old" if there else None), (True, b"new")]
    write_whole(path, b"newer")
    assert len(seen) == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_the_mode_of_a_replaced_file_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, nameless: bool
) -> None:
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    path, new = tmp_path / "a.png", tmp_path / "new.png"
    path.write_bytes(b"old")
    path.chmod(mode)
    mask = os.umask(0o027)
    try:
        write_whole(path, b"new")
        write_whole(new, b"new")
    finally:
        os.umask(mask)
    assert (mode_of(path), mode_of(new)) == (mode, 0o640)
    assert path.read_bytes() == b"new"


def test_the_owner_of_a_replaced_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    try:
        os.chown(path, 12345, 23456)
    except OSError as error:
        pytest.skip(f"only the superuser may give a file away: {error}")
    write_whole(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


@pytest.mark.parametrize("nameless", [True, False])
def test_a_mount_point_is_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    """A file that is mounted into a container by itself cannot be replaced."""
    path = tmp_path / "a.png"
    path.write_bytes(b"the old content")
    before = path.stat().st_ino
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    write_whole(path, b"new")
    assert (path.read_bytes(), path.stat().st_ino) == (b"new", before)
    assert list(tmp_path.iterdir()) == [path]


def test_where_no_nameless_file_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a sandbox without /proc: the content is copied to a file with a name."""
    monkeypatch.setattr(atomic, "_link", lambda *_: False)
    path = tmp_path / "a.png"
    for content in (b"first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_rows_go_to_the_same_places(tmp_path: Path) -> None:
    rows = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    target, link = tmp_path / "a.tif", tmp_path / "link.tif"
    target.touch(0o600)
    link.symlink_to(target)
    with TiffRowWriter(link, 5, 4) as sink:
        sink.write(0, rows)
    assert (link.is_symlink(), mode_of(target)) == (True, 0o600)
    with Image.open(target) as image:
        assert np.array_equal(np.asarray(image), rows)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe:
        with os.fdopen(write, "wb"), TiffRowWriter(Path(f"/dev/fd/{write}"), 5, 4) as sink:
            sink.write(0, rows)
        assert pipe.read() == target.read_bytes()


def test_standard_streams(source: Path, tmp_path: Path) -> None:
    """Between programs, through a shell's redirections and its process substitutions."""
    command = " ".join(f"'{word}'" for word in COMMAND)
    script = f"cat $1 | {command} - -o - -f jpg | cat"
    piped = shell(script, source)
    assert (piped.returncode, size_of(piped.stdout)) == (0, ("JPEG", SCALED)), piped.stderr
    out, log = tmp_path / "out.webp", tmp_path / "log"
    script = (
        f"{command} --quiet <(cat $1) -o >(cat > $2.part; mv $2.part $2)"
        "; code=$?; while ! [ -e $2 ]; do sleep 0.02; done; exit $code"
    )
    substituted = shell(script, source, out)
    assert (substituted.returncode, substituted.stderr) == (0, b"")
    assert size_of(out.read_bytes()) == ("PNG", SCALED)
    appended = shell(f"printf before > $2; {command} $1 -o /dev/stdout >> $2", source, log)
    assert appended.returncode == 0
    assert size_of(log.read_bytes().removeprefix(b"before")) == ("PNG", SCALED)


def test_wrong_use_of_standard_streams(source: Path, tmp_path: Path) -> None:
    command = " ".join(f"'{word}'" for word in COMMAND)
    for script, words in (
        (f"{command} $1 $1 -o -", b"is one file, but there are 2 pictures"),
        (f"{command} $1 -o - >&-", b"/dev/stdout cannot be written to"),
        (f"{command} $1 -o - --json", b"--json"),
        (f"{command} $1 -o {tmp_path}/none/a.png", b"none does not exist"),
    ):
        done = shell(script, source)
        assert done.returncode == 2, script
        said = done.stdout if "--json" in script else done.stderr
        assert words in b" ".join(said.split())
        assert (done.stdout, done.stderr)["--json" in script] == b""
    broken = shell(f"{command} $1 -o - | true; exit ${{PIPESTATUS[0]}}", source)
    assert broken.returncode == 1
    assert b"/dev/stdout cannot be written: Broken pipe" in broken.stderr


@pytest.mark.parametrize("program", ["realesrgan-vk", "realesrgan-ncnn-vulkan"])
def test_the_commands_write_into_a_device_and_through_a_link(
    photo: Photo, source: Path, tmp_path: Path, program: str
) -> None:
    start = COMMAND if program == "realesrgan-vk" else [*DROP_IN, "-i"]
    target, link = tmp_path / "private.png", tmp_path / "link.png"
    Image.fromarray(photo(8, 8)).save(target)
    target.chmod(0o600)
    link.symlink_to(target)
    for output in ("/dev/null", str(link)):
        done = subprocess.run([*start, str(source), "-o", output], check=False, timeout=120)
        assert done.returncode == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert (link.is_symlink(), mode_of(target)) == (True, 0o600)
    assert size_of(target.read_bytes()) == ("PNG", SCALED)


def test_the_drop_in_program_writes_alpha_to_a_pipe_as_png(photo: Photo, tmp_path: Path) -> None:
    source, pipe = tmp_path / "in.png", tmp_path / "out.jpg"
    Image.fromarray(np.dstack([photo(20, 16), photo(20, 16)[..., 0]])).save(source)
    os.mkfifo(pipe)
    process = subprocess.Popen([*DROP_IN, "-i", str(source), "-o", str(pipe)])
    assert size_of(pipe.read_bytes()) == ("PNG", SCALED)
    assert process.wait(30) == 0
    assert sorted(tmp_path.iterdir()) == [source, pipe]


def test_the_drop_in_program_does_not_take_a_folder_for_a_file(
    source: Path, tmp_path: Path
) -> None:
    words = "inputpath and outputpath must be either file or directory at the same time\n"
    new = f"{tmp_path / 'new'}/"
    done = subprocess.run([*DROP_IN, "-i", str(source), "-o", new], check=False,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert (done.returncode, done.stderr) == (255, words)
    assert not Path(new).exists()
    made = subprocess.run([*DROP_IN, "-i", str(tmp_path), "-o", f"{new}a.png/"], check=False)
    assert made.returncode == 0
    assert size_of(Path(new, "a.png", "in.png").read_bytes()) == ("PNG", SCALED)
