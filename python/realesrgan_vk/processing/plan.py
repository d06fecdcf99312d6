"""The plan of a run, as data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How one run of the network over a picture goes, known before it starts.

    Attributes:
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        path: "stream" (row by row through the whole network: no seams) or "tiles".
        reason: Why this path, in words.
        band_rows: Picture rows of a row band; 0 for tiles.
        column_tiles: Column tiles of the row stream, 1 unless memory is short; 0 on the tile path.
        halo: Pixels computed again on each side of a tile; 0 for a picture in one.
        tile: The longest side of a tile without its halo; 0 for the stream.
        memory_bytes: Bytes by kind, and their sum as "total". "host" is the machine's memory for
            sums of floats (column tiles, `tta`, tiles), which the limit of a device with its own
            memory does not count. The tile path leaves out the weights.
        dispatches_per_band: Operations of a row band in the steady state, or of the only one; 0 for
            tiles.
        bytes_moved_per_input_pixel: Bytes that these operations read and write, without weights.
        picture_bytes: Memory of the machine for the decoded picture and the part of its result
            that exists while the network runs; not in `memory_bytes`, and counted by no limit.
    """

    width: int
    height: int
    path: Literal["stream", "tiles"]
    reason: str
    band_rows: int
    column_tiles: int
    halo: int
    tile: int
    memory_bytes: dict[str, int]
    dispatches_per_band: int
    bytes_moved_per_input_pixel: float
    picture_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return asdict(self)
