"""What a shared object leaves to others: names without a definition, read from its ELF file.

A name of the C library carries its version (memcpy@GLIBC_2.14), which the linker has found in the
library; auditwheel compares versions with the platform's. A name without version is one that no
library was asked for. https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html describes the
format.
"""

from __future__ import annotations

import dataclasses
import struct

_DYNAMIC_SYMBOLS = 11  # SHT_DYNSYM
_VERSIONS = 0x6FFFFFFF  # SHT_GNU_versym
_UNDEFINED = 0  # SHN_UNDEF
_WEAK = 2  # STB_WEAK
_FIRST_VERSION = 2  # 0 is a local name, 1 a global one without version
_HIDDEN = 0x8000


@dataclasses.dataclass(frozen=True)
class _Section:
    kind: int
    offset: int
    size: int
    link: int  # of symbols: the number of the section with their names


def _sections(data: bytes) -> list[_Section]:
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = []
    for number in range(count):
        _, kind, _, _, offset, length, link, _, _, _ = struct.unpack_from(
            "<IIQQQQIIQQ", data, table + number * size
        )
        sections.append(_Section(kind, offset, length, link))
    return sections


def unanswered_symbols(data: bytes) -> list[str]:
    """Names that a shared object needs, without those that have a version or may be missing (weak).

    Args:
        data: The file, of 64 bits and little-endian, as those of x86-64 and AArch64 are.

    Raises:
        ValueError: It is no such file.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("this is no ELF file of 64 bits, little-endian")
    sections = _sections(data)
    versions = next((section for section in sections if section.kind == _VERSIONS), None)
    names = []
    for symbols in (section for section in sections if section.kind == _DYNAMIC_SYMBOLS):
        strings = sections[symbols.link].offset
        for number in range(1, symbols.size // 24):  # the first one is none
            name, info, _, section, _, _ = struct.unpack_from(
                "<IBBHQQ", data, symbols.offset + number * 24
            )
            version = 1
            if versions is not None:
                (version,) = struct.unpack_from("<H", data, versions.offset + number * 2)
            answered = version & ~_HIDDEN >= _FIRST_VERSION
            if section == _UNDEFINED and info >> 4 != _WEAK and not answered:
                start = strings + name
                names.append(data[start : data.index(b"\0", start)].decode())
    return names
