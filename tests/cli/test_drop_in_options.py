"""`realesrgan-ncnn-vulkan`: what `-h` lists, spellings of `-n`, and large tiles."""

from pathlib import Path

from compact_network import write_compact
from drop_in import run, size_of


def test_help_lists_the_networks_of_the_folder(tmp_path: Path) -> None:
    plain = run("-h", gpu=None, cwd=tmp_path)
    assert "networks in" not in plain.stderr
    for folder in (tmp_path / "models", tmp_path / "other"):
        write_compact(folder, f"{folder.name}-b")
        write_compact(folder, f"{folder.name}-a")
    (tmp_path / "models" / "alone.param").touch()
    found = run("-h", gpu=None, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr == plain.stderr + "\nnetworks in models: models-a, models-b\n"
    other = run("-h", "-m", tmp_path / "other", gpu=None, cwd=tmp_path)
    assert other.stderr.endswith(f"\nnetworks in {tmp_path / 'other'}: other-a, other-b\n")


def test_a_tile_larger_than_any_picture_is_accepted(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    done = run("-i", source, "-o", target, "-s", "2", "-t", str(2**30), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert size_of(target) == (40, 32)


def test_published_spellings_are_understood(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    done = run("-i", source, "-o", target, "-n", "RealESRGAN_x4plus_anime_6B", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert size_of(target) == (80, 64)
