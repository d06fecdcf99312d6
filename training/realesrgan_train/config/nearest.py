"""Say which key was meant when a key is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails


def models_in(annotation: object) -> list[type[BaseModel]]:
    """Every pydantic model named in a type annotation, however nested."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    """Whether `tag` is the literal value of one of the model's fields (a union's discriminator)."""
    return any(
        get_origin(field.annotation) is Literal and tag in get_args(field.annotation)
        for field in model.model_fields.values()
    )


def _models_at(root: type[BaseModel], location: Sequence[int | str]) -> list[type[BaseModel]]:
    """The models a location inside `root` can be; list indices and union tags are stepped over."""
    models: list[type[BaseModel]] = [root]
    for part in location:
        if isinstance(part, int):
            continue
        tagged = [model for model in models if _has_tag(model, part)]
        if tagged and not any(part in model.model_fields for model in models):
            models = tagged
            continue
        models = [
            found
            for model in models
            if part in model.model_fields
            for found in models_in(model.model_fields[part].annotation)
        ]
    return models


def plain_location(root: type[BaseModel], location: Sequence[int | str]) -> str:
    """The dotted path as the user wrote it: union tags left out, list indices in brackets."""
    text = ""
    for depth, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        models = _models_at(root, location[:depth])
        known = any(part in model.model_fields for model in models)
        if not known and depth < len(location) - 1:
            continue
        text += f".{part}" if text else part
    return text


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The most similar allowed name, or None when nothing is similar."""
    found = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return found[0] if found else None


def hint(name: str, allowed: Iterable[str], what: str = "") -> str:
    """Return "; did you mean ...?" for a wrong name, or "." when nothing is similar."""
    guess = nearest(name, allowed)
    return f"; did you mean {what}{guess!r}?" if guess else "."


def describe_error(root: type[BaseModel], error: ErrorDetails) -> str:
    """One line for one pydantic error: the key, what is wrong, what is allowed."""
    location = error["loc"]
    where = plain_location(root, location)
    if error["type"] == "extra_forbidden":
        names = sorted(
            {name for model in _models_at(root, location[:-1]) for name in model.model_fields}
        )
        guess = nearest(str(location[-1]), names)
        prefix = where.rpartition(".")[0]
        if guess is not None:
            return (
                f"unknown key {where!r}; did you mean {f'{prefix}.{guess}' if prefix else guess!r}?"
            )
        return f"unknown key {where!r}; here are allowed: {', '.join(names)}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{where}: this key is required"
    given = "" if isinstance(error["input"], dict) or not where else f" (given: {error['input']!r})"
    return f"{where}: {message}{given}" if where else message
