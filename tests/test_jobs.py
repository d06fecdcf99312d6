"""Where results go: every result has a place of its own, and no source is lost."""

from itertools import permutations
from pathlib import Path

import pytest

from realesrgan_vk.jobs import Naming, find_sources, plan_jobs


def sources_of(root: Path, *names: str) -> list[tuple[Path, Path]]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return find_sources([str(root / name) for name in names], recursive=False)


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
    with pytest.raises(ValueError, match=r"result of .*a\.jpg would replace .*a\.png, which is to"):
        plan_jobs(sources, tmp_path, Naming(suffix=".png"))
    with pytest.raises(ValueError, match=r"would replace its source .*a\.jpg"):
        plan_jobs(sources, tmp_path, Naming())
    jobs = plan_jobs(sources, tmp_path, Naming(), replace_sources=True)  # as the original program
    assert [job.target for job in jobs] == [job.source for job in jobs]
