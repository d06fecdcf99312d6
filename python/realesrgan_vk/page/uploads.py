"""Bodies of requests: streamed to a file, within limits of bytes and time."""

import asyncio
import errno
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from realesrgan_vk.page.problems import CLOSE, Problem
from realesrgan_vk.page.settings import Settings

_BLOCK = 1 << 20  # bytes that are written at a time
_RESERVE = 64 << 20  # bytes that stay free on the disk
_MOST_FIELDS, _FIELD_BYTES = 40, 4096


async def body_of(request: Request, settings: Settings, most: int) -> AsyncGenerator[bytes, None]:
    """The parts of a body.

    Raises:
        Problem: It is longer than `most` bytes or says so (413), comes too slowly (408), or was cut
            (400).
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared[:20]) > most:
        raise _too_long(most)
    loop = asyncio.get_running_loop()
    started, received = loop.time(), 0
    parts: AsyncIterator[bytes] = request.stream().__aiter__()
    while True:
        due = started + settings.chunk_seconds + received / settings.least_rate
        allowed = min(settings.chunk_seconds, due - loop.time())
        try:
            part = await asyncio.wait_for(parts.__anext__(), max(0.0, allowed))
        except StopAsyncIteration:
            return
        except (asyncio.TimeoutError, TimeoutError):
            raise Problem(408, "the upload comes too slowly", headers=CLOSE) from None
        except ClientDisconnect:
            raise Problem(400, "the upload was cut", headers=CLOSE) from None
        received += len(part)
        if received > most:
            raise _too_long(most)
        yield part


async def save(
    request: Request, settings: Settings, target: Path
) -> tuple[list[tuple[str, str]], str]:
    """Write the picture of a request into a file.

    Args:
        request: The picture is the body, or the field `file` of a form.
        settings: The limits.
        target: The file, which does not exist.

    Returns:
        The other fields of a form, and the name that it gives for the file.

    Raises:
        Problem: As `body_of`; no picture (422), no form (400), or no space (507).
    """
    free = shutil.disk_usage(target.parent).free - _RESERVE
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and free < int(declared[:20]) <= settings.max_upload:
        raise Problem(507, "the disk has no space for the picture", headers=CLOSE)
    body = body_of(request, settings, settings.max_upload)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    fields: list[tuple[str, str]] = []
    name = ""
    try:
        with target.open("xb") as file:
            if kind == "multipart/form-data":
                fields, name = await _write_form(request, body, file)
            else:
                await _write(body, file)
            if not file.tell():
                raise Problem(422, "the request has no picture")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Problem(507, "the disk has no space for the picture", headers=CLOSE) from error
        raise
    return fields, name


async def _write(body: AsyncGenerator[bytes, None], file: BinaryIO) -> None:
    block = bytearray()
    async for part in body:
        block += part
        if len(block) >= _BLOCK:
            await to_thread.run_sync(file.write, bytes(block))
            block.clear()
    await to_thread.run_sync(file.write, bytes(block))


async def _write_form(
    request: Request, body: AsyncGenerator[bytes, None], file: BinaryIO
) -> tuple[list[tuple[str, str]], str]:
    parser = MultiPartParser(
        request.headers,
        body,
        max_files=1,
        max_fields=_MOST_FIELDS,
        max_part_size=_FIELD_BYTES,
    )
    try:
        form: FormData = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, error.message) from error
    try:
        picture = form.get("file")
        if not isinstance(picture, UploadFile):
            raise Problem(422, "the form has no field 'file' with a picture")
        await to_thread.run_sync(partial(shutil.copyfileobj, picture.file, file, _BLOCK))
        fields = [(name, text) for name, text in form.multi_items() if isinstance(text, str)]
        return fields, picture.filename or ""
    finally:
        await form.close()


def _too_long(most: int) -> Problem:
    return Problem(413, f"the body is longer than {most} bytes", headers=CLOSE)
