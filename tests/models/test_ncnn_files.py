"""The .param and .bin readers against the official networks, and against damage."""

from pathlib import Path

import numpy as np
import pytest
from compact_network import compact_graph, write_compact
from hypothesis import given, settings
from hypothesis import strategies as st

from realesrgan_vk import ModelError
from realesrgan_vk.models import find_model
from realesrgan_vk.models.ncnn.param import (
    Layer,
    ParamValue,
    format_graph,
    parse_graph,
    read_graph,
)
from realesrgan_vk.models.ncnn.weights import format_weights, read_weights


@pytest.mark.parametrize("name", ["realesrgan-x4plus-anime", "realesr-animevideov3-x2"])
def test_official_files_come_back_byte_for_byte(name: str) -> None:
    model = find_model(name)
    graph = read_graph(model.param)
    assert format_weights(graph, read_weights(graph, model.bin)) == model.bin.read_bytes()
    again = parse_graph(format_graph(graph))
    assert again == graph
    assert (graph.input, graph.output) == ("data", "output")


@pytest.mark.parametrize("fp16", [True, False])
def test_both_precisions(tmp_path: Path, fp16: bool) -> None:
    param = write_compact(tmp_path, "net", features=5, fp16=fp16)  # 135 weights: fp16 needs padding
    graph = read_graph(param)
    weights = read_weights(graph, param.with_suffix(".bin"))
    assert [kept.fp16 for kept in weights.values()] == [fp16, False, fp16]
    assert weights["conv0"].weight.shape == (5, 3, 3, 3)
    assert weights["conv0"].weight.dtype == np.float32
    assert format_weights(graph, weights) == param.with_suffix(".bin").read_bytes()


numbers = st.integers(-(2**31), 2**31 - 1) | st.floats(
    width=32, allow_nan=False, allow_infinity=False
)


@settings(deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.integers(0, 30),
        numbers | st.lists(numbers, min_size=1).map(tuple) | st.just('"0w,*(0h,2),12"'),
    )
)
def test_parameters_survive_as_text(params: dict[int, ParamValue]) -> None:
    graph = compact_graph()
    graph.layers[2] = Layer("Noop", "any", ["first"], ["a"], params)
    back = parse_graph(format_graph(graph)).layers[2].params
    assert back.keys() == params.keys()
    for key, value in params.items():
        assert isinstance(back[key], type(value))
        if isinstance(value, str):
            assert back[key] == value
        else:
            assert np.array_equal(np.asarray(back[key], np.float32), np.asarray(value, np.float32))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "", "first line is not 7767517"),
        (lambda text: text.replace("7767517", "7767518"), "first line is not 7767517"),
        (lambda text: text[: len(text) // 2], "line|announces|lacks"),
        (lambda text: text.replace(" a b", " z b"), "reads z, which no layer before it wrote"),
        (lambda text: text.replace(" b c", " b a"), "writes a, which is already there"),
        (lambda text: text.replace("8 9", "eight"), "line 2"),
    ],
)
def test_damaged_graphs(change: object, reason: str, tmp_path: Path) -> None:
    assert callable(change)
    path = tmp_path / "net.param"
    path.write_text(change(format_graph(compact_graph())))
    with pytest.raises(ModelError, match=rf"net\.param: .*({reason})"):
        read_graph(path)
