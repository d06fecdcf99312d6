"""The `video` command: what it refuses and prints; what it keeps of files is in tests/video."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import COMMAND, on_a_terminal, run
from compact_network import write_compact
from PIL import Image

pytest.importorskip("av", reason="PyAV is not installed (realesrgan-vk[video])")
import av
import video_files

from realesrgan_vk.cli import video_run
from realesrgan_vk.video.options import DEFAULT_MODEL
from realesrgan_vk.video.run import VideoProgress

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """clip.mp4, interlaced.mp4, notes.txt and a network of scale 2."""
    write_compact(tmp_path, "net")
    video_files.plain(tmp_path / "clip.mp4", sound=0.5)
    (tmp_path / "notes.txt").write_text("no video")
    return tmp_path


NET = ["-m", "net.param", "-d", "cpu"]


def upscaled(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run("video", *words, *NET, cwd=folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("missing.mp4 -o x.mp4", "missing.mp4: No such file or directory"),
        ("notes.txt -o x.mp4", "cannot be read as a video"),
        ("net.param -o x.mkv", "cannot be read as a video"),
        ("clip.mp4 -o x.png", "output x.png has no suffix of a video"),
        ("clip.mp4 -o clip.mp4", "the result would replace its source clip.mp4"),
        ("clip.mp4 -o no/x.mp4", "/no does not exist"),
        ("clip.mp4 clip.mp4 -o x.mp4", "output x.mp4 is one file, but there are 2 videos"),
        ("clip.mp4 -o x.mkv --codec divx9", "codec is 'divx9'; it must be one of x264, x265"),
        ("clip.mp4 -o x.mkv --codec aac", "codec 'aac' is none of video"),
        ("clip.mp4 -o x.webm --codec x264", "a file of format webm cannot hold libx264's video"),
        ("clip.mp4 -o x.ts --codec mpeg4", "a file of format mpegts cannot hold mpeg4's video"),
        ("clip.mp4 -o x.mkv --codec rawvideo", "codec 'rawvideo' cannot be used for segments"),
        ("clip.mp4 -o x.ts --codec ffv1", "a file of format mpegts cannot hold ffv1's video"),
        ("clip.mp4 -o x.avi --container avi", "an AVI file holds no time stamps of frames"),
        ("clip.mp4 -o x.mkv --container nonsense", "FFmpeg writes no such format"),
        ("clip.mp4 -o x.mkv --pixel-format yuv420p16le", "libx264 has no pixel format"),
        ("clip.mp4 -o x.mkv --width 33 --pixel-format yuv420p", "whose chroma needs even sides"),
        ("clip.mp4 -o x.mkv --preset warp", "refuses"),
        ("clip.mp4 -o x.mkv --encoder-options nonsense=1", "has no option 'nonsense'"),
        ("clip.mp4 -o x.mkv --encoder-options tune=\u00fc", "must be ASCII text"),
        ("clip.mp4 -o x.mkv --encoder-options video_size=8x8", "video_size is set here"),
        ("clip.mp4 -o x.mkv --encoder-options nonsense", "is not NAME=VALUE"),
        ("clip.mp4 -o x.mkv --crf 300", "crf is 300.0; it must be from 0 to 255"),
        ("clip.mp4 -o x.mkv --crf 3 --lossless", "give only one of crf and lossless"),
        ("clip.mp4 -o x.mov --codec prores --crf 3", "codec prores has no crf"),
        ("clip.mp4 -o x.mov --codec prores --lossless", "cannot encode without a loss"),
        ("clip.mp4 -o x.mkv --codec ffv1 --preset fast", "codec ffv1 has no presets"),
        ("clip.mp4 -o x.mkv --start 1:2:3:4", "'1:2:3:4' is no time"),
        ("clip.mp4 -o x.mkv --start 2 --end 1", "end is 1; it must be after start, 2"),
        ("clip.mp4 -o x.mkv --segment-seconds 0", "it must be of seconds from 0.1 to 3600"),
        ("clip.mp4 -o x.mkv --encoder-threads 0", "encoder_threads is 0"),
        ("clip.mp4 -o x.mkv --preview 0", "preview is 0.0"),
        ("clip.mp4 -o x.mkv --scale 2 --width 9", "give only one of"),
        ("clip.mp4 -o x.mkv -m nonsense", "nonsense"),
        ("- -o x.mkv", "/dev/stdin is a pipe or a device"),
        ("clip.mp4 -o x.m3u8 --container hls", "container 'hls' is not one file"),
        ("clip.mp4 -o x.gif --container gif --codec gif", "matroska cannot hold gif's video"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(words: str, message: str, folder: Path) -> None:
    before = sorted(folder.iterdir())
    done = run("video", *NET, *words.split(), cwd=folder)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before


def test_a_part_without_frames_is_said(folder: Path) -> None:
    done = upscaled(folder, "clip.mp4", "-o", "x.mkv", "--start", "50")
    assert done.returncode == 1
    assert "has no frame in the part asked for" in done.stderr
    assert not (folder / "x.mkv").exists()
    assert not (folder / "x.mkv.realesrgan").exists()


def test_interlaced_video_is_refused_with_the_way_out(folder: Path) -> None:
    video_files.interlaced(folder / "old.mp4")
    refused = upscaled(folder, "old.mp4", "-o", "x.mkv")
    assert refused.returncode == 2
    assert "--deinterlace" in refused.stderr
    done = upscaled(folder, "old.mp4", "-o", "x.mkv", "--deinterlace")
    assert done.returncode == 0, done.stderr


def test_upscale_names_the_command_for_videos(folder: Path) -> None:
    done = run("upscale", "clip.mp4", *NET, cwd=folder)
    assert done.returncode == 2
    assert "realesrgan-vk video clip.mp4" in done.stderr


def test_without_an_output_the_result_lies_beside_the_video(folder: Path) -> None:
    done = upscaled(folder, "clip.mp4")
    assert done.returncode == 0, done.stderr
    assert re.search(r"clip-upscaled\.mp4 \(128 x 96, 12 frames, .* KiB, .* s\)", done.stderr)
    assert (folder / "clip-upscaled.mp4").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipes_and_links_to_themselves_are_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe.mkv")
    (folder / "loop.mkv").symlink_to("loop.mkv")
    for words, message in (
        (["pipe.mkv"], "pipe.mkv is a pipe or a device, which cannot be read several times"),
        (["clip.mp4", "-o", "pipe.mkv"], "output pipe.mkv is a pipe or a device"),
        (["clip.mp4", "-o", "loop.mkv"], "loop.mkv is a link to itself"),
    ):
        done = upscaled(folder, *words)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_a_plan_needs_no_folder_to_write_into(folder: Path) -> None:
    """Another user's, or that of a read-only disk."""
    (folder / "clip-upscaled.mkv").mkdir()
    done = run("plan", "clip.mp4", *NET, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_names_that_look_like_addresses_are_of_files(folder: Path) -> None:
    (folder / "clip.mp4").rename(folder / "http:a%03d.mp4")
    done = upscaled(folder, "http:a%03d.mp4", "-o", "b:%d.mkv")
    assert done.returncode == 0, done.stderr
    assert (folder / "b:%d.mkv").exists()


def test_the_container_decides_about_the_suffix(folder: Path) -> None:
    assert upscaled(folder, "clip.mp4", "--container", "mkv").returncode == 0
    assert (folder / "clip-upscaled.mkv").exists()


def test_an_encoder_has_its_settings_by_any_of_its_names(folder: Path) -> None:
    results = []
    for name in ("x265", "libx265", "hevc"):
        done = upscaled(folder, "clip.mp4", "-o", "x.mkv", "--codec", name, "--quiet")
        assert done.returncode == 0
        assert done.stderr == ""
        results.append((folder / "x.mkv").read_bytes())
    assert results[0] == results[1] == results[2]


def test_a_link_as_output_stays_and_leads_to_the_result(folder: Path) -> None:
    """The segments lie where the result does: that may be another disk."""
    (folder / "disk").mkdir()
    (folder / "x.mkv").symlink_to("disk/y.mkv")
    (folder / "disk" / "y.mkv.realesrgan").write_text("in the way")
    refused = upscaled(folder, "clip.mp4", "-o", "x.mkv")
    assert refused.returncode == 1
    assert "y.mkv.realesrgan is in the way" in refused.stderr
    (folder / "disk" / "y.mkv.realesrgan").unlink()
    assert upscaled(folder, "clip.mp4", "-o", "x.mkv").returncode == 0
    assert (folder / "x.mkv").is_symlink()
    assert [path.name for path in (folder / "disk").iterdir()] == ["y.mkv"]


def test_progress_is_told_once_at_the_end_however_long_the_sound_is(folder: Path) -> None:
    video_files.plain(folder / "long.mkv", 2, sound=20.0)
    done = upscaled(folder, "long.mkv", "-o", "x.mkv", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(event["event"] == "progress" for event in events) < 10


def test_a_codec_that_cannot_be_decoded_is_said(folder: Path) -> None:
    clip = folder / "clip.mp4"
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))
    done = upscaled(folder, "clip.mp4", "-o", "x.mkv")
    assert done.returncode == 2
    assert "clip.mp4 has a video that FFmpeg cannot decode" in done.stderr


@pytest.mark.parametrize(
    ("source", "codec", "tag", "other"),
    [
        ("x.mkv", "aac", b"A_AAC", b"A_ZZZ"),
        ("x.avi", "libmp3lame", b"auds", b"zzzz"),
    ],
)
def test_a_stream_that_cannot_be_decoded_is_left_out(
    source: str, codec: str, tag: bytes, other: bytes, folder: Path
) -> None:
    video_files.plain(folder / source, 6, sound=0.5, sound_codec=codec)
    data = (folder / source).read_bytes()
    assert tag in data
    (folder / source).write_bytes(data.replace(tag, other))
    for sound in ("copy", "aac"):
        done = upscaled(folder, source, "-o", "y.mp4", "--audio", sound)
        assert done.returncode == 0, done.stderr
        assert "stream 1 (unknown) is left out" in done.stderr


def test_folders_and_patterns(folder: Path) -> None:
    films = folder / "films"
    films.mkdir()
    video_files.plain(films / "a.mp4", 3)
    video_files.plain(films / "b.avi", 3)
    (films / "c.txt").write_text("no video")
    done = upscaled(folder, "films")
    assert done.returncode == 0, done.stderr
    assert "1 file is no video: c.txt" in done.stderr
    assert "2 written" in done.stderr
    assert sorted(path.name for path in (folder / "films-upscaled").iterdir()) == ["a.mp4", "b.mkv"]
    done = upscaled(folder, "films/*.mp4", "-o", "out/", "--skip-existing")
    assert done.returncode == 0, done.stderr
    again = upscaled(folder, "films/*.mp4", "-o", "out/", "--skip-existing")
    assert "skipped: a.mp4 exists" in again.stderr
    broken = films / "broken.mp4"
    broken.write_bytes(b"\0" * 999)
    done = upscaled(folder, "films", "-o", "out2/")
    assert done.returncode == 1
    assert "broken.mp4 cannot be read as a video" in done.stderr
    assert sorted(path.name for path in (folder / "out2").iterdir()) == ["a.mp4", "b.mkv"]


def test_a_result_replaces_the_one_before_only_when_it_is_whole(folder: Path) -> None:
    (folder / "x.mkv").write_bytes(b"before")
    (folder / "x.mkv").chmod(0o600)
    refused = upscaled(folder, "clip.mp4", "-o", "x.mkv", "--start", "50")
    assert refused.returncode == 1
    assert (folder / "x.mkv").read_bytes() == b"before"
    assert upscaled(folder, "clip.mp4", "-o", "x.mkv").returncode == 0
    assert (folder / "x.mkv").read_bytes()[:4] == b"\x1aE\xdf\xa3"
    assert (folder / "x.mkv").stat().st_mode & 0o777 == 0o600


def test_events_have_the_fields_of_the_table(folder: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "video.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (`.*) \|$", page.partition("## Events")[2], re.M)
    table = {event: set(re.findall(r"`(\w+)`", fields)) for event, fields in rows}
    films = folder / "films"
    films.mkdir()
    video_files.plain(films / "a.mp4", 3)
    (films / "b.mp4").write_bytes(b"\0" * 99)
    video_files.plain(films / "c.mp4", 3)
    (folder / "out").mkdir()
    (folder / "out" / "c.mp4").touch()
    words = ("films", "-o", "out", "--json", "--skip-existing")
    plan = upscaled(folder, *words, "--plan")
    shard = upscaled(folder, "clip.mp4", "-o", "x.mp4", "--json", "--shard", "0/2")
    done = upscaled(folder, *words)
    told = {}
    for line in (plan.stdout + shard.stdout + done.stdout).splitlines():
        event = json.loads(line)
        told[event["event"]] = set(event) - {"event"}
    assert done.stderr == ""
    assert told == {event: table[event] for event in told}
    assert set(table) - set(told) == {"retired", "interrupted"}


def test_the_bar_shows_frames_speed_and_size(folder: Path) -> None:
    clip, result = folder / "clip.mp4", folder / "x.mkv"
    network = str(folder / "net.param")
    shown = on_a_terminal("video", clip, "-o", result, "-m", network, "-d", "cpu", columns=120)
    assert "12/12 frames" in shown
    assert re.search(r"fps|joining, \d+\.?\d* (B|KiB)", shown)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["--height", "50"], (66, 50)),  # 66.7 would be 67
        (["--width", "50"], (50, 38)),  # 37.5
        (["--long-edge", "75"], (75, 56)),
        (["--scale", "1.02"], (64, 48)),  # 65 x 49
        (["--width", "67", "--height", "49"], (67, 49)),
    ],
)
def test_sides_that_follow_are_even(words: list[str], size: tuple[int, int], folder: Path) -> None:
    done = upscaled(folder, "clip.mp4", "-o", "x.mkv", *words)
    assert done.returncode == 0, done.stderr
    with av.open(str(folder / "x.mkv")) as result:
        context = result.streams.video[0].codec_context
        assert (context.width, context.height) == size
        even = size[0] % 2 == 0 and size[1] % 2 == 0
        assert context.pix_fmt == ("yuv420p" if even else "yuv444p")


def test_a_preview_shows_a_frame_before_and_after(folder: Path) -> None:
    done = upscaled(folder, "clip.mp4", "-o", "x.mkv", "--preview", "0.001")
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "x.mkv.preview.png") as picture:
        assert picture.size == (2 * 128, 96)


def test_a_preview_that_cannot_be_written_is_said_and_the_run_goes_on(folder: Path) -> None:
    (folder / "x.mkv.preview.png").mkdir()
    done = upscaled(folder, "clip.mp4", "-o", "x.mkv", "--preview", "0.001")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no more previews: ") == 1
    assert (folder / "x.mkv").stat().st_size > 0


def test_notes_name_their_video_where_there_are_several(folder: Path) -> None:
    done = upscaled(folder, "clip.mp4", "interlaced.mp4", "-o", "out/")
    assert done.returncode == 1
    assert "clip.mp4: the source does not say which colour matrix" in done.stderr


def test_progress_is_a_line_now_and_then_off_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(video_run, "_LINE_INTERVAL", 0)
    report = video_run.Report()
    with report.running(Path("film.mkv")):
        for done, total in ((1, 0), (1, 1), (30, 100)):
            report.progress(
                Path("film.mkv"), VideoProgress(done, total, 0, 0, joining=False, fraction=0)
            )
        report.progress(Path("film.mkv"), VideoProgress(100, 100, 0, 0, joining=True, fraction=0.5))
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"[0-9.:]+ (fps|left)", r"N \1", line) for line in lines] == [
        "1 frame, N fps",
        "1 of 1 frame, N fps, N left",
        "30 of 100 frames, N fps, N left",
    ]


def test_what_is_wrong_comes_without_other_notes(folder: Path) -> None:
    done = run("video", "missing.mp4", "-o", "x.mkv", "-m", "net.param", cwd=folder)
    assert done.returncode == 2
    assert "no GPU" not in done.stderr


def test_a_plan_of_a_video(folder: Path) -> None:
    done = run("plan", "clip.mp4", *NET, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^video +64 x 48, 12 frames, 0\.5 s$", done.stdout, re.M)
    assert re.search(r"^result +128 x 96$", done.stdout, re.M)
    found = json.loads(run("plan", "clip.mp4", *NET, "--json", cwd=folder).stdout)
    assert (found["frames"], found["result_width"]) == (12, 128)
    assert found["seconds_a_frame"] > 0
    assert found["device_bytes"] > 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "clip.mp4", "net.bin", "net.param", "notes.txt"
    ]  # fmt: skip


def test_a_plan_of_a_run_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    words = ("clip.mp4", "--plan", "-o", "out/x.webm", "--width", "96", "--start", "0.25")
    done = upscaled(folder, *words)
    assert done.returncode == 2  # what the run would refuse
    words = ("clip.mp4", "--plan", "-o", "x.webm", "--width", "96", "--start", "0.25")
    done = upscaled(folder, *words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^video +64 x 48, 6 frames, 0\.2 s$", done.stdout, re.M)
    assert re.search(r"^result +96 x 72$", done.stdout, re.M)
    assert "is encoded as Opus" in done.stderr
    found = json.loads(upscaled(folder, *words, "--json").stdout.splitlines()[-2])
    assert (found["event"], found["frames"], found["result_width"]) == ("plan", 6, 96)
    assert sorted(folder.iterdir()) == before


def test_a_plan_of_a_video_has_the_network_of_videos(folder: Path) -> None:
    done = run("plan", "clip.mp4", "-d", "cpu", cwd=folder)
    assert re.search(r"^result +256 x 192$", done.stdout, re.M)
    own = json.loads(run("plan", "clip.mp4", "-d", "cpu", "--json", cwd=folder).stdout)
    given = run("plan", "clip.mp4", "-d", "cpu", "--json", "-m", DEFAULT_MODEL, cwd=folder)
    assert own["device_bytes"] == json.loads(given.stdout)["device_bytes"]


def test_sound_is_encoded_as_aac_or_left_out(folder: Path) -> None:
    video_files.plain(folder / "pcm.mkv", sound=0.5, sound_codec="pcm_s16le")
    for words, codecs in (("aac", ["aac"]), ("none", []), ("copy", ["pcm_s16le"])):
        done = upscaled(folder, "pcm.mkv", "-o", f"{words}.mkv", "--audio", words)
        assert done.returncode == 0, done.stderr
        with av.open(str(folder / f"{words}.mkv")) as result:
            assert [stream.codec_context.name for stream in result.streams.audio] == codecs
            seconds = sum(
                frame.samples / frame.sample_rate for frame in result.decode(audio=0)
            ) if codecs else 0.5  # fmt: skip
        assert seconds == pytest.approx(0.5, abs=0.05)


def test_sound_whose_times_are_rounded_is_encoded_without_gaps(folder: Path) -> None:
    """AVI counts packets of MP3, so that their samples seem to overlap."""
    video_files.avi(folder / "old.avi")
    done = upscaled(folder, "old.avi", "-o", "x.mp4", "--audio", "aac")
    assert done.returncode == 0, done.stderr
    with av.open(str(folder / "x.mp4")) as result:
        times = [packet.pts for packet in result.demux(audio=0) if packet.pts is not None]
    assert {later - one for one, later in itertools.pairwise(times)} == {1024}


@pytest.mark.parametrize(
    ("source", "codec", "target", "result"),
    [
        ("x.mov", "pcm_s16le", "y.ts", "AAC"),
        ("x.mkv", "flac", "y.mov", "AAC"),
        ("x.mkv", "flac", "y.webm", "Opus"),
    ],
)
def test_sound_that_the_container_does_not_take_is_encoded(
    source: str, codec: str, target: str, result: str, folder: Path
) -> None:
    video_files.plain(folder / source, 6, sound=0.5, sound_codec=codec)
    done = upscaled(folder, source, "-o", target)
    assert done.returncode == 0, done.stderr
    assert f"is encoded as {result}: a file" in done.stderr
    with av.open(str(folder / target)) as file:
        assert [stream.codec_context.name for stream in file.streams.audio] == [result.lower()]


def test_missing_pyav_is_said_with_the_command_that_installs_it(folder: Path) -> None:
    (folder / "without").mkdir()
    (folder / "without" / "av.py").write_text("raise ImportError('no PyAV here')")
    for words in (["video", "clip.mp4"], ["plan", "clip.mp4"]):
        done = run(*words, *NET, cwd=folder, PYTHONPATH=str(folder / "without"))
        assert done.returncode == 2
        assert "pip install 'av>=18.1'" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr


def test_pyav_is_imported_only_where_it_is_needed() -> None:
    code = (
        "import sys; from realesrgan_vk.cli import commands; import realesrgan_vk.video; "
        "print([name for name in ('av', 'numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert COMMAND
