#!/usr/bin/env python3
"""GIMP 3: Filters > Enhance > Upscale with Real-ESRGAN, by the program realesrgan-vk."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, Gio, GLib, GObject  # noqa: E402 - after their version is chosen

NAME = "plug-in-realesrgan-vk"


class UpscaleError(Exception):
    """What the program said."""


def upscaled(source: Path, target: Path, program: str, model: str, scale: float) -> None:
    """Run the program, and show its progress.

    Raises:
        UpscaleError: It is not there, or has failed.
    """
    words = [program, "upscale", str(source), "-o", str(target), "-m", model, "--json"]
    try:
        run = subprocess.Popen(
            [*words, "--scale", f"{scale:g}"] if scale else words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    except OSError as error:
        raise UpscaleError(
            f"{program} cannot be started ({error.strerror}); install realesrgan-vk, or give its "
            "path as the program"
        ) from error
    assert run.stdout is not None
    failure = ""
    for line in run.stdout:
        event = json.loads(line)
        if event["event"] == "progress":
            Gimp.progress_update(event["fraction"])
        elif event["event"] in ("failed", "error"):
            failure = event["error"]
    _, messages = run.communicate()
    if run.returncode != 0:
        raise UpscaleError(failure or messages.strip() or f"exit code {run.returncode}")


def run(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    _drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    _data: object,
) -> Gimp.ValueArray:
    """Enlarge what the image shows, as a new image."""
    if run_mode == Gimp.RunMode.INTERACTIVE:
        gi.require_version("GimpUi", "3.0")
        from gi.repository import GimpUi  # noqa: PLC0415 - there is none without a display

        GimpUi.init(NAME)
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "Upscale with Real-ESRGAN")
        dialog.fill(None)
        if not dialog.run():
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    Gimp.progress_init("Upscaling")
    with tempfile.TemporaryDirectory(prefix="realesrgan-vk-") as folder:
        source, target = Path(folder, "source.png"), Path(folder, "larger.png")
        quiet = Gimp.RunMode.NONINTERACTIVE
        try:
            Gimp.file_save(quiet, image, Gio.File.new_for_path(str(source)), None)
            upscaled(
                source,
                target,
                config.get_property("program"),
                config.get_property("model"),
                config.get_property("scale"),
            )
            loaded = Gimp.file_load(quiet, Gio.File.new_for_path(str(target)))
        except (UpscaleError, GLib.Error) as error:
            words = error.message if isinstance(error, GLib.Error) else str(error)
            return procedure.new_return_values(
                Gimp.PDBStatusType.EXECUTION_ERROR,
                GLib.Error.new_literal(GLib.quark_from_string(NAME), words, 0),
            )
    larger = loaded.duplicate()  # without the name of the temporary file
    loaded.delete()
    if run_mode != Gimp.RunMode.NONINTERACTIVE:
        Gimp.Display.new(larger)
    values = procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    values.remove(1)
    values.insert(1, GObject.Value(Gimp.Image, larger))
    return values


class Upscale(Gimp.PlugIn):
    """The plug-in and its one procedure."""

    def do_query_procedures(self) -> list[str]:
        """Names of procedures."""
        return [NAME]

    def do_set_i18n(self, _name: str) -> bool:
        """Whether there are translations."""
        return False

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        """The menu's entry and its arguments."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("*")
        procedure.set_menu_label("Upscale with Real-ESRGAN...")
        procedure.add_menu_path("<Image>/Filters/Enhance")
        procedure.set_documentation(
            "Enlarge the image by a Real-ESRGAN network",
            "What the image shows is enlarged as a new image, by the program realesrgan-vk.",
            name,
        )
        procedure.set_attribution("realesrgan-vk", "realesrgan-vk", "2026")
        flags = GObject.ParamFlags.READWRITE
        procedure.add_string_argument(
            "model", "_Network", "A name of 'realesrgan-vk models'", "realesrgan-x4plus", flags
        )
        procedure.add_double_argument(
            "scale", "_Scale", "Output pixels per pixel; 0: the network's", 0, 16, 0, flags
        )
        procedure.add_string_argument(
            "program", "_Program", "The program, or its path", "realesrgan-vk", flags
        )
        procedure.add_image_return_value("result", "Result", "The larger image", False, flags)
        return procedure


Gimp.main(Upscale.__gtype__, sys.argv)
