"""Where results go: every result has a place of its own, and no source is lost."""

import subprocess
from itertools import permutations
from pathlib import Path
from random import Random
from string import ascii_lowercase

import numpy as np
import pytest
from conftest import Photo
from drop_in import SCRIPTS
from PIL import Image

from realesrgan_vk import image_io
from realesrgan_vk.batch.jobs import Job, Naming, Targets, find_sources, of_shard, plan_jobs
from realesrgan_vk.cli import ncnn_compat
from realesrgan_vk.image_io.formats import JPEG, PNG
from realesrgan_vk.options import Shard


def sources_of(root: Path, *names: str) -> list[tuple[Path, Path]]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return find_sources([str(root / name) for name in names], recursive=False).pictures


NUMBERED = (
    [f"holiday/IMG_{number:04}.jpg" for number in range(1000)],
    [f"{number}.png" for number in range(500, 1500)],
    [f"film/frame{number}_left.tif" for number in range(0, 24_000, 24)],
    [f"scans/page-{number}" for number in range(0, 10_000, 10)],
)


def shares(names: list[str], count: int) -> list[list[str]]:
    parts = [[name for name in names if Shard(i, count).takes(name)] for i in range(count)]
    assert sorted(name for part in parts for name in part) == sorted(names)
    return parts


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("names", NUMBERED, ids=lambda names: names[0].partition("/")[0])
def test_shards_of_numbered_pictures_are_equal(names: list[str], count: int) -> None:
    mean = len(names) / count
    assert all(abs(len(part) / mean - 1) <= 0.1 for part in shares(names, count))


def test_numbered_pictures_are_shared_by_their_numbers_not_in_runs() -> None:
    """Neighbours go to different shards, so that a folder's large pictures do not stay together."""
    part = {name for name in NUMBERED[0] if Shard(2, 7).takes(name)}
    neighbours = zip(NUMBERED[0], NUMBERED[0][1:], strict=False)
    assert not any(one in part and other in part for one, other in neighbours)


@pytest.mark.parametrize("count", [3, 7])
def test_shards_of_other_pictures_differ_by_chance(count: int) -> None:
    random = Random(7)
    names = ["".join(random.choices(ascii_lowercase, k=12)) + ".jpg" for _ in range(1000)]
    # Three standard deviations of a binomial distribution's share.
    bound = 3 * ((count - 1) / 1000) ** 0.5
    assert all(abs(len(part) * count / 1000 - 1) <= bound for part in shares(names, count))


def test_a_picture_keeps_its_share_between_releases() -> None:
    """Machines of different versions must not leave a picture out."""
    kept = {"a.png": 39, "x/IMG_0001.jpg": 49, "x/IMG_0002.jpg": 30, "7": 37}
    kept |= {"film 2/b (12).tif": 13, "\udce9 3.png": 3}
    assert all(Shard(number, 50).takes(name) for name, number in kept.items())


def test_a_picture_that_is_added_moves_no_other(tmp_path: Path) -> None:
    names = [f"{place}/{name}.png" for place in "xy" for name in "abcdefgh"]
    before = sources_of(tmp_path, *names)
    after = sources_of(tmp_path, *names, "x/aa.png", "z/b.png")
    for number in range(3):
        shard = Shard(number, 3)
        old, new = (set(of_shard(each, each, shard)) for each in (before, after))
        assert old <= new
        assert {source.name for source, _ in new - old} <= {"aa.png", "b.png"}


def test_shards_agree_on_the_names_of_results(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, *(f"{place}/a.png" for place in "xyzvw"), "x/b.png")
    jobs = plan_jobs(sources, tmp_path / "out", Naming())
    parts = [
        of_shard(plan_jobs(sources, tmp_path / "out", Naming()), sources, Shard(number, 2))
        for number in range(2)
    ]
    assert sorted((*parts[0], *parts[1]), key=lambda job: job.target) == sorted(
        jobs, key=lambda job: job.target
    )


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "0/0", "1/x", "0/9999999", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no shard; give I/N|must be from"):
        Shard.parse(text)


def test_any_number_of_sources_of_one_name_get_a_result_each(tmp_path: Path) -> None:
    names = ("x/a.png", "y/a.png", "z/a.png", "w/a.png")
    jobs = plan_jobs(sources_of(tmp_path, *names), tmp_path / "out", Naming())
    assert [job.target.name for job in jobs] == ["a.png", "a.png.png", "a.png-2.png", "a.png-3.png"]
    assert [job.source.parent.name for job in jobs] == ["x", "y", "z", "w"]


def test_results_differ_in_every_order_and_whatever_the_sources_are_called(tmp_path: Path) -> None:
    names = ("x/a.png", "y/a.png", "a.png.png", "y/a.png-2.png", "y/a.jpg")
    for order in permutations(names):
        sources = sources_of(tmp_path, *order)
        jobs = plan_jobs(sources, tmp_path / "out", Naming(suffix=".png"))
        assert len({job.target for job in jobs}) == len(names), order


def test_a_template_without_fields_gives_a_result_each(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, "a.png", "b.png", "x/b.png")
    jobs = plan_jobs(sources, tmp_path / "out", Naming("large"))
    assert [job.target.name for job in jobs] == ["large.png", "b.png.png", "b.png-2.png"]


def test_a_result_never_replaces_a_source(tmp_path: Path) -> None:
    sources = sources_of(tmp_path, "a.jpg", "a.png")
    with pytest.raises(ValueError, match=r"would replace its source .*a\.png"):
        plan_jobs(sources, tmp_path, Naming(suffix=".png"))
    with pytest.raises(ValueError, match=r"would replace its source .*a\.jpg"):
        plan_jobs(sources, tmp_path, Naming())
    jobs = plan_jobs(sources, tmp_path, Naming(), replace_sources=True)  # as the original program
    assert [job.target for job in jobs] == [job.source for job in jobs]


def test_a_sources_name_is_for_its_own_result(tmp_path: Path) -> None:
    """In the same folder and in another."""
    for names, results in (
        (("a.jpg", "a.png"), ("a.jpg.png", "a.png")),
        (("a.jpg", "a.jpg.png", "a.png"), ("a.jpg-2.png", "a.jpg.png", "a.png")),
        (("a.bmp", "a.jpg", "b.webp"), ("a.png", "a.jpg.png", "b.png")),
    ):
        folder = tmp_path / "-".join(names)
        sources = sources_of(folder, *names)
        for out in (folder, tmp_path / "out"):
            jobs = plan_jobs(sources, out, Naming(suffix=".png"), replace_sources=True)
            assert tuple(job.target.name for job in jobs) == results
            assert [job.source for job in jobs] == [source for source, _ in sources]


def test_another_name_of_a_source_is_its_own_too(tmp_path: Path) -> None:
    """Found by what a file is, whichever folder and link it was found through."""
    folder, link = tmp_path / "in", tmp_path / "link"
    sources = sources_of(folder, "a.jpg", "a.png")
    link.symlink_to(folder)
    jobs = plan_jobs(sources, link, Naming(suffix=".png"), replace_sources=True)
    assert [job.target.name for job in jobs] == ["a.jpg.png", "a.png"]
    linked = folder / "b.png"
    linked.symlink_to("a.png")
    both = [*sources, (linked, Path("b.png"))]
    targets = [job.target.name for job in plan_jobs(both, folder, Naming(), replace_sources=True)]
    assert targets == ["a.jpg", "a.png", "b.png.png"]


def test_a_result_renamed_for_its_alpha_takes_no_sources_place(
    photo: Photo, tmp_path: Path
) -> None:
    rgb = photo(6, 5)
    Image.fromarray(np.dstack([rgb, rgb[..., 0]])).save(tmp_path / "a.png")
    sources = sources_of(tmp_path, "a.jpg.png")
    targets = Targets([tmp_path / "a.png", *(source for source, _ in sources)])
    job = Job(tmp_path / "a.png", targets.claim(tmp_path / "a.jpg", tmp_path / "a.png"), JPEG)
    renamed = ncnn_compat._keep_alpha(targets, job, image_io.read(job.source))
    assert renamed == Job(job.source, tmp_path / "a.png.png", PNG)


def test_results_below_a_searched_folder_are_left_out(tmp_path: Path) -> None:
    sources_of(tmp_path, "a.png", "sub/b.png", "sub/out/c.png", "out/a.png", "out/deep/b.png")
    root = str(tmp_path)

    def found(given: str, output: str | None, *, recursive: bool = True) -> list[str]:
        pictures = find_sources([given], recursive=recursive, output=output).pictures
        return [str(path.relative_to(tmp_path)) for path, _ in pictures]

    everything = ["a.png", "out/a.png", "out/deep/b.png", "sub/b.png", "sub/out/c.png"]
    assert found(root, None) == everything
    assert found(root, f"{root}/elsewhere") == everything
    for output in ("out", "out/", "sub/../out"):
        assert found(root, f"{root}/{output}") == ["a.png", "sub/b.png", "sub/out/c.png"]
    assert found(root, root) == everything, "in place"
    assert found(f"{root}/out", f"{root}/out") == ["out/a.png", "out/deep/b.png"], "in place"
    assert found(f"{root}/**/*.png", f"{root}/out") == ["a.png", "sub/b.png", "sub/out/c.png"]
    assert found(f"{root}/out/*.png", f"{root}/out") == ["out/a.png"]
    assert found(root, f"{root}/a.png")[:1] == ["out/a.png"], "a file is left out, too"
    expanded = [f"{root}/{name}" for name in ("a.png", "out", "sub")]
    pictures = find_sources(expanded, recursive=False, output=f"{root}/out").pictures
    assert [str(path.relative_to(root)) for path, _ in pictures] == ["a.png", "sub/b.png"]
    with pytest.raises(ValueError, match="all inputs are the output folder"):
        find_sources([f"{root}/out"] * 2, recursive=False, output=f"{root}/out")
    link = tmp_path / "link"
    link.symlink_to("out")
    assert found(root, str(link)) == ["a.png", "sub/b.png", "sub/out/c.png"]


def test_files_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    sources_of(tmp_path, "p.png", ".hidden.txt", "b.md")
    assert find_sources([str(tmp_path)], recursive=True).note == "1 file is no picture: b.md"
    sources_of(tmp_path, "A.txt", "sub/c.xyz")
    found = find_sources([str(tmp_path)], recursive=True)
    assert found.note == "3 files are no pictures: A.txt, b.md, c.xyz"
    assert find_sources([str(tmp_path)], recursive=False).note.startswith("2 files are")
    sources_of(tmp_path, "d.pdf")
    note = find_sources([str(tmp_path)], recursive=True).note
    assert note == "4 files are no pictures: A.txt, b.md, d.pdf, ..."
    assert find_sources([str(tmp_path / "p.png")], recursive=True).note == ""


@pytest.mark.parametrize("program", ["realesrgan-vk", "realesrgan-ncnn-vulkan"])
def test_a_run_into_a_folder_inside_its_input_can_be_repeated(
    photo: Photo, tmp_path: Path, program: str
) -> None:
    inside, out = tmp_path / "in", tmp_path / "in" / "out"
    sources_of(inside, "notes.txt", "sub/more.txt")
    for path in (inside / "x.png", inside / "sub" / "y.png"):
        Image.fromarray(photo(8, 6)).save(path)
    start = [str(SCRIPTS / program), "-i", str(inside), "-g", "-1", "--recursive"]
    if program == "realesrgan-vk":
        start = [str(SCRIPTS / program), "upscale", str(inside), "-d", "cpu", "-r"]
        start += ["-m", "realesr-animevideov3"]
    for extra in ([], [], ["--skip-existing"]):
        done = subprocess.run([*start, "-o", str(out), *extra], check=True, capture_output=True,
                              text=True, timeout=120)  # fmt: skip
        assert done.stderr.startswith("2 files are no pictures: notes.txt, more.txt\n")
        results = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
        assert results == ["sub/y.png", "x.png"]
        with Image.open(out / "x.png") as image:
            assert image.size == (32, 24)


def test_a_folder_is_enlarged_in_place(photo: Photo, tmp_path: Path) -> None:
    """By the drop-in program; each source's result keeps what is in it."""
    for name, width in (("a.jpg", 8), ("a.png", 12)):
        Image.fromarray(photo(width, 6)).save(tmp_path / name)
    command = [str(SCRIPTS / "realesrgan-ncnn-vulkan"), "-i", str(tmp_path), "-o", str(tmp_path)]
    subprocess.run([*command, "-g", "-1"], check=True, capture_output=True, timeout=120)
    sizes = {}
    for path in sorted(tmp_path.iterdir()):
        with Image.open(path) as image:
            sizes[path.name] = image.size
    assert sizes == {"a.jpg": (8, 6), "a.jpg.png": (32, 24), "a.png": (48, 24)}
