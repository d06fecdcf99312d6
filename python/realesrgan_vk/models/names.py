"""What networks and their files may be called, and which names mean the same network."""

import re

from realesrgan_vk.errors import ModelError, printable

MAX_SHOWN = 80
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_FILE = re.compile(r'[^/\\:*?"<>|\x00-\x1f\x7f]{1,204}')
_WINDOWS_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])")


def checked_name(name: str) -> str:
    """Return a network's name if its files can be called so on every system.

    Raises:
        ModelError: It cannot.
    """
    if not _NAME.fullmatch(name) or _is_windows_device(name) or name.endswith((".param", ".bin")):
        raise ModelError(
            f"{shortened(name)} cannot name a network; use up to 200 letters, digits, '.', '-' and "
            "'_', beginning with a letter or a digit, without '.param' or '.bin' at the end and "
            "without a device name of Windows"
        )
    return name


def is_plain_file_name(name: str) -> bool:
    """Whether a name means one file inside a folder on every system.

    Such a name has no folder, drive or stream in it, is not `.` or `..`, and is no name that
    Windows reserves for a device ("Naming Files, Paths, and Namespaces").
    """
    return (
        _FILE.fullmatch(name) is not None
        and name.strip(" .") != ""
        and not name.endswith((" ", "."))
        and not _is_windows_device(name)
    )


def name_key(name: str) -> str:
    """Equal for names that differ only in case and in `-` or `_`."""
    return name.lower().replace("_", "-")


def escaped(name: object) -> str:
    """A name for an error message: control characters escaped, at most `MAX_SHOWN` characters."""
    text = str(name)
    return printable(text) if len(text) <= MAX_SHOWN else f"{printable(text[:MAX_SHOWN])}..."


def shortened(name: object) -> str:
    """A name as `escaped` returns it, in quotation marks."""
    return f"'{escaped(name)}'"


def _is_windows_device(name: str) -> bool:
    return _WINDOWS_DEVICE.fullmatch(name.partition(".")[0].rstrip(" ")) is not None
