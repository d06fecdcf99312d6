"""The converter's graph in its plainest form, which is also the one stock ncnn runs fastest.

The result has the shape of the published networks: blobs `data` and `output`, a residual's scale
and addition as one `Eltwise` with coefficients (one pass over memory instead of two),
concatenations without intermediate ones, activations inside their convolutions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from realesrgan_vk.models.ncnn.param import Graph, Layer, with_splits

ADD, MULTIPLY = 0, 2
"""ncnn's `BinaryOp` operations."""
RELU, LEAKY_RELU = 1, 2
"""ncnn's activation types of a convolution (parameter 9; the slope is parameter 10)."""
ELTWISE_SUM = 1


def tidy(graph: Graph, *, broadcasts: bool = False) -> Graph:
    """Return a graph equal to the converter's; layers with weights keep their order.

    With `broadcasts` an addition may have operands of different shapes; `Eltwise` cannot, so
    residuals then stay as they are.
    """
    graph = _without_splits(graph)
    steps: tuple[Callable[[Graph], Graph], ...] = (
        _fuse_activations,
        *(() if broadcasts else (_fuse_residuals,)),
        _flatten_concats,
        _without_unread,
        _with_plain_names,
        with_splits,
    )
    for step in steps:
        graph = step(graph)
    return graph


def _renamed(graph: Graph, names: dict[str, str]) -> Graph:
    def final(blob: str) -> str:
        while blob in names:
            blob = names[blob]
        return blob

    layers = []
    for layer in graph:
        inputs, outputs = ([final(b) for b in blobs] for blobs in (layer.inputs, layer.outputs))
        layers.append(Layer(layer.type, layer.name, inputs, outputs, dict(layer.params)))
    return Graph(layers)


def _without_splits(graph: Graph) -> Graph:
    same = {
        blob: layer.inputs[0] for layer in graph if layer.type == "Split" for blob in layer.outputs
    }
    return _renamed(Graph([layer for layer in graph if layer.type != "Split"]), same)


def _fuse_activations(graph: Graph) -> Graph:
    """Move a ReLU or LeakyReLU into the convolution before it, when nothing else reads between."""
    producers, consumers = graph.producers(), graph.consumers()
    same: dict[str, str] = {}
    kept: list[Layer] = []
    for layer in graph:
        before = producers[layer.inputs[0]] if layer.inputs else layer
        fusible = (
            layer.type == "ReLU"
            and before.type == "Convolution"
            and before.integer(9) == 0
            and len(consumers[layer.inputs[0]]) == 1
        )
        if not fusible:
            kept.append(layer)
            continue
        slope = layer.number(0)
        before.params[9] = LEAKY_RELU if slope else RELU
        if slope:
            before.params[10] = (slope,)
        same[layer.outputs[0]] = before.outputs[0]
    return _renamed(Graph(kept), same)


def _fuse_residuals(graph: Graph) -> Graph:
    """Turn `a * s` followed by `+ b` into one `Eltwise` sum with coefficients s and 1."""
    producers, consumers = graph.producers(), graph.consumers()
    fused: set[str] = set()
    for layer in graph:
        if layer.type != "BinaryOp" or layer.integer(0) != ADD or len(layer.inputs) != 2:
            continue
        for at, blob in enumerate(layer.inputs):
            scaling = producers[blob]
            if _is_scaling(scaling) and len(consumers[blob]) == 1:
                layer.type = "Eltwise"
                layer.inputs = [scaling.inputs[0], layer.inputs[1 - at]]
                layer.params = {0: ELTWISE_SUM, 1: (scaling.number(2), 1.0)}
                fused.add(scaling.name)
                break
    return Graph([layer for layer in graph if layer.name not in fused])


def _is_scaling(layer: Layer) -> bool:
    return layer.type == "BinaryOp" and layer.integer(0) == MULTIPLY and layer.integer(1) == 1


def _flatten_concats(graph: Graph) -> Graph:
    """Let a channel concatenation read the parts of another one directly."""
    producers = graph.producers()
    for layer in graph:
        if _joins_channels(layer):
            parts: list[str] = []
            for blob in layer.inputs:
                source = producers[blob]
                parts += source.inputs if _joins_channels(source) else [blob]
            layer.inputs = parts
    return graph


def _joins_channels(layer: Layer) -> bool:
    return layer.type == "Concat" and layer.integer(0) == 0


def _without_unread(graph: Graph) -> Graph:
    """Drop weightless layers nobody reads any more (a flattened inner concatenation)."""
    output = graph.layers[-1].outputs[0]
    while True:
        read = {blob for layer in graph for blob in layer.inputs} | {output}
        kept = [la for la in graph if la.type != "Concat" or read & set(la.outputs)]
        if len(kept) == len(graph.layers):
            return graph
        graph = Graph(kept)


def _with_plain_names(graph: Graph) -> Graph:
    """Number blobs and layers; the picture comes in as `data` and leaves as `output`."""
    names = {blob: str(i) for i, blob in enumerate(graph.producers())}
    names[graph.output] = "output"
    names[graph.input] = "data"
    numbers: Counter[str] = Counter()
    layers = []
    for layer in graph:
        layers.append(
            Layer(
                layer.type,
                f"{layer.type.lower()}_{numbers[layer.type]}",
                [names[blob] for blob in layer.inputs],
                [names[blob] for blob in layer.outputs],
                layer.params,
            )
        )
        numbers[layer.type] += 1
    return Graph(layers)
