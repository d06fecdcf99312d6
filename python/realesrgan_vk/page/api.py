"""The handlers of the API and of the page's files."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from realesrgan_vk import image_io
from realesrgan_vk._core import __version__
from realesrgan_vk.checks import picture_size
from realesrgan_vk.errors import ImageError, OutOfMemoryError
from realesrgan_vk.image_io.codecs import vips
from realesrgan_vk.image_io.formats import sniff
from realesrgan_vk.models.registry import list_models
from realesrgan_vk.options import DEFAULT_FACE_MODEL
from realesrgan_vk.page import previews, tiles, videos
from realesrgan_vk.page.access import cookie_name, form_value, has_cookie, is_secret, is_token
from realesrgan_vk.page.archive import zipped
from realesrgan_vk.page.events import Streams
from realesrgan_vk.page.jobs import FINISHED, Jobs, PageJob
from realesrgan_vk.page.openapi import document
from realesrgan_vk.page.parameters import JobOptions, missing_for_faces
from realesrgan_vk.page.problems import Problem
from realesrgan_vk.page.settings import Settings
from realesrgan_vk.page.uploads import body_of, save
from realesrgan_vk.page.workers import Worker, Workers
from realesrgan_vk.video.options import CONTAINERS

if TYPE_CHECKING:
    from realesrgan_vk.video import VideoInfo

STATIC = Path(__file__).parent / "static"
_LOGIN_BYTES = 4096
_MOST_ZIPPED = 1000
_PICTURES: tuple[previews.Which, ...] = ("result", "original")
_TILE = re.compile(r"([0-9]{1,9})_([0-9]{1,9})\.(png|jpg)")
_TILES_AT_A_TIME = 2
_WAIT_SECONDS = 0.2  # between two looks at how far the levels of a result are
_LEAST_ZOOM = 1e-8  # of the longest picture
_PREVIEW_SIDE = 512  # of a picture that is no job, by default
_TYPES = {
    **dict.fromkeys((".png", ".apng"), "image/png"),
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "image/jpeg"),
    **dict.fromkeys((".tif", ".tiff"), "image/tiff"),
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
Made = TypeVar("Made")


class Api:
    """The handlers, and what they share."""

    def __init__(self, settings: Settings, jobs: Jobs, workers: Workers) -> None:
        """Nothing is started."""
        self._settings = settings
        self._jobs = jobs
        self._workers = workers
        self.streams = Streams(jobs, settings.streams)
        # One picture at a time is read for its header or preview, and one plan made, so that many
        # requests do not need much memory.
        self._reading, self._planning = CapacityLimiter(1), CapacityLimiter(1)
        self._cutting = CapacityLimiter(_TILES_AT_A_TIME)
        self.tile_maker = tiles.TileMaker(jobs)
        self._login = asyncio.Lock()
        self._files = {path.name: path for path in STATIC.iterdir() if path.suffix in _TYPES}

    def routes(self) -> list[Route]:
        """All of them."""
        one = "/api/jobs/{id}"
        return [
            Route("/", self.page),
            Route("/login", self.login, methods=["POST"]),
            Route("/static/{name}", self.static),
            Route("/healthz", self.health),
            Route("/api/openapi.json", self.openapi),
            Route("/api/models", self.models),
            Route("/api/devices", self.devices),
            Route("/api/codecs", self.codecs),
            _route("/api/plan", GET=self.plan, POST=self.plan_of_picture),
            Route("/api/preview", self.preview_of_picture, methods=["POST"]),
            Route("/api/events", self.events),
            Route("/api/results.zip", self.results),
            _route("/api/jobs", GET=self.list, POST=self.create),
            _route(one, GET=self.job, DELETE=self.delete),
            Route(f"{one}/events", self.events),
            Route(f"{one}/result", self.result),
            Route(f"{one}/original", self.original),
            Route(f"{one}/preview", self.preview),
            *(Route(f"{one}/{of}.dzi", partial(self.tiles, which=of)) for of in _PICTURES),
            *(
                Route(f"{one}/{of}_files/{{level}}/{{tile}}", partial(self.tile, which=of))
                for of in _PICTURES
            ),
        ]

    async def page(self, request: Request) -> Response:
        """The page; the address with the token sets the cookie and leads to the one without."""
        settings = self._settings
        token = request.query_params.get("token")
        if token is not None and is_token(token, settings):
            return self._entered()
        if has_cookie(request, settings):
            return self._file("index.html")
        return self._file("login.html", 401)

    async def login(self, request: Request) -> Response:
        """The form of the page that is shown without a cookie."""
        body = b"".join([part async for part in body_of(request, self._settings, _LOGIN_BYTES)])
        try:
            secret = form_value(body, "secret")
        except ValueError as error:
            raise Problem(400, "no form") from error
        if self._login.locked():
            wait = str(max(1, round(self._settings.login_seconds)))
            raise Problem(429, "another try is being checked", headers={"Retry-After": wait})
        async with self._login:
            if is_secret(secret, self._settings):
                return self._entered()
            await asyncio.sleep(self._settings.login_seconds)
        return self._file("login.html", 401)

    def _entered(self) -> Response:
        response = RedirectResponse("/", 303)
        name, token = cookie_name(self._settings), self._settings.token
        response.set_cookie(name, token, path="/", httponly=True, samesite="strict")
        return response

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        return self._file(request.path_params["name"])

    def _file(self, name: str, status: int = 200) -> Response:
        path = self._files.get(name)
        if path is None:
            raise Problem(404, "there is no such file")
        return FileResponse(path, status, media_type=_TYPES[path.suffix])

    async def health(self, _: Request) -> Response:
        """Whether the server runs."""
        return JSONResponse({"status": "ok"})

    async def openapi(self, _: Request) -> Response:
        """The API's document."""
        return JSONResponse(document(self._settings))

    async def models(self, _: Request) -> Response:
        """The networks, and what restoring faces needs beside them."""
        found = await to_thread.run_sync(list_models)
        keys = ("name", "scale", "made_for", "architecture", "licence", "origin")
        listed = [{key: getattr(model, key) for key in keys} for model in found]
        missing = await to_thread.run_sync(missing_for_faces)
        faces = {"model": DEFAULT_FACE_MODEL, "missing": missing}
        return JSONResponse({"models": listed, "faces": faces})

    async def devices(self, _: Request) -> Response:
        """The devices that work, and the limits."""
        settings = self._settings
        limits = {
            "upload_bytes": settings.max_upload,
            "pixels": settings.max_pixels,
            "result_pixels": settings.max_result_pixels,
            "keep_seconds": settings.keep_seconds,
            "tile_pixels": settings.tile_pixels,
        }
        body = {"devices": self._workers.listed(), "queue": self._jobs.counts(), "limits": limits}
        return JSONResponse(body | {"version": __version__})

    async def codecs(self, _: Request) -> Response:
        """What videos can be written as."""
        return JSONResponse(await to_thread.run_sync(videos.writers))

    async def plan(self, request: Request) -> Response:
        """What a picture of a size would take."""
        pairs = request.query_params.multi_items()
        sides = {name: text for name, text in pairs if name in ("of_width", "of_height")}
        try:
            size = int(sides["of_width"][:20]), int(sides["of_height"][:20])
            header = image_io.Header(*picture_size(size, "the picture"))
        except KeyError:
            raise Problem(422, "of_width and of_height, the picture's size, are missing") from None
        except ValueError as error:
            raise Problem(422, str(error)) from error
        options = JobOptions.of(pair for pair in pairs if pair[0] not in sides)
        if header.width * header.height > self._settings.max_pixels:
            raise Problem(422, f"the picture has more than {self._settings.max_pixels} pixels")
        worker = self._workers.of(options.device)
        found = await self._limited(self._planning, lambda: worker.plan(header, options, None))
        return JSONResponse(found)

    async def plan_of_picture(self, request: Request) -> Response:
        """What a picture would take, which is not kept."""
        given = request.query_params.multi_items()
        with self._jobs.upload() as folder:
            path = folder / "original"
            fields, name = await save(request, self._settings, path)
            options = _options(given, fields, name)
            worker = self._workers.of(options.device)
            _, _, plan = await self._planned(path, options, worker)
        return JSONResponse(plan)

    async def preview_of_picture(self, request: Request) -> Response:
        """A part of a picture, which is not kept, as PNG."""
        query = dict(request.query_params)
        side = _number(query, "side", _PREVIEW_SIDE)
        if not 1 <= side <= previews.MOST_SIDE:
            raise Problem(422, f"side must be from 1 to {previews.MOST_SIDE}")
        part = _part(query)
        most = self._settings.max_pixels
        with self._jobs.upload() as folder:
            path = folder / "original"
            await save(request, self._settings, path)
            start = _start(path)
            if sniff(start) is None and videos.is_video(start):

                def make() -> bytes:
                    return previews.of_samples(videos.look(path, most)[1], part, side)

            else:
                make = partial(previews.of_picture, path, part, side, most)
            try:
                content = await self._limited(self._reading, make)
            except (ImageError, OutOfMemoryError) as error:
                raise Problem(422, _without(path, str(error))) from error
        return Response(content, media_type="image/png")

    async def list(self, request: Request) -> Response:
        """The jobs, the oldest first."""
        with_trials = False
        for text in request.query_params.getlist("trial"):
            if text not in ("true", "false"):
                raise Problem(422, "trial must be true or false")
            with_trials = text == "true"
        jobs = [job for job in self._jobs.all() if with_trials or not job.options.trial]
        body = {"jobs": [job.public() for job in jobs], "queue": self._jobs.counts()}
        return JSONResponse(body)

    async def create(self, request: Request) -> Response:
        """Queue a picture or a video."""
        given = request.query_params.multi_items()
        JobOptions.of(given)  # refused before the picture is sent
        with self._jobs.upload() as folder:
            path = folder / "original"
            fields, name = await save(request, self._settings, path)
            options = _options(given, fields, name)
            worker = self._workers.of(options.device)
            source, result_name, plan = await self._planned(path, options, worker)
            job = PageJob(folder.name, folder, options, source, result_name, plan, time.time())
            self._jobs.add(job)
            worker.put(job)
        location = f"/api/jobs/{job.id}"
        return JSONResponse(job.public(), 202, {"Location": location})

    async def job(self, request: Request) -> Response:
        """One job."""
        return JSONResponse(self._job(request).public())

    async def delete(self, request: Request) -> Response:
        """Stop a job that has not ended; remove one that has."""
        job = self._job(request)
        if self._jobs.cancel(job):
            return JSONResponse(job.public(), 202)
        await to_thread.run_sync(self._jobs.remove, job)
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        """Changes of one job or of all, as server-sent events."""
        job_id = self._job(request).id if "id" in request.path_params else None
        if self.streams.is_full:
            raise Problem(503, "too many event streams are open", headers={"Retry-After": "5"})
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        stream = self.streams.of(last, job_id)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def result(self, request: Request) -> Response:
        """The file that the job has made."""
        job = self._done(request)
        kind = _TYPES.get(Path(job.result_name).suffix.lower(), "application/octet-stream")
        return FileResponse(job.result_file, media_type=kind, filename=job.result_name)

    async def original(self, request: Request) -> Response:
        """The file that was sent."""
        job = self._job(request)
        kind = "application/octet-stream"
        return FileResponse(job.original_file, media_type=kind, filename=job.options.name)

    async def preview(self, request: Request) -> Response:
        """A part of a result, or of its picture enlarged without a network, to look at."""
        job = self._job(request)
        query = dict(request.query_params)
        which: previews.Which = "original" if query.get("of") == "original" else "result"
        if query.get("of", "result") not in ("original", "result"):
            raise Problem(422, "of must be original or result")
        if which == "result" and not job.is_video:
            self._done(request)
        of_levels = which == "result" and self._has_tiles(job)
        if of_levels:
            while await to_thread.run_sync(self.tile_maker.fraction, job) < 1:
                await asyncio.sleep(_WAIT_SECONDS)
        part, zoom = _part(query), _zoom(query)
        make = partial(previews.of_job, job, which, part, zoom, of_levels=of_levels)
        content, kind = await self._shown(job, self._reading, make)
        return Response(content, media_type=kind)

    async def tiles(self, request: Request, which: previews.Which) -> Response:
        """What a viewer must know of a result's tiles, or how far they are."""
        job = self._of_picture(request)
        content = tiles.descriptor(job)
        if which == "result":
            fraction = await to_thread.run_sync(self.tile_maker.fraction, job)
            if fraction < 1:
                headers = {"Retry-After": str(tiles.RETRY_SECONDS)}
                return JSONResponse({"fraction": round(fraction, 3)}, 202, headers)
        return Response(content, media_type="application/xml")

    async def tile(self, request: Request, which: previews.Which) -> Response:
        """A tile of a result, or of its picture enlarged without a network."""
        job = self._of_picture(request)
        found = _TILE.fullmatch(request.path_params["tile"])
        level = request.path_params["level"]
        if found is None or not re.fullmatch("[0-9]{1,2}", level):
            raise Problem(404, "there is no such tile")
        place = int(found[1]), int(found[2])
        kind: tiles.Kind = "png" if found[3] == "png" else "jpg"
        make = partial(tiles.tile, job, which, int(level), place, kind)
        content = await self._shown(job, self._cutting, make)
        return Response(content, media_type=_TYPES[f".{kind}"])

    def _has_tiles(self, job: PageJob) -> bool:
        width, height = previews.full_size(job)
        return not job.is_video and width * height > self._settings.tile_pixels

    def _of_picture(self, request: Request) -> PageJob:
        """A picture's job that is done."""
        job = self._done(request)
        if job.is_video:
            raise Problem(404, "a video has no tiles")
        return job

    async def _shown(
        self, job: PageJob, limiter: CapacityLimiter, make: Callable[[], Made]
    ) -> Made:
        """What is made of a job's files, which may have gone meanwhile."""
        try:
            return await self._limited(limiter, make)
        except (FileNotFoundError, ImageError, OutOfMemoryError, vips.Error) as error:
            if isinstance(error, FileNotFoundError) or not self._jobs.has(job):
                raise Problem(404, "the job has expired") from None
            words = "the picture cannot be shown" if isinstance(error, vips.Error) else str(error)
            raise Problem(422, _without(job.original_file, words)) from error
        finally:
            if not self._jobs.has(job):  # a file may have been written while they were removed
                await to_thread.run_sync(partial(shutil.rmtree, job.folder, ignore_errors=True))

    async def results(self, request: Request) -> Response:
        """Results of several jobs as a ZIP file; without ids those of all that are listed."""
        ids = request.query_params.getlist("id")
        if len(ids) > _MOST_ZIPPED:
            raise Problem(422, f"at most {_MOST_ZIPPED} results can be in one file")
        chosen = [self._jobs.get(each) for each in ids] or [
            job for job in self._jobs.all() if not job.options.trial
        ]
        files = [(job.result_name, job.result_file) for job in chosen if job.status == "done"]
        if not files:
            raise Problem(404, "no job of these is done")
        headers = {"Content-Disposition": 'attachment; filename="upscaled.zip"'}
        return StreamingResponse(zipped(files), headers=headers, media_type="application/zip")

    def _job(self, request: Request) -> PageJob:
        return self._jobs.get(request.path_params["id"])

    def _done(self, request: Request) -> PageJob:
        job = self._job(request)
        if job.status != "done":
            ended = "ended without a result" if job.status in FINISHED else "is not done yet"
            raise Problem(409, f"the job {ended}")
        return job

    async def _planned(
        self, path: Path, options: JobOptions, worker: Worker
    ) -> tuple[dict[str, Any], str, dict[str, Any]]:
        """What a file is, the name of its result, and what that takes."""
        start = _start(path)
        if sniff(start) is None and videos.is_video(start):
            return await self._planned_video(path, options, worker)
        header, known, result_name = await self._header(path, options)
        plan = await self._limited(self._planning, lambda: worker.plan(header, options, known))
        sniffed = sniff(start)
        source = {
            "kind": "picture",
            "width": header.width,
            "height": header.height,
            "frames": header.frames,
            "has_alpha": header.has_alpha,
            "bytes": path.stat().st_size,
            "format": sniffed.name if sniffed else "",
        }
        return source, result_name, plan

    async def _planned_video(
        self, path: Path, options: JobOptions, worker: Worker
    ) -> tuple[dict[str, Any], str, dict[str, Any]]:
        """The same of a video, whose first frame is kept to look at."""
        suffix = videos.result_suffix(options)

        def look() -> VideoInfo:
            info, frame = videos.look(path, self._settings.max_pixels)
            previews.store(frame, path.parent, "original")
            return info

        try:
            info = await self._limited(self._reading, look)
        except (ImageError, OutOfMemoryError) as error:
            raise Problem(422, _without(path, str(error), options.name)) from error
        plan = await self._limited(
            self._planning, lambda: worker.plan_video(path, info, options, suffix)
        )
        source = {
            "kind": "video",
            "width": info.width,
            "height": info.height,
            "frames": info.frames,
            "has_alpha": False,
            "bytes": path.stat().st_size,
            "format": info.container,
            "frame_rate": round(float(info.rate), 3),
            "duration": round(info.duration, 3),
        }
        return source, f"{Path(options.name).stem}-upscaled{suffix}", plan

    async def _header(
        self, path: Path, options: JobOptions
    ) -> tuple[image_io.Header, image_io.Format, str]:
        """The picture's header, and the result's format and name. Its pixels are not decoded."""

        def read() -> image_io.Header:
            limit = self._settings.max_pixels
            return image_io.header_of(partial(_read, path, limit))

        start = _start(path)
        if sniff(start) is None:
            raise Problem(415, f"{options.name} is no picture of a known format")
        try:
            header = await self._limited(self._reading, read)
        except (ImageError, OutOfMemoryError) as error:
            words = _without(path, str(error), options.name)
            raise Problem(422, words) from error
        if options.suffix in CONTAINERS:
            raise Problem(422, f"format is {options.suffix[1:]}, and the file is a picture")
        known, suffix = options.format_of(start)
        return header, known, f"{Path(options.name).stem}-upscaled{suffix}"

    async def _limited(self, limiter: CapacityLimiter, make: Callable[[], Made]) -> Made:
        return await to_thread.run_sync(make, limiter=limiter)


def _route(path: str, **handlers: Callable[[Request], Awaitable[Response]]) -> Route:
    """A path with a handler for each method, so that a refusal of another one names all."""

    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return Route(path, handle, methods=list(handlers))


def _read(path: Path, limit: int, accept: Callable[[image_io.Header], object]) -> object:
    return image_io.read(path, max_pixels=limit, accept=accept)


def _options(given: list[tuple[str, str]], fields: list[tuple[str, str]], name: str) -> JobOptions:
    pairs = [*given, *fields]
    if name and not any(key == "name" for key, _ in pairs):
        pairs.append(("name", name))
    return JobOptions.of(pairs)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _without(path: Path, words: str, name: str = "the picture") -> str:
    """A message in which the picture has its own name, not that of a file of the server."""
    return words.replace(str(path), name)


def _number(query: dict[str, str], name: str, default: int | None = None) -> int:
    text = query.get(name, "" if default is None else str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Problem(422, f"{name} must be a whole number of pixels")
    return int(text)


def _part(query: dict[str, str]) -> tuple[int, int, int, int] | None:
    names = ("x", "y", "w", "h")
    if not any(name in query for name in names):
        return None
    left, top, width, height = (_number(query, name) for name in names)
    return left, top, width, height


def _zoom(query: dict[str, str]) -> float | None:
    if "zoom" not in query:
        return None
    try:
        zoom = float(query["zoom"][:20])
    except ValueError:
        zoom = 0.0
    if not _LEAST_ZOOM <= zoom <= 16:
        raise Problem(422, f"zoom must be a number from {_LEAST_ZOOM} to 16")
    return zoom
