"""An ncnn `.param` file as data: read, checked, changed and written again.

The text format is described in ncnn's wiki ("param and model file structure"): a magic number, the
counts of layers and blobs, then one line a layer: type, name, number of inputs and outputs, their
blob names, and `id=value` parameters (arrays as `-23300-id=count,value,...`; sizes that follow from
the inputs' as a text in quotation marks, such as `6="0w,0h,12"`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realesrgan_vk.errors import ModelError

MAGIC = "7767517"
ARRAY_OFFSET = 23300

Number = int | float
ParamValue = Number | tuple[Number, ...] | str
"""A text keeps its quotation marks."""


@dataclass
class Layer:
    """One line of a `.param` file; blobs are named, parameters are by ncnn's ids."""

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    params: dict[int, ParamValue] = field(default_factory=dict)

    def integer(self, key: int, default: int = 0) -> int:
        """Return an integer parameter.

        Raises:
            ModelError: It is a fraction, a list or a text.
        """
        value = self.params.get(key, default)
        if not isinstance(value, int):
            raise ModelError(f"layer {self.name}: parameter {key} is {value}, not an integer")
        return value

    def number(self, key: int, default: float = 0.0) -> float:
        """Return a parameter as a float.

        Raises:
            ModelError: It is a list or a text.
        """
        value = self.params.get(key, default)
        if not isinstance(value, (int, float)):
            kind = "a list" if isinstance(value, tuple) else "a text"
            raise ModelError(f"layer {self.name}: parameter {key} is {kind}, not a number")
        return float(value)

    def numbers(self, key: int) -> tuple[float, ...]:
        """Return an array parameter, empty when it is not there.

        Raises:
            ModelError: It is a text.
        """
        value = self.params.get(key, ())
        if isinstance(value, str):
            raise ModelError(f"layer {self.name}: parameter {key} is a text, not a list")
        return tuple(float(x) for x in value) if isinstance(value, tuple) else (float(value),)


@dataclass
class Graph:
    """The layers in the order they run, which is also that of the weights in the `.bin`."""

    layers: list[Layer]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @property
    def input(self) -> str:
        """Name of the one input blob.

        Raises:
            ModelError: There is not exactly one.
        """
        names = [blob for layer in self.layers if layer.type == "Input" for blob in layer.outputs]
        if len(names) != 1:
            raise ModelError(f"the network has {len(names)} inputs; a picture goes into one")
        return names[0]

    @property
    def output(self) -> str:
        """Name of the one blob that no layer reads.

        Raises:
            ModelError: There is not exactly one.
        """
        read = {blob for layer in self.layers for blob in layer.inputs}
        names = [blob for layer in self.layers for blob in layer.outputs if blob not in read]
        if len(names) != 1:
            raise ModelError(f"the network has {len(names)} outputs; a picture comes out of one")
        return names[0]

    def producers(self) -> dict[str, Layer]:
        """Map each blob to the layer that writes it."""
        return {blob: layer for layer in self.layers for blob in layer.outputs}

    def consumers(self) -> dict[str, list[Layer]]:
        """Map each blob to the layers that read it (a layer twice when it reads it twice)."""
        found: dict[str, list[Layer]] = {blob: [] for la in self.layers for blob in la.outputs}
        for layer in self.layers:
            for blob in layer.inputs:
                found[blob].append(layer)
        return found


def read_graph(path: Path) -> Graph:
    """Read a `.param` file.

    Raises:
        ModelError: It is missing or not a whole text `.param`; names file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as an ncnn .param file ({error})") from error
    try:
        return parse_graph(text)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def parse_graph(text: str) -> Graph:
    """Read the text of a `.param` file.

    Raises:
        ModelError: It is not a whole text `.param`; names the line.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != [MAGIC]:
        raise ModelError(f"not an ncnn .param file: the first line is not {MAGIC}")
    try:
        layer_count, blob_count = (int(word) for word in lines[1])
    except (IndexError, ValueError):
        raise ModelError("line 2: expected the number of layers and the number of blobs") from None
    graph = Graph([_parse_layer(words, row) for row, words in enumerate(lines[2:], start=3)])
    _check(graph, layer_count, blob_count)
    return graph


def format_graph(graph: Graph) -> str:
    """Return the text of a `.param` file."""
    blobs = sum(len(layer.outputs) for layer in graph)
    lines = [MAGIC, f"{len(graph.layers)} {blobs}"]
    for layer in graph:
        words = [f"{layer.type:<24} {layer.name:<24} {len(layer.inputs)} {len(layer.outputs)}"]
        words += layer.inputs + layer.outputs + list(_format_params(layer.params))
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def with_splits(graph: Graph) -> Graph:
    """Give each reader of a blob its own copy by a `Split` layer, which ncnn's loader demands."""
    readers = graph.consumers()
    waiting: dict[str, list[str]] = {}
    layers: list[Layer] = []
    for layer in graph:
        inputs = [waiting[blob].pop(0) if blob in waiting else blob for blob in layer.inputs]
        layers.append(Layer(layer.type, layer.name, inputs, layer.outputs, layer.params))
        for blob in layer.outputs:
            count = len(readers[blob])
            if count > 1:
                waiting[blob] = [f"{blob}_split_{i}" for i in range(count)]
                layers.append(Layer("Split", f"split_{blob}", [blob], list(waiting[blob])))
    return Graph(layers)


def _parse_layer(words: list[str], row: int) -> Layer:
    try:
        input_count, output_count = int(words[2]), int(words[3])
        blobs = words[4 : 4 + input_count + output_count]
        params = dict(_parse_param(word) for word in words[4 + input_count + output_count :])
    except (IndexError, ValueError):
        raise ModelError(f"line {row}: not a layer: {' '.join(words)[:60]!r}") from None
    if input_count < 0 or output_count < 0 or len(blobs) != input_count + output_count:
        raise ModelError(f"line {row}: the layer {words[1]} lacks some of its blobs")
    return Layer(words[0], words[1], blobs[:input_count], blobs[input_count:], params)


def _parse_param(word: str) -> tuple[int, ParamValue]:
    key, _, value = word.partition("=")
    number = int(key)
    if len(value) > 1 and value[0] == value[-1] == '"':
        return number, value
    if number > -ARRAY_OFFSET:
        return number, _parse_number(value)
    count, *items = value.split(",")
    if int(count) != len(items):
        raise ValueError(word)
    return -number - ARRAY_OFFSET, tuple(_parse_number(item) for item in items)


def _parse_number(text: str) -> Number:
    return float(text) if any(mark in text for mark in ".eEn") else int(text)


def _format_params(params: Mapping[int, ParamValue]) -> Iterator[str]:
    for key, value in sorted(params.items()):
        if isinstance(value, tuple):
            items = ",".join(_format_number(item) for item in value)
            yield f"{-ARRAY_OFFSET - key}={len(value)},{items}"
        elif isinstance(value, str):
            yield f"{key}={value}"
        else:
            yield f"{key}={_format_number(value)}"


def _format_number(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    text = format(value, ".9g")  # nine digits distinguish any two float32
    return text if "." in text or "e" in text else text + ".0"  # without it ncnn reads an integer


def _check(graph: Graph, layer_count: int, blob_count: int) -> None:
    written: set[str] = set()
    for layer in graph:
        for blob in layer.inputs:
            if blob not in written:
                raise ModelError(f"layer {layer.name} reads {blob}, which no layer before it wrote")
        for blob, times in Counter(layer.outputs).items():
            if blob in written or times > 1:
                raise ModelError(f"layer {layer.name} writes {blob}, which is already there")
        written.update(layer.outputs)
    if len(graph.layers) != layer_count or len(written) != blob_count:
        raise ModelError(
            f"the file announces {layer_count} layers and {blob_count} blobs and has "
            f"{len(graph.layers)} and {len(written)}; it is cut short or damaged"
        )
