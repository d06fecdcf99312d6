"""Draw the diagrams of docs/architecture.md into a folder. Usage: diagrams.py FOLDER."""

import sys
from html import escape
from pathlib import Path

INK, MUTED, LINE = "#1f2933", "#52606d", "#9aa5b1"
NETWORK, PLAN, DATA = "#e3f0ff", "#fdf0d5", "#e4f5e6"
WRITTEN, KEPT, FREE = "#bfdbf7", "#f9d79b", "#f1f3f5"
FONT = "font-family='DejaVu Sans, Segoe UI, Helvetica, Arial, sans-serif'"


def text(  # noqa: PLR0917 - a drawing's coordinates and style
    x: float, y: float, words: str, size: int = 13, colour: str = INK,
    anchor: str = "middle", weight: str = "normal",
) -> str:  # fmt: skip
    """A line of text; y is its baseline."""
    return (
        f"<text x='{x}' y='{y}' font-size='{size}' fill='{colour}' text-anchor='{anchor}' "
        f"font-weight='{weight}'>{escape(words)}</text>"
    )


def box(x: float, y: float, size: tuple[float, float], colour: str, lines: list[str]) -> str:
    """A rounded box: the first line in bold, the others smaller."""
    width, height = size
    parts = [
        f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='6' fill='{colour}' "
        f"stroke='{LINE}'/>"
    ]
    top = y + height / 2 - 8 * (len(lines) - 1) + 5
    for number, line in enumerate(lines):
        first = number == 0
        parts.append(
            text(x + width / 2, top + 17 * number, line, 13 if first else 11,
                 INK if first else MUTED, weight="bold" if first else "normal")
        )  # fmt: skip
    return "".join(parts)


def arrow(*points: tuple[float, float]) -> str:
    """A line through the points with a head at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    return (
        f"<polyline points='{path}' fill='none' stroke='{MUTED}' stroke-width='1.5' "
        "marker-end='url(#head)'/>"
    )


def svg(width: int, height: int, title: str, parts: list[str]) -> str:
    """A whole file on white, so that it can be read on dark pages, too."""
    head = (
        "<defs><marker id='head' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' "
        "markerHeight='7' orient='auto'>"
        f"<path d='M0,0 L8,4 L0,8 z' fill='{MUTED}'/></marker></defs>"
    )
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' "
        f"height='{height}' {FONT} role='img'><title>{escape(title)}</title>{head}"
        f"<rect width='{width}' height='{height}' fill='#ffffff'/>" + "\n".join(parts) + "</svg>\n"
    )


def flow() -> str:
    """From a picture and a network to the result."""
    wide, high = 150, 62
    columns = [20, 200, 380, 560, 740]
    network, plan, data = 40, 160, 290

    def at(column: int, row: float, colour: str, *lines: str) -> str:
        return box(columns[column], row, (wide, high), colour, list(lines))

    def right(column: int, row: float) -> str:
        y = row + high / 2
        return arrow((columns[column] + wide, y), (columns[column + 1] - 2, y))

    parts = [
        text(20, 26, "when a network is loaded", 12, MUTED, "start"),
        at(0, network, NETWORK, "network files", ".param  .bin"),
        at(1, network, NETWORK, "graph", "model/", "layers, sizes, weights"),
        at(2, network, NETWORK, "program", "program/", "fused operations"),
        right(0, network), right(1, network),
        text(20, 146, "before a run", 12, MUTED, "start"),
        at(1, plan, PLAN, "size of the picture", "sample types", "memory limit"),
        at(2, plan, PLAN, "plan", "plan/", "row bands, buffers, bytes"),
        at(3, plan, PLAN, "session", "cpu/  vulkan/", "allocates the buffers"),
        right(1, plan), right(2, plan),
        arrow((columns[2] + wide / 2, network + high), (columns[2] + wide / 2, plan - 2)),
        text(20, 276, "a run", 12, MUTED, "start"),
        at(0, data, DATA, "picture", "image_io/", "decode, metadata"),
        at(1, data, DATA, "passes", "processing/", "alpha, one run a pass"),
        at(2, data, DATA, "rows in", "image/", "samples to floats"),
        at(3, data, DATA, "steps of the plan", "stream/", "one row band a step"),
        at(4, data, DATA, "rows out", "image/", "floats to samples"),
        right(0, data), right(1, data), right(2, data), right(3, data),
        arrow((columns[3] + wide / 2, plan + high), (columns[3] + wide / 2, data - 2)),
        at(4, data + 100, DATA, "resample", "imaging/", "to the size asked for"),
        at(3, data + 100, DATA, "result file", "image_io/", "encode, metadata"),
        arrow((columns[4] + wide / 2, data + high), (columns[4] + wide / 2, data + 98)),
        arrow((columns[4], data + 131), (columns[3] + wide + 2, data + 131)),
        *[
            text(20, data + 128 + 16 * number, line, 11, MUTED, "start")
            for number, line in enumerate([
                "If a size needs another pass (x16 with an x4 network), the rows out",
                "are the picture of the next one. Then the result is resampled.",
            ])
        ],
    ]  # fmt: skip
    return svg(910, 470, "From picture and network to the result", parts)


def ends(height: int, band: int, layers: int) -> list[list[int]]:
    """Rows that are ready of the input and of each 3x3 layer's output, after each step.

    A layer needs one row more than it gives, except at the bottom, and gives one band at most.
    """
    steps = [[0] * (layers + 1)]
    while steps[-1][-1] < height:
        ready = [min(steps[-1][0] + band, height)]
        for last in steps[-1][1:]:
            above = ready[-1]
            ready.append(min(above if above == height else above - 1, last + band))
        steps.append([max(0, row) for row in ready])
    return steps


def ring() -> str:
    """Three layers' ring buffers over the steps of a run."""
    height, band, slots, cell, high = 12, 4, 6, 46, 22
    steps = ends(height, band, 3)
    names = ["input", "after layer 1", "after layer 2"]
    left, top, apart = 180, 70, 30
    parts = [
        text(20, 30, f"A picture of {height} rows, three 3x3 convolutions, "
             f"row bands of {band} rows, ring buffers of {slots} rows", 14, INK, "start", "bold"),
    ]  # fmt: skip
    for step in range(1, len(steps)):
        x = left + (step - 1) * (cell + 90) + cell / 2
        parts.append(text(x, top - 14, f"step {step}", 13, MUTED))
    for tensor, name in enumerate(names):
        y = top + tensor * (slots * high + apart)
        parts.append(text(20, y + slots * high / 2 + 4, name, 13, INK, "start", "bold"))
        parts += [
            text(left - 12, y + slot * high + 15, f"slot {slot}", 9, MUTED, "end")
            for slot in range(slots)
        ]
        held: dict[int, int] = {}
        for step in range(1, len(steps)):
            before, now = steps[step - 1], steps[step]
            new = range(before[tensor], now[tensor])
            held |= {row % slots: row for row in new}
            # The next layer's first row of this step needs the one above it, too.
            used = range(max(0, before[tensor + 1] - 1), now[tensor])
            x = left + (step - 1) * (cell + 90)
            for slot in range(slots):
                row = held.get(slot)
                colour = WRITTEN if row in new else KEPT if row in used else FREE
                parts.append(
                    f"<rect x='{x}' y='{y + slot * high}' width='{cell}' height='{high}' "
                    f"fill='{colour}' stroke='{LINE}'/>"
                )
                if row is not None:
                    ink = MUTED if colour == FREE else INK
                    parts.append(text(x + cell / 2, y + slot * high + 15, str(row), 12, ink))
            done = range(before[tensor + 1], now[tensor + 1])
            if done:
                rows = f"{done[0]}-{done[-1]}" if len(done) > 1 else str(done[0])
                what = "the result" if tensor == 2 else f"after layer {tensor + 1}"
                beside, middle = x + cell + 6, y + slots * high / 2
                parts.append(text(beside, middle - 4, "gives rows", 9, MUTED, "start"))
                parts.append(text(beside, middle + 10, rows, 12, INK, "start", "bold"))
                parts.append(text(beside, middle + 23, what, 9, MUTED, "start"))
    bottom = top + 3 * (slots * high + apart) + 6
    for number, (colour, words) in enumerate(
        [(WRITTEN, "written in this step"), (KEPT, "kept, because the next layer still needs it"),
         (FREE, "no longer needed: its slot is free for row + 6")]
    ):  # fmt: skip
        x = [20, 200, 500][number]
        parts.append(
            f"<rect x='{x}' y='{bottom - 12}' width='16' height='16' fill='{colour}' "
            f"stroke='{LINE}'/>"
        )
        parts.append(text(x + 24, bottom + 1, words, 12, INK, "start"))
    return svg(850, bottom + 20, "Ring buffers of three layers over time", parts)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "flow.svg").write_text(flow(), "utf-8")
    (folder / "ring-buffers.svg").write_text(ring(), "utf-8")
