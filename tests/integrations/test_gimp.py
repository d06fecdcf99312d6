"""GIMP's plug-in, against a small stand-in of the interface that it uses.

It was tried by hand in GIMP 3.0.4; Debian's stable before has no GIMP with this interface.
"""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from compact_network import write_compact
from conftest import Photo
from numpy.typing import NDArray
from PIL import Image

import realesrgan_vk

PLUGIN = Path(__file__).parents[2] / "integrations" / "gimp" / "realesrgan-vk" / "realesrgan-vk.py"


class GError(Exception):
    """As GLib's."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    @classmethod
    def new_literal(cls, _domain: int, message: str, _code: int) -> "GError":
        return cls(message)


class Gimp(MagicMock):
    """Files are pictures; an image is its samples."""

    PlugIn = type("PlugIn", (), {"__gtype__": None})

    def file_save(self, _mode: object, image: Any, file: str, _options: object) -> None:  # noqa: ANN401
        Image.fromarray(image.samples).save(file)

    def file_load(self, _mode: object, file: str) -> SimpleNamespace:
        samples = np.asarray(Image.open(file))
        copy = SimpleNamespace(samples=samples)
        return SimpleNamespace(duplicate=lambda: copy, delete=lambda: None)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    gi, repository = ModuleType("gi"), ModuleType("gi.repository")
    gi.__dict__["require_version"] = lambda name, version: None
    glib = SimpleNamespace(Error=GError, quark_from_string=lambda text: 1)
    gio = SimpleNamespace(File=SimpleNamespace(new_for_path=lambda path: path))
    values = {"Gimp": Gimp(), "Gio": gio, "GLib": glib, "GObject": MagicMock()}
    repository.__dict__.update(values)
    monkeypatch.setitem(sys.modules, "gi", gi)
    monkeypatch.setitem(sys.modules, "gi.repository", repository)
    spec = importlib.util.spec_from_file_location("gimp_plugin", PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(plugin: Any, samples: NDArray[np.uint8], **arguments: object) -> MagicMock:  # noqa: ANN401
    procedure = MagicMock()
    config = SimpleNamespace(get_property=lambda name: arguments[name])
    image = SimpleNamespace(samples=samples)
    quiet = plugin.Gimp.RunMode.NONINTERACTIVE
    plugin.run(procedure, quiet, image, [], config, None)
    return procedure


PROGRAM = shutil.which("realesrgan-vk", path=str(Path(sys.executable).parent)) or "realesrgan-vk"


@pytest.mark.parametrize("scale", [0.0, 1.5])
def test_the_result_is_that_of_upscale(
    plugin: Any,  # noqa: ANN401
    photo: Photo,
    tmp_path: Path,
    scale: float,
) -> None:
    network = write_compact(tmp_path, "net")
    samples = photo(30, 20)
    procedure = call(plugin, samples, program=PROGRAM, model=str(network), scale=scale)
    procedure.new_return_values.assert_called_once_with(plugin.Gimp.PDBStatusType.SUCCESS, None)
    (_, larger) = plugin.GObject.Value.call_args.args
    expected = realesrgan_vk.upscale(samples, model=network, scale=scale or None)
    np.testing.assert_array_equal(larger.samples, expected)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (PROGRAM, "unknown model 'no-such'"),
        ("/nowhere/program", "/nowhere/program cannot be started (No such file or directory)"),
        ("false", "exit code 1"),
    ],
)
def test_what_fails_is_an_error_with_the_programs_words(
    plugin: Any,  # noqa: ANN401
    photo: Photo,
    program: str,
    words: str,
) -> None:
    procedure = call(plugin, photo(8, 8), program=program, model="no-such", scale=0.0)
    status, error = procedure.new_return_values.call_args.args
    assert status is plugin.Gimp.PDBStatusType.EXECUTION_ERROR
    assert words in error.message


def test_the_procedure_has_the_arguments_that_the_program_takes(plugin: Any) -> None:  # noqa: ANN401
    procedure = plugin.Upscale().do_create_procedure("plug-in-realesrgan-vk")
    texts = [call.args[0] for call in procedure.add_string_argument.call_args_list]
    assert texts == ["model", "program"]
    assert procedure.add_double_argument.call_args.args[0] == "scale"
