"""How much memory this machine has, and what to say when it is used up."""

import os

NO_MEMORY = "the system has no memory left; free memory, or take a smaller picture"
NO_THREAD = (
    "the system cannot start another thread: no memory is left, or a limit on threads is reached; "
    "free memory, or raise the limit"
)


def installed_memory() -> int | None:
    """Bytes of memory this machine has; None where Python cannot tell (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
