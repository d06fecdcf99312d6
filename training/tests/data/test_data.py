"""Sources give the same pictures; damage loses nothing."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import lmdb
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.config.schema import FolderSourceConfig, PairSourceConfig
from realesrgan_train.data import sources
from realesrgan_train.data.batches import BatchDataset, batch_loader
from realesrgan_train.data.cache import DecodedCache
from realesrgan_train.data.opening import open_pairs, open_source, open_sources
from realesrgan_train.data.pairs import PairedSource
from realesrgan_train.data.pictures import decode_picture
from realesrgan_train.data.shards import ShardSource, expand_range
from realesrgan_train.data.sources import FolderSource, LmdbSource
from realesrgan_train.errors import ConfigError, DataError

from ..conftest import Overrides, draw_picture


def _tar(folder: Path, names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            data = (folder / name).read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        note = tarfile.TarInfo("p0.json")
        note.size = 2
        archive.addfile(note, io.BytesIO(b"{}"))
    return buffer.getvalue()


def test_all_sources_give_the_same_pictures(pictures: Path, tmp_path: Path) -> None:
    folder = FolderSource(pictures)
    assert list(folder.names) == [
        "deep/er/p2.png",
        "deep/er/p5.png",
        "p0.png",
        "p1.png",
        "p3.png",
        "p4.png",
    ]
    environment = lmdb.open(str(tmp_path / "set.lmdb"), map_size=2**24)
    with environment.begin(write=True) as transaction:
        for index, name in enumerate(folder.names):
            transaction.put(name.encode(), folder.read(index))
    environment.close()
    names = list(folder.names)
    (tmp_path / "set-0.tar").write_bytes(_tar(pictures, names[:4]))
    (tmp_path / "set-1.tar").write_bytes(_tar(pictures, names[4:]))
    memory = fsspec.filesystem("memory")
    memory.pipe("/remote/all.tar", _tar(pictures, names))
    cached = FolderSource(pictures)
    cached.cache = DecodedCache(96 * 80 * 3 * 4).part(len(cached))  # four of the six
    others = [
        LmdbSource(tmp_path / "set.lmdb"),
        ShardSource([str(tmp_path / "set-{0..1}.tar")]),
        ShardSource(["memory://remote/all.tar"]),
        cached,
    ]
    for source in others:
        assert len(source) == len(folder)
        for _ in range(2):
            for index in range(len(folder)):
                assert source.key(index) == folder.key(index)
                assert source.area(index) == 96 * 80
                assert np.array_equal(source.decode(index), folder.decode(index))
    revived = pickle.loads(pickle.dumps(others[0]))  # as a spawned worker gets it
    assert np.array_equal(revived.decode(3), folder.decode(3))
    memory.rm("/remote", recursive=True)


def test_areas_come_from_headers_wherever_these_are(tmp_path: Path) -> None:
    """A JPEG may say its size after 64 KiB of metadata, a TIFF at its end."""
    picture = draw_picture(1, 300, 200)
    picture.save(tmp_path / "a.jpg", quality=98)
    # Two comments of 60,000 bytes: the size comes after them.
    plain = (tmp_path / "a.jpg").read_bytes()
    comment = b"\xff\xfe" + struct.pack(">H", 60_002) + bytes(60_000)
    (tmp_path / "b.jpg").write_bytes(plain[:2] + comment * 2 + plain[2:])
    Image.fromarray(np.asarray(picture)).save(tmp_path / "c.tif")
    picture.save(tmp_path / "d.png")
    (tmp_path / "e.png").write_bytes(b"nothing")
    (tmp_path / "f.png").write_bytes(b"")
    source = FolderSource(tmp_path)
    assert [source.area(index) for index in range(6)] == [60_000] * 4 + [0, 0]
    (tmp_path / "d.png").unlink()
    assert source.area(3) == 0


def test_crops_can_be_weighed_by_area(micro: Overrides, tmp_path: Path) -> None:
    """A picture of nine crops comes nine times as often as one of a single crop."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    Image.new("RGB", (120, 120), (255, 0, 0)).save(folder / "large.png")
    Image.new("RGB", (40, 40), (0, 255, 0)).save(folder / "small.png")
    Image.new("RGB", (20, 20), (0, 0, 255)).save(folder / "tiny.png")
    (folder / "torn.png").write_bytes(b"nothing")
    shown = {}
    for weight_by in ("picture", "area"):
        config = load_config(
            "tiny",
            micro(
                f"data.pictures={folder}",
                "data.pairs=[]",
                "data.pair_ratio=0",
                "data.batch_size=12",
                f"data.weight_by={weight_by}",
            ),
        )
        dataset = BatchDataset(config, open_sources(config.data.pictures), None, seed=0)
        batches = [dataset[number] for number in range(10)]
        crops = torch.cat([batch.crops for batch in batches])
        shown[weight_by] = [int((crops[:, c, 0, 0] == 255).sum()) for c in range(3)]
        torn = sum(len(batch.damaged) for batch in batches)
        times = 10 if weight_by == "area" else 30  # and now and then a torn one replaces it
        assert times <= torn < 2 * times
        revived = pickle.loads(pickle.dumps(dataset))  # as a spawned worker gets it
        assert torch.equal(revived[7].crops, batches[7].crops)
    # Of 120 crops, 90 are of the large one, 10 of each other one, and 10 replace the torn one.
    assert sum(shown["area"]) == 120
    assert 90 <= shown["area"][0] <= 100
    assert all(10 <= count <= 20 for count in shown["area"][1:])
    assert all(30 <= count <= 60 for count in shown["picture"])


def test_shard_members_can_be_chosen_by_extension(pictures: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pairs.tar", "w") as archive:
        for number in range(2):
            archive.add(pictures / "p0.png", f"a/{number}.gt.png")
            archive.add(pictures / "p1.png", f"a/{number}.lq.png")
    gt = ShardSource([str(tmp_path / "pairs.tar")], "gt.png")
    lq = ShardSource([str(tmp_path / "pairs.tar")], "lq.png")
    assert list(gt.names) == ["pairs.tar/a/0.gt.png", "pairs.tar/a/1.gt.png"]
    assert PairedSource(gt, lq, 1).matches == [(0, 0), (1, 1)]


def test_the_index_of_a_url_is_remembered_until_the_shard_changes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shard = tmp_path / "set.tar"
    shard.write_bytes(_tar(pictures, ["p0.png", "p1.png"]))
    first = ShardSource([shard.as_uri()])
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(tarfile, "open", pytest.fail)  # the headers are not read again
        again = ShardSource([shard.as_uri()])
    assert again.members == first.members
    assert np.array_equal(again.decode(1), FolderSource(pictures).decode(3))
    shard.write_bytes(_tar(pictures, ["p0.png", "p1.png", "p3.png"]))
    assert len(ShardSource([shard.as_uri()])) == 3


def test_ranges() -> None:
    assert expand_range("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert len(expand_range("{0..1}/{0..2}.tar")) == 6
    with pytest.raises(ConfigError, match="the last number is below the first"):
        expand_range("{5..1}.tar")


def test_missing_and_empty_sources_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist: check the path"):
        FolderSource(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no picture"):
        FolderSource(tmp_path)
    with pytest.raises(DataError, match=r"none\.lmdb does not exist"):
        LmdbSource(tmp_path / "none.lmdb")
    with pytest.raises(DataError, match=r"x\.tar does not exist"):
        ShardSource([str(tmp_path / "x.tar")])
    with pytest.raises(ConfigError, match="cannot be reached"):
        ShardSource(["nosuch://x.tar"])
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(DataError, match="not a readable tar"):
        ShardSource([str(tmp_path / "bad.tar")])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_eight_bit_rgb(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 5), 0x8000, dtype=np.uint16))
    else:
        image = Image.new("RGB", (5, 4), (204,) * 3).convert(mode, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="TIFF" if mode == "CMYK" else "PNG")
    picture = decode_picture(buffer.getvalue(), "x")
    assert picture.shape == (4, 5, 3)
    assert picture.dtype == np.uint8
    expected = {"I;16": 128, "1": 255}.get(mode, 204)
    assert abs(picture.astype(int) - expected).max() <= 1


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", exif=exif)
    assert decode_picture(buffer.getvalue(), "x").shape == (6, 4, 3)


def test_pairs_without_partner_or_of_wrong_size(pairs: Path, pictures: Path) -> None:
    gt, lq = FolderSource(pairs / "gt"), FolderSource(pairs / "lq")
    assert len(PairedSource(gt, lq, 2)) == 3
    with pytest.raises(DataError, match=r"3 of 3 pictures .* have no small version"):
        PairedSource(gt, FolderSource(pictures), 2)
    with pytest.raises(DataError, match=r"q0\.png: is 96x80, .* must be 192x160"):
        PairedSource(gt, lq, 4).decode(0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_worker_s_error_has_the_plain_message(
    micro_config: RunConfig, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "0.png").write_bytes(b"not a picture")
    dataset = _dataset(micro_config, tmp_path)
    dataset.config = dataset.config.model_copy(update={"workers": workers})
    with pytest.raises(DataError) as caught:
        next(batch_loader(dataset, 0, 4))
    assert str(caught.value).startswith("16 pictures in a row could not be read; the last: ")
    assert "Traceback" not in str(caught.value)


def _dataset(config: RunConfig, folder: Path) -> BatchDataset:
    source = open_sources(load_config("tiny", [f"data.pictures={folder}"]).data.pictures)
    data = config.data.model_copy(update={"pair_ratio": 0.0, "pairs": ()})
    return BatchDataset(config.model_copy(update={"data": data}), source, None, seed=0)


def test_a_damaged_picture_is_replaced_and_everything_else_stays(
    micro_config: RunConfig, pictures: Path, tmp_path: Path
) -> None:
    for index, source in enumerate(sorted(pictures.rglob("*.png"))):
        data = source.read_bytes()
        (tmp_path / f"{index}.png").write_bytes(data[: len(data) // 2] if index == 3 else data)
    whole = tmp_path / "whole"
    whole.mkdir()
    for index, source in enumerate(sorted(pictures.rglob("*.png"))):
        (whole / f"{index}.png").write_bytes(source.read_bytes())
    damaged, good = _dataset(micro_config, tmp_path), _dataset(micro_config, whole)
    # `whole` lies inside `tmp_path`, but its pictures come after the six above.
    assert damaged.pictures is not None
    damaged.pictures.names = damaged.pictures.names[:6]
    hit = 0
    for number in range(6):
        a, b = damaged[number], good[number]
        assert a.crops.shape == b.crops.shape
        again = damaged[number]
        assert torch.equal(a.crops, again.crops)  # the replacement is a function of the position
        assert a.damaged == again.damaged
        for slot in range(2):
            if not torch.equal(a.crops[slot], b.crops[slot]):
                hit += 1
        assert all("3.png: cannot be decoded" in message for message in a.damaged)
    assert hit == 2  # two epochs, one damaged picture


def test_a_folder_of_nothing_but_damage_ends_with_a_hint(
    micro_config: RunConfig, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"16 pictures in a row .*`realesrgan-train doctor`"):
        _dataset(micro_config, tmp_path)[0]


def test_open_source_by_kind(pictures: Path) -> None:
    source = load_config("tiny", [f"data.pictures={pictures}"]).data.pictures[0]
    assert isinstance(open_source(source), FolderSource)


def tiff(values: npt.NDArray[Any]) -> bytes:
    """An uncompressed TIFF of any NumPy type, [H, W] or [H, W, channels]; little-endian."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    content = values.tobytes()
    arrays = 8 + 2 + 12 * 11 + 4
    bits, formats = arrays, arrays + 2 * channels
    offset = formats + 2 * channels
    one = channels == 1
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, values.itemsize * 8 if one else bits),
        (259, 3, 1, 1),
        (262, 3, 1, 1 if one else 2),
        (273, 4, 1, offset),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(content)),
        (284, 3, 1, 1),
        (339, 3, channels, kind if one else formats),
    ]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    numbers = struct.pack(
        f"<{2 * channels}H", *[values.itemsize * 8] * channels, *[kind] * channels
    )
    return head + numbers + content


def test_floating_point_grey_of_0_to_1_is_read_right() -> None:
    ramp = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    picture = decode_picture(tiff(ramp), "ramp.tif")
    assert np.array_equal(picture, np.repeat((ramp * 255 + 0.5).astype(np.uint8)[..., None], 3, 2))
    beyond = decode_picture(tiff(ramp * np.float32(1.015) - np.float32(0.007)), "sharp.tif")
    assert [int(beyond.min()), int(beyond.max())] == [
        0,
        255,
    ]  # what sharpening overshoots is cut off


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 5), 200, np.float32), "floating-point picture with values from 0 to 200"),
        (np.full((4, 5), -0.5, np.float32), "values from -0.5 to 0"),
        (np.full((4, 5), np.nan, np.float32), "holds NaN or infinity"),
        (np.full((4, 5), 1e38, np.float32), r"values from 0 to 1e\+38; 0 to 1 can be read"),
        (np.full((4, 5), 200, np.int32), "signed or 32-bit integers, whose white is unknown"),
        (np.full((4, 5), 200, np.int16), "signed or 32-bit integers, whose white is unknown"),
        (np.full((4, 5, 3), 0.5, np.float32), "32-bit floating-point numbers in 3 channels,"),
        (np.full((4, 5), 0.5, np.float16), "16-bit floating-point numbers in 1 channel,"),
        (np.full((4, 5), 0.5, np.float64), "64-bit floating-point numbers in 1 channel,"),
    ],
)
def test_pictures_whose_white_is_unknown_are_refused_with_words(
    values: npt.NDArray[Any], message: str
) -> None:
    with pytest.raises(DataError, match=rf"^deep\.tif: .*{message}"):
        decode_picture(tiff(values), "deep.tif")


def test_pictures_and_pairs_share_one_cache(
    pictures: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FolderSourceConfig(kind="folder", path=pictures)
    given = PairSourceConfig(
        gt=FolderSourceConfig(kind="folder", path=pairs / "gt"),
        lq=FolderSourceConfig(kind="folder", path=pairs / "lq"),
    )
    plain_source, plain_pairs = open_sources([folder]), open_pairs([given], 2)
    assert plain_source is not None
    assert plain_pairs is not None
    cache = DecodedCache(1 << 20)
    source, paired = open_sources([folder], cache), open_pairs([given], 2, cache)
    assert source is not None
    assert paired is not None
    first = paired.decode(0), source.decode(0)
    used = cache.used
    assert used == sum(picture.nbytes for picture in (*first[0], first[1]))
    monkeypatch.setattr(sources, "decode_picture", pytest.fail)  # none is decoded again
    for read, expected in zip(paired.decode(0), first[0], strict=True):
        assert np.array_equal(read, expected)
        assert not read.flags.writeable
    assert np.array_equal(source.decode(0), first[1])
    monkeypatch.undo()
    for read, expected in zip(paired.decode(0), plain_pairs.decode(0), strict=True):
        assert np.array_equal(read, expected)
    assert np.array_equal(source.decode(0), plain_source.decode(0))
    assert cache.used == used
    small = DecodedCache(first[1].nbytes)  # holds one picture, which stays
    source, paired = open_sources([folder], small), open_pairs([given], 2, small)
    assert source is not None
    assert paired is not None
    source.decode(0)
    paired.decode(0)
    assert small.used == first[1].nbytes
    decoded: list[str] = []

    def noted(data: bytes, name: str, channels: int) -> npt.NDArray[np.uint8]:
        decoded.append(name)
        return decode_picture(data, name, channels)

    monkeypatch.setattr(sources, "decode_picture", noted)
    source.decode(0)
    assert decoded == []
    paired.decode(0)
    assert len(decoded) == 2
