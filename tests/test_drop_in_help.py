"""`realesrgan-ncnn-vulkan -h` lists the networks that it can find."""

from pathlib import Path

from compact_network import write_compact
from drop_in import run


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
