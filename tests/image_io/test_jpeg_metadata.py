"""IPTC, comments, gain maps, motion photographs and further pictures of JPEG files."""

import struct
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from picture_files import chunks_of, saved
from PIL import Image

from realesrgan_vk import ImageError, image_io
from realesrgan_vk.image_io.containers import jpeg_segments, photoshop
from realesrgan_vk.image_io.formats import AVIF, GIF, HEIC, JPEG, PNG, TIFF, WEBP, Format
from realesrgan_vk.image_io.metadata import xmp
from realesrgan_vk.image_io.read import decode
from realesrgan_vk.imaging.picture import Frame, Picture

pillow_heif.register_heif_opener()
Photo = Callable[..., NDArray[np.uint8]]
IPTC = b"\x1c\x02\x05\x00\x05Title\x1c\x02\x19\x00\x03key"
GOOGLE = "http://ns.google.com/photos/1.0/"
VIDEO = bytes([0, 0, 0, 24]) + b"ftypmp42" + bytes(4000)


def block(number: int, content: bytes, name: bytes = b"") -> bytes:
    pascal = bytes([len(name)]) + name
    pascal += bytes(len(pascal) % 2)
    size = struct.pack(">I", len(content))
    return b"8BIM" + struct.pack(">H", number) + pascal + size + content + bytes(len(content) % 2)


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg(rgb: NDArray[np.uint8], *segments: bytes) -> bytes:
    data = saved(Image.fromarray(rgb), "JPEG")
    return data[:2] + b"".join(segments) + data[2:]


def resources_of(data: bytes) -> bytes:
    """APP13's of a JPEG file, put together."""
    parts, position = [], 2
    while data[position + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, position + 2)
        content = data[position + 4 : position + 2 + size]
        if data[position + 1] == 0xED:
            assert content.startswith(b"Photoshop 3.0\0")
            parts.append(content[14:])
        position += 2 + size
    return b"".join(parts)


def packet(properties: str, inside: str = "", namespaces: dict[str, str] | None = None) -> bytes:
    declared = "".join(f' xmlns:{name}="{uri}"' for name, uri in (namespaces or {}).items())
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about=""{declared} {properties}>{inside}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def of_xmp(content: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + content)


def test_iptc_and_comments_are_kept(rgb: NDArray[np.uint8]) -> None:
    resources = block(0x0404, IPTC) + block(0x03ED, bytes(16), b"resolution")
    comments = (b"first", "zweiter, größer".encode(), b"\xe9 in Latin-1")
    parts = [segment(0xFE, comment) for comment in comments]
    data = jpeg(rgb, segment(0xED, b"Photoshop 3.0\0" + resources), *parts)
    picture = decode(data)
    assert (picture.metadata.photoshop, picture.metadata.comments) == (resources, comments)
    out, notes = image_io.encode(picture, JPEG)
    assert notes == ()
    assert resources_of(out) == resources
    assert all(part in out for part in parts)
    tiff, notes = image_io.encode(picture, TIFF)
    assert notes == ("TIFF holds no comments; they are dropped",)
    with tifffile.TiffFile(BytesIO(tiff)) as file:
        tags = file.pages.first.tags
        assert (tags[34377].value, tags[33723].value) == (resources, IPTC)
    png, notes = image_io.encode(picture, PNG)
    assert notes == ()
    texts = [content for _, content in chunks_of(png) if content.startswith(b"Comment\0")]
    assert texts == [
        b"Comment\0first",
        b"Comment\0\0\0\0\0" + comments[1],
        b"Comment\0" + comments[2],
    ]
    assert decode(png).metadata.photoshop == resources
    gif, notes = image_io.encode(picture, GIF)
    assert notes == ("GIF holds no IPTC data; it is dropped",)
    assert decode(gif).metadata.comments == comments
    for known in (WEBP, HEIC):
        _, notes = image_io.encode(picture, known)
        assert notes == tuple(
            f"{known.name} holds no {words} dropped"
            for words in ("IPTC data; it is", "comments; they are")
        )
    stripped, _ = image_io.encode(picture, JPEG, image_io.WriteOptions(strip=True))
    assert b"Title" not in stripped
    assert b"first" not in stripped


def test_iptc_of_more_than_a_segment_is_split(rgb: NDArray[np.uint8]) -> None:
    resources = block(0x0404, IPTC) + block(0x0BB7, bytes(150_000))
    step = 60_001
    parts = [segment(0xED, b"Photoshop 3.0\0" + resources[start : start + step])
             for start in range(0, len(resources), step)]  # fmt: skip
    picture = decode(jpeg(rgb, *parts))
    assert picture.metadata.photoshop == resources
    assert resources_of(image_io.encode(picture, JPEG)[0]) == resources


def test_thumbnails_and_copies_leave_the_resources(rgb: NDArray[np.uint8]) -> None:
    kept = block(0x0404, IPTC), block(0x0425, bytes(16))
    content = packet('photoshop:City="Ulm"', namespaces={"photoshop": "http://ns.adobe.com/p/"})
    resources = kept[0] + block(0x040C, b"a small old picture") + block(0x0424, content) + kept[1]
    picture = decode(jpeg(rgb, segment(0xED, b"Photoshop 3.0\0" + resources)))
    assert picture.metadata.photoshop == b"".join(kept)
    assert picture.metadata.xmp == content, "XMP that is nowhere else"


@pytest.mark.parametrize("kind", ["B", "I"])
def test_iptc_in_tiff_is_read_as_bytes_and_as_numbers(rgb: NDArray[np.uint8], kind: str) -> None:
    padded = IPTC + bytes(-len(IPTC) % 4)
    values = padded if kind == "B" else struct.unpack(f"<{len(padded) // 4}I", padded)
    out = BytesIO()
    tags = [(33723, kind, len(values), values, True)]
    tifffile.imwrite(out, rgb, photometric="rgb", extratags=tags, byteorder="<")
    resources = decode(out.getvalue()).metadata.photoshop
    assert resources is not None
    assert photoshop.iptc(resources) == padded


def ultra_hdr(prefix: str = "Container") -> bytes:
    names = {
        "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
        prefix: GOOGLE + "container/",
        "Item": GOOGLE + "container/item/",
        "dc": "http://purl.org/dc/elements/1.1/",
    }
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><{prefix}:Item Item:Semantic="{kind}"/></rdf:li>'
        for kind in ("Primary", "GainMap")
    )
    inside = f"<{prefix}:Directory><rdf:Seq>{items}</rdf:Seq></{prefix}:Directory>"
    return packet('hdrgm:Version="1.0" dc:format="image/jpeg"', inside, names)


GAIN_MAP_NOTE = "the gain map (Ultra HDR) is dropped: the result has standard dynamic range"
VIDEO_NOTE = "the video (motion photo) is dropped"
CAMERA = {"GCamera": GOOGLE + "camera/"}
MOTION = packet('GCamera:MotionPhoto="1" GCamera:BurstID="7"', namespaces=CAMERA)
MICRO = packet("", "<GCamera:MicroVideo>1</GCamera:MicroVideo>", CAMERA)


@pytest.mark.parametrize(
    ("content", "notes", "left"),
    [
        (ultra_hdr(), (GAIN_MAP_NOTE,), b'dc:format="image/jpeg"'),
        (ultra_hdr("other"), (GAIN_MAP_NOTE,), b'dc:format="image/jpeg"'),
        (MOTION, (VIDEO_NOTE,), b'GCamera:BurstID="7"'),
        (MICRO, (VIDEO_NOTE,), b"rdf:Description"),
        (
            packet('d:Data="AAAA"', namespaces={"d": GOOGLE + "depthmap/"}),
            ("the depth map is dropped",),
            b"rdf:Description",
        ),
    ],
)
def test_what_a_file_announces_and_a_result_lacks_leaves_xmp(
    rgb: NDArray[np.uint8], content: bytes, notes: tuple[str, ...], left: bytes
) -> None:
    picture = decode(jpeg(rgb, of_xmp(content)))
    assert picture.notes == notes
    edited = picture.metadata.xmp
    assert edited is not None
    ElementTree.fromstring(edited)
    assert left in edited
    for words in (b"hdrgm", b"hdr-gain-map", b"ontainer", b"GainMap", b"Motion", b"MicroVideo"):
        assert words not in edited, edited
    for known in (JPEG, PNG, TIFF, WEBP):
        assert decode(image_io.encode(picture, known)[0]).metadata.xmp == edited


def test_what_follows_the_picture_is_said(rgb: NDArray[np.uint8]) -> None:
    plain, small = jpeg(rgb), jpeg(rgb[:8, :8])
    assert decode(plain + VIDEO).notes == (VIDEO_NOTE,)
    assert decode(plain + b"something else").notes == (
        "the 14 bytes after the picture are dropped",
    )
    assert decode(plain + bytes(100)).notes == (), "filling"
    gain_map = segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4))
    assert decode(jpeg(rgb, gain_map) + small).notes == (GAIN_MAP_NOTE,)
    credentials = segment(0xEB, b"JP\0\1jumbc2pa")
    notes = ("the content credentials (C2PA) vouch for the old pixels and are dropped",)
    assert decode(jpeg(rgb, credentials)).notes == notes


@pytest.mark.parametrize("count", [2, 3])
def test_further_pictures_of_a_file_are_said(rgb: NDArray[np.uint8], count: int) -> None:
    image = Image.fromarray(rgb)
    data = saved(image, "MPO", save_all=True, append_images=[image] * (count - 1))
    picture = decode(data)
    assert picture.notes == (f"only the first of {count} pictures is used",)
    assert b"MPF\0" not in image_io.encode(picture, JPEG)[0]


def extended(content: bytes, step: int = 40_000) -> list[bytes]:
    head = b"http://ns.adobe.com/xmp/extension/\0" + md5(content).hexdigest().upper().encode()
    return [segment(0xE1, head + struct.pack(">II", len(content), at) + content[at : at + step])
            for at in range(0, len(content), step)]  # fmt: skip


def naming(content: bytes) -> bytes:
    name = md5(content).hexdigest().upper()
    note = {"xmpNote": "http://ns.adobe.com/xmp/note/"}
    return packet(f'xmpNote:HasExtendedXMP="{name}"', namespaces=note)


def test_extended_xmp_is_kept_in_jpeg(rgb: NDArray[np.uint8]) -> None:
    long = "x" * 90_000
    more = packet(f'dc:source="{long}" GCamera:MotionPhoto="1"', namespaces=CAMERA | {"dc": "d:"})
    picture = decode(jpeg(rgb, of_xmp(naming(more)), *extended(more)[::-1]))
    assert picture.notes == (VIDEO_NOTE,)
    left = picture.metadata.more_xmp
    assert left is not None
    assert long.encode() in left
    assert b"Motion" not in left
    again = decode(image_io.encode(picture, JPEG)[0])
    assert again.metadata.more_xmp == left
    assert again.metadata.xmp == naming(left), "its name is the checksum of what is left"
    png, notes = image_io.encode(picture, PNG)
    assert notes == ("PNG holds no extended XMP data; it is dropped",)
    assert b"HasExtendedXMP" not in png


def test_extended_xmp_of_nothing_but_a_depth_map_goes(rgb: NDArray[np.uint8]) -> None:
    more = packet('d:Data="' + "A" * 90_000 + '"', namespaces={"d": GOOGLE + "depthmap/"})
    picture = decode(jpeg(rgb, of_xmp(naming(more)), *extended(more)))
    assert picture.notes == ("the depth map is dropped",)
    assert picture.metadata.more_xmp is None
    assert b"HasExtendedXMP" not in image_io.encode(picture, JPEG)[0]
    lacking = decode(jpeg(rgb, of_xmp(naming(more)), *extended(more)[1:]))
    assert lacking.metadata.more_xmp is None


@pytest.mark.parametrize(
    "damaged",
    [
        b"<x:xmpmeta>",
        b"no XML",
        b"<a>" * 300 + b"</a>" * 300,
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"\xff\xfe<",
    ],
)
def test_damaged_xmp_is_dropped_and_said(rgb: NDArray[np.uint8], damaged: bytes) -> None:
    picture = decode(jpeg(rgb, of_xmp(damaged)))
    assert picture.metadata.xmp is None
    assert picture.notes == ("the XMP data is damaged and is dropped",)


def test_xmp_is_edited_in_attributes_and_elements_of_any_prefix() -> None:
    inside = "<t:ImageWidth>24</t:ImageWidth><t:Make>A &amp; B</t:Make>"
    source = packet("t:Orientation='6'", inside, {"t": "http://ns.adobe.com/tiff/1.0/"})
    changes: xmp.Changes = {
        (xmp.TIFF, "Orientation"): lambda _: "1",
        (xmp.TIFF, "ImageWidth"): lambda _: "96",
    }
    expected = source.replace(b"'6'", b"'1'").replace(b">24<", b">96<")
    assert xmp.edited(source, changes).packet == expected
    assert xmp.edited(source, {}).packet is source or xmp.edited(source, {}).packet == source
    wide = source.decode().encode("utf-16")
    assert xmp.edited(wide, changes).packet == expected


def progressive(rgb: NDArray[np.uint8], scans: int) -> bytes:
    """A progressive file whose last scan is repeated: what decoders accept, slowly."""
    data = saved(Image.fromarray(rgb), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:-2] + data[start:-2] * scans + data[-2:]


@pytest.mark.parametrize("marker", [b"\xff", b"\xff\xfe\0\2"])
def test_a_flood_of_markers_is_refused_at_once(rgb: NDArray[np.uint8], marker: bytes) -> None:
    data = jpeg(rgb)
    assert decode(data[:2] + marker * 1000 + data[2:]).width == rgb.shape[1]
    flood = data[:2] + marker * 1_000_000 + data[2:]
    started = time.perf_counter()
    with pytest.raises(ImageError, match="more than 65536 markers before the picture"):
        decode(flood)
    assert time.perf_counter() - started < 2


def test_a_scan_bomb_is_refused_at_once(photo: Photo) -> None:
    whole = photo(256, 256)
    assert decode(progressive(whole, 0)).width == 256
    bomb = progressive(whole, 300)
    started = time.process_time()
    with pytest.raises(ImageError, match=f"more than {jpeg_segments.MOST_SCANS} scans"):
        decode(bomb)
    assert time.process_time() - started < 0.5
    assert decode(bomb, max_pixels=None).width == 256


@pytest.mark.parametrize("frames", [1, 3])
def test_gif_holds_xmp_and_comments(rgb: NDArray[np.uint8], frames: int) -> None:
    """In Adobe's application extension; readers of blocks pass it."""
    images = [Image.fromarray(np.roll(rgb, 3 * index, 0)) for index in range(frames)]
    more = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    plain = decode(saved(images[0], "GIF", comment=b"c" * 600, **more))
    assert plain.metadata.comments == (b"c" * 600,)
    content = packet('p:City="Ulm"', namespaces={"p": "http://ns.adobe.com/photoshop/1.0/"})
    carried = replace(plain.metadata, xmp=content)
    data, notes = image_io.encode(replace(plain, metadata=carried), GIF)
    assert notes == ()
    again = decode(data)
    assert again.metadata == carried
    assert len(again.frames) == frames
    with Image.open(BytesIO(data)) as image:
        assert getattr(image, "n_frames", 1) == frames
        assert image.info["comment"] == b"c" * 600
    assert decode(image_io.encode(again, PNG)[0]).metadata.xmp == content


@pytest.mark.parametrize("known", [HEIC, AVIF], ids=lambda known: known.name)
def test_gain_maps_and_videos_of_other_containers_are_said(
    rgb: NDArray[np.uint8], known: Format
) -> None:
    """The boxes are told by their names only, so that names in a free box do for them."""
    data, _ = image_io.encode(Picture((Frame(rgb),), "colour", 8), known)
    for name, note in ((b"tmap", GAIN_MAP_NOTE), (b"mpvd", VIDEO_NOTE)):
        assert decode(data + struct.pack(">I4s", 12, b"free") + name).notes == (note,)
    kind = "AVIF" if known is AVIF else "HEIF"
    assert decode(saved(Image.fromarray(rgb), kind, xmp=MOTION)).notes == (VIDEO_NOTE,)


def test_the_pixel_counts_of_a_panorama_follow(rgb: NDArray[np.uint8]) -> None:
    names = {"G": GOOGLE + "panorama/"}
    counts = 'G:FullPanoWidthPixels="48" G:FullPanoHeightPixels="24" G:CroppedAreaTopPixels="2"'
    inside = (
        "<G:CroppedAreaImageWidthPixels>24</G:CroppedAreaImageWidthPixels>"
        "<G:CroppedAreaImageHeightPixels>20</G:CroppedAreaImageHeightPixels>"
        "<G:CroppedAreaLeftPixels>12</G:CroppedAreaLeftPixels>"
    )
    picture = decode(jpeg(rgb, of_xmp(packet(counts, inside, names))))
    assert picture.metadata.xmp == packet(counts, inside, names)
    large = replace(picture, frames=(Frame(rgb.repeat(4, 0).repeat(2, 1)),))
    edited = decode(image_io.encode(large, JPEG)[0]).metadata.xmp
    expected = counts.replace("48", "96").replace("24", "96").replace('"2"', '"8"')
    inside = inside.replace(">24<", ">48<").replace(">20<", ">80<").replace(">12<", ">24<")
    assert edited == packet(expected, inside, names)
