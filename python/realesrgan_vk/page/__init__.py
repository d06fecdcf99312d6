"""A page in the browser and an HTTP API under it; with the extra `realesrgan-vk[page]`."""


def require_server() -> None:
    """Raise `ImportError`, with the command that installs it, where the web server is missing."""
    try:
        import python_multipart  # noqa: F401, PLC0415 - an optional dependency
        import starlette  # noqa: F401, PLC0415 - an optional dependency
        import uvicorn  # noqa: F401, PLC0415 - an optional dependency
    except ImportError as error:
        raise ImportError(
            "the page needs Starlette, uvicorn and python-multipart, which are not installed: "
            f"pip install starlette uvicorn python-multipart ({error})"
        ) from error
