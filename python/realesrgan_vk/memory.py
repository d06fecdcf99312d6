"""How much memory this machine has, and what to say when it is used up."""

from realesrgan_vk._core import installed_memory as core_installed_memory

NO_MEMORY = "the system has no memory left; free memory, or take a smaller picture"
NO_THREAD = (
    "the system cannot start another thread: no memory is left, or a limit on threads is reached; "
    "free memory, or raise the limit"
)


def installed_memory() -> int | None:
    """Bytes of memory that this machine has, or that its control groups (a container) allow.

    None where that is not known.
    """
    return core_installed_memory()
