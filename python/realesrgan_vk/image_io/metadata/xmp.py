"""Edits an XMP packet in place: what is not edited keeps its bytes (ISO 16684-1).

The packet is parsed by expat, which reports where each element begins; properties are identified
by namespace, not by prefix.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from xml.parsers import expat

Name = tuple[str, str]
"""A property's namespace and its local name."""

Changes = Mapping[Name, Callable[[str], str | None]]
"""For each property, a function of its value; the property is removed where it returns None."""

PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
MORE: Name = ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP")
"""The property of a JPEG file's packet that names its extended packet."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_FRAMES = (_RDF, "adobe:ns:meta/", "http://www.w3.org/XML/1998/namespace", "")
_THUMBNAILS: Name = ("http://ns.adobe.com/xap/1.0/", "Thumbnails")
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_CONTAINER = "http://ns.google.com/photos/1.0/container/"
GAIN_MAP, VIDEO, DEPTH, FURTHER = "gain map", "video", "depth map", "further picture"
"""Parts of a file that a packet can announce and a result does not contain."""

DAMAGED = "damaged"
"""Stands for a packet that cannot be parsed."""

# Namespaces, or their beginnings, in which all properties are announcements.
_ANNOUNCING = {
    "http://ns.adobe.com/hdr-gain-map/": GAIN_MAP,
    "http://ns.apple.com/HDRGainMap/": GAIN_MAP,
    _CONTAINER: FURTHER,
    "http://ns.google.com/photos/1.0/depthmap/": DEPTH,
    "http://ns.google.com/photos/1.0/image/": FURTHER,
    "http://ns.google.com/photos/1.0/audio/": FURTHER,
    "http://ns.google.com/photos/dd/": DEPTH,
}
_OF_ITEMS = {"Primary": "", "GainMap": GAIN_MAP, "MotionPhoto": VIDEO, "Depth": DEPTH}
_OF_PANORAMAS = (
    ("FullPanoWidthPixels", "CroppedAreaLeftPixels"),
    ("FullPanoHeightPixels", "CroppedAreaTopPixels"),
)
_PIXELS, _COUNT = re.compile(r"[1-9]\d{0,8}"), re.compile(r"\d{1,9}")
_MOST_DEPTH = 200
_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")


class DamagedError(ValueError):
    """The packet is no XML, or has a document type, or is nested too deep."""


@dataclass(slots=True)
class Edited:
    """An edited packet.

    Attributes:
        packet: Its bytes.
        announced: What it announced (`GAIN_MAP` and so on); these properties are removed.
        properties: How many properties are left.
        has_more: Whether it names an extended packet.
    """

    packet: bytes
    announced: set[str] = field(default_factory=set)
    properties: int = 0
    has_more: bool = False


def edited(packet: bytes, values: Changes) -> Edited:
    """Remove thumbnails and announcements, and change `values`.

    Args:
        packet: UTF-8, or UTF-16 with a byte order mark, which becomes UTF-8.
        values: The properties to change.

    Raises:
        DamagedError: The packet cannot be parsed.
    """
    if packet[:2] in (b"\xfe\xff", b"\xff\xfe"):
        try:
            packet = packet.decode("utf-16").encode("utf-8")
        except UnicodeDecodeError as error:
            raise DamagedError(str(error)) from error
    editor = _Editor(packet, values)
    try:
        editor.run()
    except (expat.ExpatError, RecursionError, UnicodeDecodeError) as error:
        raise DamagedError(str(error)) from error
    return editor.result()


def panorama_for(packet: bytes, width: int, height: int) -> Changes:
    """The changes that scale the pixel counts of a panorama to a picture of this size.

    Raises:
        DamagedError: The packet cannot be parsed.
    """
    if PANORAMA.encode() not in packet:
        return {}
    old: dict[str, str] = {}
    names = ("CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels")
    edited(packet, {(PANORAMA, name): partial(_noted, old, name) for name in names})
    changes: dict[Name, Callable[[str], str | None]] = {}
    for name, side, others in zip(names, (width, height), _OF_PANORAMAS, strict=True):
        if _PIXELS.fullmatch(old.get(name, "")):
            for other in (name, *others):
                changes[PANORAMA, other] = partial(_scaled, int(old[name]), side)
    return changes


def _noted(found: dict[str, str], name: str, value: str) -> str:
    found[name] = value
    return value


def _scaled(old_side: int, new_side: int, value: str) -> str:
    return str(round(int(value) * new_side / old_side)) if _COUNT.fullmatch(value) else value


@dataclass(slots=True)
class _Element:
    name: Name
    start: int
    content: int  # where it begins
    is_empty: bool
    declared: list[str]  # prefixes; the empty one is the default namespace's
    has_children: bool = False


class _Editor:
    def __init__(self, packet: bytes, values: Changes) -> None:
        self._packet = packet
        self._values = values
        self._open: list[_Element] = []
        self._namespaces: dict[str, list[str]] = {}  # by prefix, the innermost last
        self._dropping = 0  # depth of the element that is removed; 0: none
        self._edits: list[tuple[int, int, bytes]] = []
        self._declared: list[tuple[str, int, int]] = []
        self._used: set[str] = set()
        self._cut: set[str] = set()
        self._result = Edited(packet)

    def run(self) -> None:
        parser = expat.ParserCreate()
        self._parser = parser
        parser.buffer_text = True
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.Parse(self._packet.rstrip(b"\0"), True)

    def result(self) -> Edited:
        unused = self._cut - self._used
        edits = self._edits + [
            (start, end, b"") for uri, start, end in self._declared if uri in unused
        ]
        parts, position = [], 0
        for start, end, new in sorted(edits):
            parts += [self._packet[position:start], new]
            position = end
        self._result.packet = b"".join([*parts, self._packet[position:]])
        return self._result

    def _refuse_doctype(self, *_: object) -> None:
        raise DamagedError("XMP has no document type")

    def _begin(self, name: str, _: dict[str, str]) -> None:
        if len(self._open) >= _MOST_DEPTH:
            raise DamagedError("nested too deep")
        start = self._parser.CurrentByteIndex
        position = start + 1 + len(name.encode("utf-8"))
        attributes = list(self._attributes(position))
        declarations = {
            attribute.partition(":")[2]: value
            for attribute, value, _, _ in attributes
            if attribute == "xmlns" or attribute.startswith("xmlns:")
        }
        for prefix, uri in declarations.items():
            self._namespaces.setdefault(prefix, []).append(uri)
        end = self._packet.index(b">", attributes[-1][3] if attributes else position) + 1
        if self._open:
            self._open[-1].has_children = True
        element = _Element(
            self._resolved(name, is_attribute=False),
            start,
            end,
            self._packet[end - 2 : end] == b"/>",
            list(declarations),
        )
        self._open.append(element)
        if not self._dropping and self._is_dropped(element.name):
            self._dropping = len(self._open)
        if self._dropping:
            for raw, value, *_place in attributes:
                self._note_value(self._resolved(raw, is_attribute=True), value.encode("utf-8"))
        else:
            self._use(element.name)
            self._edit_attributes(attributes)

    def _end(self, _: str) -> None:
        depth = len(self._open)
        element = self._open.pop()
        for prefix in element.declared:
            self._namespaces[prefix].pop()
        position = self._parser.CurrentByteIndex
        if self._dropping == depth:
            end = element.content if element.is_empty else self._packet.index(b">", position) + 1
            self._edits.append((element.start, end, b""))
            self._dropping = 0
        elif self._dropping:
            self._note_value(element.name, self._packet[element.content : position])
        elif element.name in self._values and not element.has_children and not element.is_empty:
            value = self._packet[element.content : position].decode("utf-8")
            new = self._values[element.name](value.strip())
            if new is None:
                end = self._packet.index(b">", position) + 1
                self._edits.append((element.start, end, b""))
                self._result.properties -= 1
            elif new != value:
                self._edits.append((element.content, position, new.encode("utf-8")))

    def _attributes(self, position: int) -> Iterator[tuple[str, str, int, int]]:
        """Raw name and value of each attribute, and where it begins and ends."""
        while match := _ATTRIBUTE.match(self._packet, position):
            yield match[1].decode("utf-8"), match[2][1:-1].decode("utf-8"), *match.span()
            position = match.end()

    def _edit_attributes(self, attributes: list[tuple[str, str, int, int]]) -> None:
        for raw, value, start, end in attributes:
            if raw == "xmlns" or raw.startswith("xmlns:"):
                self._declared.append((value, start, end))
                continue
            name = self._resolved(raw, is_attribute=True)
            if self._is_dropped(name):
                self._edits.append((start, end, b""))
                continue
            change = self._values.get(name)
            new = change(value) if change is not None else value
            if new is None:
                self._cut.add(name[0])
                self._edits.append((start, end, b""))
                self._result.has_more |= name == MORE
                continue
            self._use(name)
            if new != value:
                self._edits.append((end - 1 - len(value.encode("utf-8")), end - 1, new.encode()))

    def _use(self, name: Name) -> None:
        self._used.add(name[0])
        self._result.has_more |= name == MORE
        self._result.properties += name[0] not in _FRAMES and name != MORE

    def _is_dropped(self, name: Name) -> bool:
        """Whether to remove it; what it announces is noted."""
        announced = _announced(name)
        if announced is not None:
            self._result.announced.add(announced)
        elif name != _THUMBNAILS:
            return False
        self._cut.add(name[0])
        return True

    def _note_value(self, name: Name, value: bytes) -> None:
        """Note the kind of an item in a container."""
        self._cut.add(name[0])
        if name[0].startswith(_CONTAINER) and name[1] == "Semantic":
            words = value.decode("utf-8", "replace").strip()
            self._result.announced -= {FURTHER}
            self._result.announced |= {_OF_ITEMS.get(words, FURTHER)} - {""}

    def _resolved(self, raw: str, *, is_attribute: bool) -> Name:
        prefix, colon, local = raw.rpartition(":")
        if is_attribute and not colon:
            return "", raw
        bound = self._namespaces.get(prefix)
        return (bound[-1] if bound else prefix), local


def _announced(name: Name) -> str | None:
    uri, local = name
    if uri == _CAMERA:
        return VIDEO if local.startswith(("MotionPhoto", "MicroVideo")) else None
    return next((words for known, words in _ANNOUNCING.items() if uri.startswith(known)), None)
