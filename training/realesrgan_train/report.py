"""One HTML page about a run, which opens without a network: curves, measures, sheets, settings."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from PIL import Image

import realesrgan_train
from realesrgan_train.engine.measures import read_best, read_measures, sheet_path
from realesrgan_train.errors import ConfigError
from realesrgan_train.files import replacing

Event = dict[str, Any]
Curve = list[tuple[float, float]]

_WIDTH, _HEIGHT = 360, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 8, 8, 20
_POINTS = 400
"""Points of a curve; more are averaged in groups."""
_SHEETS = 3
"""Contact sheets on the page: the first, the best or a middle one, and the last."""

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1f24; --dim: #5d6673; --line: #d9dee5;
  --card: #f6f8fa; --curve: #0b63c5; --other: #a35200; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e4e8ed; --dim: #9aa5b1;
  --line: #333b45; --card: #1c2127; --curve: #6cb2ff; --other: #f0a35e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 24px 20px 60px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 12px; }
p { margin: 4px 0; } .dim { color: var(--dim); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 10px;
  margin: 18px 0; }
.facts div, .plot { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 12px; overflow-wrap: anywhere; }
.facts b { display: block; font-size: 17px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 12px; }
.plot svg { width: 100%; height: auto; display: block; }
.plot h3 { font-size: 14px; margin: 0 0 4px; font-weight: 600; }
.plot h3 span { color: var(--dim); font-weight: 400; }
svg text { fill: var(--dim); font-size: 11px; }
.axis { stroke: var(--line); } .curve { fill: none; stroke: var(--curve); stroke-width: 1.6; }
.other { fill: none; stroke: var(--other); stroke-width: 1.4; stroke-dasharray: 5 4; }
circle { fill: var(--curve); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr.best td { font-weight: 600; }
img { max-width: 100%; border: 1px solid var(--line); border-radius: 6px; background: #fff; }
figure { margin: 0 0 18px; } figcaption { color: var(--dim); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  overflow-x: auto; font-size: 13px; }
ul { padding-left: 20px; } summary { cursor: pointer; }
"""

_NAMES = {
    "psnr_y": "PSNR of luma, dB",
    "psnr_rgb": "PSNR of RGB, dB",
    "ssim_y": "SSIM of luma",
    "ssim_rgb": "SSIM of RGB",
    "lpips": "LPIPS, lower is better",
    "dists": "DISTS, lower is better",
    "niqe": "NIQE, lower is better",
    "steps_per_second": "steps a second",
}
_HEADS = {
    "psnr_y": "PSNR(Y)",
    "ssim_y": "SSIM(Y)",
    "psnr_rgb": "PSNR(RGB)",
    "ssim_rgb": "SSIM(RGB)",
}
_NO_FIGURES = frozenset({"event", "step", "time", "stage"})
_TOLD = ("resume", "damaged_picture", "rollback", "stopped", "interrupted", "finished")


def write_report(run_dir: Path, out: Path) -> None:
    """Write the page of a run, whole or not at all.

    Raises:
        ConfigError: The folder holds no run.
        OSError: The page cannot be written.
    """
    log = run_dir / "log.jsonl"
    if not log.is_file():
        raise ConfigError(f"{run_dir} holds no run: log.jsonl is not there")
    page = _page(run_dir, _events(log.read_text(encoding="utf-8")))
    with replacing(out) as partial:
        partial.write_text(page, encoding="utf-8")


def _events(text: str) -> list[Event]:
    """The log's lines; of steps that were done twice the later ones, as after a crash."""
    found: list[Event] = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:  # a line that is being written
            continue
        if isinstance(event, dict) and isinstance(event.get("step"), int) and "event" in event:
            found.append(event)
    kept: dict[tuple[object, ...], Event] = {}
    for number, event in enumerate(found):
        kind = event["event"]
        if kind in ("resume", "rollback"):  # what came after this step is done again
            kept = {
                key: old
                for key, old in kept.items()
                if key[0] not in ("step", "validation") or old["step"] <= event["step"]
            }
        repeats = kind in ("step", "validation")
        kept[(kind, event["step"]) if repeats else (kind, event["step"], number)] = event
    return list(kept.values())


def _page(run_dir: Path, events: list[Event]) -> str:
    name = html.escape(run_dir.resolve().name)
    steps = [event for event in events if event["event"] == "step"]
    validations = [event for event in events if event["event"] == "validation"]
    config_file = run_dir / "config.yaml"
    settings = config_file.read_text(encoding="utf-8") if config_file.is_file() else ""
    parts = [
        f"<h1>{name}</h1>",
        f'<p class="dim">realesrgan-train {realesrgan_train.__version__}, '
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC</p>",
        _facts(run_dir, events, validations),
        _section("Measures", _measure_plots(validations)),
        _section("Sheets", _sheets(run_dir, validations)),
        _section("Each picture", _pictures(run_dir)),
        _section("Losses and other figures", _loss_plots(steps)),
        _section("What happened", _happened(events)),
        _section("Settings", f"<pre>{html.escape(settings)}</pre>" if settings else ""),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>\n{content}" if content else ""


def _number(value: float, digits: int = 4) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def _facts(run_dir: Path, events: list[Event], validations: list[Event]) -> str:
    last = max((event["step"] for event in events), default=0)
    stages = [event["stage"] for event in events if event["event"] == "stage"]
    known = [event["stage"] for event in events if event["event"] == "step" and event.get("stage")]
    state = {"finished": "finished", "stopped": "stopped by a guard", "interrupted": "interrupted"}
    ends = [state[event["event"]] for event in events[-1:] if event["event"] in state]
    facts = [("step", f"{last:,}"), ("state", ends[0] if ends else "under way or killed")]
    if known or stages:
        facts.append(("stage", str((known or stages)[-1])))
    if validations:
        end = validations[-1]
        facts += [
            (_HEADS.get(key, key.upper()), f"{end[key]:.4g}")
            for key in ("psnr_y", "ssim_y", "lpips", "dists", "niqe")
            if _is_number(end.get(key))
        ]
    best = read_best(run_dir)
    if best:
        label = _HEADS.get(best["measure"], best["measure"].upper())
        facts.append((f"best {label}", f"{best['value']:.4g} at step {best['step']:,}"))
    cells = "".join(
        f'<div><span class="dim">{html.escape(name)}</span><b>{html.escape(value)}</b></div>'
        for name, value in facts
    )
    return f'<div class="facts">{cells}</div>'


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _curve(events: Iterable[Event], key: str) -> Curve:
    points = [(float(e["step"]), float(e[key])) for e in events if _is_number(e.get(key))]
    group = -(-len(points) // _POINTS)
    if group < 2:
        return points
    means = []
    for start in range(0, len(points), group):
        part = points[start : start + group]
        means.append((part[-1][0], sum(value for _, value in part) / len(part)))
    return means


def _measure_plots(validations: list[Event]) -> str:
    plots = []
    for key in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "lpips", "dists", "niqe"):
        curve = _curve(validations, key)
        if curve:
            plots.append(_plot(_NAMES[key], curve, _curve(validations, f"bicubic_{key}")))
    if not plots:
        return ""
    return (
        f'<div class="plots">{"".join(plots)}</div>'
        '<p class="dim">dashed: bicubic enlargement of the same pictures</p>'
    )


def _loss_plots(steps: list[Event]) -> str:
    names: dict[str, None] = {}
    for event in steps:
        names.update({key: None for key in event if key not in _NO_FIGURES})
    plots = []
    for name in sorted(names, key=lambda key: (key != "loss", key == "steps_per_second", key)):
        curve = _curve(steps, name)
        if curve:
            plots.append(_plot(_NAMES.get(name, name.replace("_", " ")), curve, []))
    return f'<div class="plots">{"".join(plots)}</div>' if plots else ""


def _plot(title: str, curve: Curve, other: Curve) -> str:
    """A line plot as SVG; `other` is dashed."""
    values = [value for _, value in [*curve, *other]]
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    first, last = curve[0][0], curve[-1][0]

    def place(point: tuple[float, float]) -> tuple[float, float]:
        share = (point[0] - first) / (last - first) if last > first else 0.5
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        y = _TOP + (high - point[1]) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
        return x, y

    parts = []
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        y = place((first, value))[1]
        parts.append(
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value, 3)}</text>'
        )
    ends = [(first, "start"), (last, "end")] if last > first else [(first, "middle")]
    for step, anchor in ends:
        x = place((step, low))[0]
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{step:,.0f}</text>'
        )
    for points, style in ((other, "other"), (curve, "curve")):
        if len(points) > 1:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, points))
            parts.append(f'<polyline class="{style}" points="{line}"/>')
    x, y = place(curve[-1])
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>')
    label = html.escape(title)
    return (
        f'<div class="plot"><h3>{label} <span>{_number(curve[-1][1])}</span></h3>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg></div>"
    )


def _sheets(run_dir: Path, validations: list[Event]) -> str:
    """Up to three contact sheets, newest first, embedded."""
    steps = [e["step"] for e in validations if sheet_path(run_dir, e["step"]).is_file()]
    if not steps:
        return ""
    best = read_best(run_dir).get("step")
    middle = best if best in steps[1:-1] else steps[len(steps) // 2]
    chosen = sorted({steps[0], middle, steps[-1]}, reverse=True)[:_SHEETS]
    figures = []
    for number, step in enumerate(chosen):
        with Image.open(sheet_path(run_dir, step)) as image:
            data = io.BytesIO()
            image.convert("RGB").save(data, "WEBP", quality=92)
        source = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
        caption = f"step {step:,}" + (", the best" if step == best else "")
        picture = (
            f'<figure><img src="{source}" alt="Contact sheet of step {step}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
        if number:
            picture = f"<details><summary>{caption}</summary>{picture}</details>"
        figures.append(picture)
    return "\n".join(figures)


def _pictures(run_dir: Path) -> str:
    """The table of the last validation."""
    measures = read_measures(run_dir)
    if not measures:
        return ""
    last = measures[-1]
    keys = [key for key in last["mean"] if not key.startswith("bicubic_")]
    keys += [f"bicubic_{key}" for key in keys if f"bicubic_{key}" in last["mean"]]
    heads = [
        ("bicubic " if key.startswith("bicubic_") else "")
        + _HEADS.get(key.removeprefix("bicubic_"), key.removeprefix("bicubic_").upper())
        for key in keys
    ]

    def row(name: str, figures: dict[str, float], style: str = "") -> str:
        places = {key: 2 if "psnr" in key else 4 for key in keys}
        shown = [f"{figures[k]:.{n}f}" if _is_number(figures[k]) else "" for k, n in places.items()]
        cells = "".join(f"<td>{value}</td>" for value in shown)
        return f"<tr{style}><td>{html.escape(name)}</td>{cells}</tr>"

    names = _short(list(last["pictures"]))
    rows = [
        row(name, figures) for name, figures in zip(names, last["pictures"].values(), strict=True)
    ]
    rows.append(row(f"mean of {len(names)}", last["mean"], ' class="best"'))
    head = "".join(f"<th>{html.escape(title)}</th>" for title in heads)
    return (
        f'<p class="dim">step {last["step"]:,}</p><div class="wide"><table>'
        f"<tr><th>picture</th>{head}</tr>{''.join(rows)}</table></div>"
    )


def _short(names: Sequence[str]) -> list[str]:
    """Names without the folder that all of them are in."""
    if len(names) < 2:
        return [Path(name).name for name in names]
    parts = [name.split("/") for name in names]
    shared = 0
    while all(len(each) > shared + 1 for each in parts) and (
        len({each[shared] for each in parts}) == 1
    ):
        shared += 1
    return ["/".join(each[shared:]) for each in parts]


def _happened(events: list[Event]) -> str:
    lines = []
    for event in events:
        if event["event"] in _TOLD:
            text = event.get("message") or event.get("reason") or ""
            what = f"step {event['step']:,}: {event['event'].replace('_', ' ')}"
            lines.append(f"<li>{html.escape(what + (f': {text}' if text else ''))}</li>")
    return f"<ul>{''.join(lines)}</ul>" if lines else ""
