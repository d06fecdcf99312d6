"""How much memory this machine has."""

import os


def installed_memory() -> int | None:
    """Bytes of memory this machine has; None where Python cannot tell (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
