"""The API as an OpenAPI 3.1 document, made from the same parameters that requests are read with."""

from collections.abc import Iterable
from typing import Any

from realesrgan_vk._core import __version__
from realesrgan_vk.page.jobs import STATUSES
from realesrgan_vk.page.parameters import JOB_PARAMETERS, PLAN_PARAMETERS, Parameter
from realesrgan_vk.page.problems import MEDIA_TYPE
from realesrgan_vk.page.settings import Settings

Schema = dict[str, Any]
_PIXELS = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_REFUSALS = {
    "400": "Not a valid request, or an upload that was cut.",
    "401": "The token is missing or wrong.",
    "403": "The request comes from another site.",
    "404": "There is no such job, or it has expired.",
    "408": "The upload comes too slowly.",
    "409": "The job has no result (yet).",
    "413": "The body is too long.",
    "415": "The body is no picture of a known format.",
    "421": "The server does not go by this Host.",
    "422": "A parameter or the picture is refused; `detail` says why.",
    "503": "The queue is full, or the network cannot be run.",
    "507": "The disk has no space.",
}


def document(settings: Settings) -> Schema:
    """The whole document."""
    picture = {
        "required": True,
        "description": f"A picture file, at most {settings.max_upload} bytes.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
    job = _answer("The job.", {"$ref": "#/components/schemas/Job"})
    part = [_query(name, _PIXELS, "Of the part, in pixels.") for name in ("x", "y", "w", "h")]
    job_id = {"name": "id", "in": "path", "required": True, "schema": _ID}
    size = [
        _query(
            name,
            {"type": "integer", "minimum": 1, "maximum": 1 << 26},
            "Of the picture.",
            required=True,
        )
        for name in ("of_width", "of_height")
    ]
    plan = _answer("What it takes.", {"$ref": "#/components/schemas/Plan"})
    stream: Schema = {"description": "Events.", "content": {"text/event-stream": {}}}
    last = {
        "name": "Last-Event-ID", "in": "header", "schema": {"type": "string"},
        "description": "The last event that was seen.",
    }  # fmt: skip
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/Job"}}
    paths: Schema = {
        "/healthz": {
            "get": _operation(
                "health", "Whether the server runs.",
                {"200": _answer("It runs.", _object({"status": {"const": "ok"}}))}, "", open_=True,
            )
        },
        "/api/models": {
            "get": _operation(
                "models", "The networks, and what is missing before faces can be restored.",
                {"200": _answer("They.", _object({"models": _objects(), "faces": _FACES}))},
                "401 403 421",
            )
        },
        "/api/devices": {
            "get": _operation(
                "devices", "The devices that work, the queue, and the limits.",
                {"200": _answer("The devices.", _object({"devices": _objects()}))}, "401 403 421",
            )
        },
        "/api/codecs": {
            "get": _operation(
                "codecs", "What videos can be written as, or what is missing before they can.",
                {"200": _answer("The codecs.", _CODECS)}, "401 403 421",
            )
        },
        "/api/plan": {
            "get": _operation(
                "planSize", "What a picture of a size would take.", {"200": plan},
                "401 403 421 422 503", [*size, *map(_parameter, PLAN_PARAMETERS)],
            ),
            "post": _operation(
                "planPicture", "What a picture would take, which is not kept.", {"200": plan},
                "400 401 403 408 413 415 421 422 503 507", map(_parameter, JOB_PARAMETERS), picture,
            ),
        },
        "/api/preview": {
            "post": _operation(
                "previewPicture", "A part of a picture, which is not kept, as PNG.",
                {"200": _answer("The part.", _BINARY, "image/png")},
                "400 401 403 408 413 415 421 422 503 507",
                [*part, _query("side", {"type": "integer", "minimum": 1, "maximum": 4096},
                               "The longest side of the preview.")],
                picture,
            )
        },
        "/api/events": {
            "get": _operation(
                "events", "Changes of all jobs, without end.", {"200": stream}, "401 403 421 503",
                [last],
            )
        },
        "/api/results.zip": {
            "get": _operation(
                "results", "Results as a ZIP file.",
                {"200": _answer("The file.", _BINARY, "application/zip")}, "401 403 404 421 422",
                [_query("id", {"type": "array", "items": _ID, "maxItems": 1000},
                        "Jobs; without any: all that are listed.")],
            )
        },
        "/api/jobs": {
            "get": _operation(
                "jobs", "The jobs, the oldest first.",
                {"200": _answer("They, and the queue.", _object({"jobs": listed}))},
                "401 403 421 422",
                [_query("trial", {"type": "boolean"}, "Whether trials are listed, too.")],
            ),
            "post": _operation(
                "upscale",
                "Queue a picture or a video (MP4, QuickTime, Matroska, WebM, AVI). The options are "
                "those of `realesrgan-vk upscale` and `video`.",
                {
                    "202": job
                    | {"headers": {"Location": {"schema": {"type": "string"}}}}
                },
                "400 401 403 408 413 415 421 422 503 507", map(_parameter, JOB_PARAMETERS), picture,
            ),
        },
        "/api/jobs/{id}": {
            "parameters": [job_id],
            "get": _operation("job", "One job.", {"200": job}, "401 403 404 421"),
            "delete": _operation(
                "delete", "Stop a job that has not ended (202); remove one that has (204).",
                {"202": job, "204": {"description": "It is removed."}}, "401 403 404 421",
            ),
        },
        "/api/jobs/{id}/events": {
            "parameters": [job_id],
            "get": _operation(
                "jobEvents", "The job at each of its changes, until it has ended.",
                {"200": stream}, "401 403 404 421 503", [last],
            ),
        },
        "/api/jobs/{id}/result": {
            "parameters": [job_id],
            "get": _operation(
                "result", "The file that the job has made.",
                {"200": _answer("The file.", _BINARY, "*/*")}, "401 403 404 409 421",
            ),
        },
        "/api/jobs/{id}/original": {
            "parameters": [job_id],
            "get": _operation(
                "original", "The file that was sent.",
                {"200": _answer("The file.", _BINARY, "application/octet-stream")},
                "401 403 404 421",
            ),
        },
        "/api/jobs/{id}/preview": {
            "parameters": [job_id],
            "get": _operation(
                "preview",
                "A part of the result, or of the picture enlarged without a network, in 8 bits and "
                "sRGB.",
                {"200": {"description": "The part.", "content": {
                    "image/png": {"schema": _BINARY}, "image/jpeg": {"schema": _BINARY}}}},
                "401 403 404 409 421 422 507",
                [
                    _query("of", {"enum": ["result", "original"]}, "What to show."),
                    *part,
                    _query("zoom", {"type": "number", "minimum": 1e-8, "maximum": 16},
                           "Preview pixels per pixel of the result. Default: what fits 1024."),
                ],
            ),
        },
    }  # fmt: skip
    paths |= {
        path: each
        for of, what in (("result", "the result"), ("original", "its picture, enlarged"))
        for path, each in _tiles(of, what, job_id).items()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "realesrgan-vk", "version": __version__},
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": f"realesrgan-vk-{settings.port}",
                },
            },
            "schemas": {"Job": _JOB, "Plan": _PLAN, "Problem": _PROBLEM},
        },
    }  # fmt: skip


def _tiles(of: str, what: str, job_id: Schema) -> Schema:
    """The paths of the tiles of one of a job's pictures."""
    refusals = "401 403 404 409 421 422"
    made = {
        "200": _answer("An XML file.", {"type": "string"}, "application/xml"),
        "202": _answer("They are being made.", _object({"fraction": {"type": "number"}})),
    }
    level, tile = (
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"} | schema}
        for name, schema in (
            ("level", {"pattern": "^[0-9]{1,2}$"}),
            ("tile", {"pattern": r"^[0-9]{1,9}_[0-9]{1,9}\.(png|jpg)$"}),
        )
    )
    return {
        f"/api/jobs/{{id}}/{of}.dzi": {
            "parameters": [job_id],
            "get": _operation(
                f"{of}Tiles",
                f"Deep Zoom tiles of {what}; 202 and `Retry-After` while they are made.",
                made, f"{refusals} 507",
            ),
        },
        f"/api/jobs/{{id}}/{of}_files/{{level}}/{{tile}}": {
            "parameters": [job_id, level, tile],
            "get": _operation(
                f"{of}Tile", "A tile, named by its column and row; PNG is without loss.",
                {"200": {"description": "The tile.", "content": {
                    "image/png": {"schema": _BINARY}, "image/jpeg": {"schema": _BINARY}}}},
                refusals,
            ),
        },
    }  # fmt: skip


_BINARY: Schema = {"type": "string", "format": "binary"}
_NULLABLE_NUMBER: Schema = {"type": ["number", "null"]}
_NULLABLE_TEXT: Schema = {"type": ["string", "null"]}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _objects() -> Schema:
    return {"type": "array", "items": {"type": "object"}}


_FACES = _object(
    {
        "model": {"type": "string"},
        "missing": {
            "type": "object",
            "properties": {"detector": {"type": "string"}, "network": {"type": "string"}},
        },
    }
)
_CODECS = _object(
    {
        "missing": _NULLABLE_TEXT,
        "codecs": {
            "type": "array",
            "items": _object(
                {
                    "name": {"type": "string"},
                    "crf": {"type": ["object", "null"]},
                    "presets": {"type": "array", "items": {"type": "string"}},
                    "preset": _NULLABLE_TEXT,
                    "containers": {"type": "array", "items": {"type": "string"}},
                }
            ),
        },
    }
)
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_PLAN = _object(
    {
        "kind": {"enum": ["picture", "video"]},
        "frames": _WHOLE,
        "width": _WHOLE,
        "height": _WHOLE,
        "result_width": _WHOLE,
        "result_height": _WHOLE,
        "model": {"type": "string"},
        "device": {"type": "string"},
        "path": {"enum": ["stream", "tiles"]},
        "memory_bytes": _WHOLE,
        "picture_bytes": _WHOLE,
        "seconds": _NULLABLE_NUMBER,
    }
)
_JOB = _object(
    {
        "id": _ID,
        "name": {"type": "string"},
        "status": {"enum": list(STATUSES)},
        "fraction": {"type": "number", "minimum": 0, "maximum": 1},
        "trial": {"type": "boolean"},
        "options": {"type": "object", "additionalProperties": {"type": "string"}},
        "model": {"type": "string"},
        "source": {"type": "object"},
        "result": {"type": ["object", "null"]},
        "result_name": {"type": "string"},
        "plan": {"$ref": "#/components/schemas/Plan"},
        "created": {"type": "string", "format": "date-time"},
        "finished": _NULLABLE_TEXT,
        "seconds": _NULLABLE_NUMBER,
        "error": _NULLABLE_TEXT,
        "notes": {"type": "array", "items": {"type": "string"}},
        "frames_per_second": _NULLABLE_NUMBER,
        "shown": _WHOLE,
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    }
)
_PROBLEM = _object(
    {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    }
)


def _answer(description: str, schema: Schema, media_type: str = "application/json") -> Schema:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _query(name: str, schema: Schema, description: str, *, required: bool = False) -> Schema:
    found = {"name": name, "in": "query", "schema": schema, "description": description}
    return found | ({"required": True} if required else {})


def _parameter(parameter: Parameter) -> Schema:
    return _query(parameter.name, dict(parameter.schema), parameter.description)


def _operation(  # noqa: PLR0917 - as they stand in the document
    name: str,
    summary: str,
    answers: Schema,
    refusals: str,
    parameters: Iterable[Schema] = (),
    body: Schema | None = None,
    *,
    open_: bool = False,
) -> Schema:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    refused = {
        status: {"description": _REFUSALS[status], "content": {MEDIA_TYPE: problem}}
        for status in refusals.split()
    }
    made: Schema = {"operationId": name, "summary": summary, "responses": answers | refused}
    if found := list(parameters):
        made["parameters"] = found
    if body is not None:
        made["requestBody"] = body
    if open_:
        made["security"] = []
    return made
