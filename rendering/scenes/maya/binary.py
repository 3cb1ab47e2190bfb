"""Maya binary: chunks of IFF, with sizes of 32 bits (FOR4) or 64 bits (FOR8, since Maya 2014).

    FOR8 Maya  ( FOR8 HEAD (header fields)  FOR8 FREF (references)  FOR8 <node type> (CREA, attributes)
                 FOR8 SLCT (SLCT, attributes)  LIS8 CONS (connections) )

A header is tag, size (FOR4) or tag, four bytes of flags, size (FOR8). A form's type, four bytes, is part of its
size. A leaf is padded to four (eight) bytes, counted from where its data begin; a form is not.
Nodes are named by the number of their type, which a plug-in chooses: only those of Maya are known here, others
are judged by their attributes.
"""

import struct
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

from rendering.scenes.errors import SceneError
from rendering.scenes.maya.facts import Facts
from rendering.scenes.texts import decode

Bytes = bytes | mmap

FORMS = (b"FOR4", b"FOR8", b"LIS4", b"LIS8", b"FORM", b"LIST", b"CAT4", b"CAT8", b"PRO4", b"PRO8")
LISTS = (b"LIS4", b"LIS8", b"LIST")
NODE_TYPES = {
    b"DCAM": "camera",
    b"RNDL": "renderLayer",
    b"SCRP": "script",
    b"RTFT": "file",
    b"REFN": "reference",
}
UNITS = {
    "mm": "millimeter", "cm": "centimeter", "m": "meter", "km": "kilometer", "in": "inch", "ft": "foot",
    "yd": "yard", "mi": "mile", "deg": "degree", "rad": "radian", "min": "minute", "sec": "second",
}  # fmt: skip
HEADER_FIELDS = {b"LUNI": "linear", b"AUNI": "angle", b"TUNI": "time"}
SCENE_SUFFIXES = (".ma", ".mb", ".fbx", ".abc", ".obj", ".usd", ".usda", ".usdc", ".dae")
MAX_LEAF = 1 << 14  # bytes; no path is longer
MAX_DEPTH = 4
OLD_TICKS = 6000  # a second, where the header does not say


class Chunk(NamedTuple):
    tag: bytes
    kind: bytes  # the type of a form, empty for a leaf
    start: int
    end: int


def is_binary(content: Bytes) -> bool:
    wide = content[:4] == b"FOR8"
    kind = content[16:20] if wide else content[8:12]
    return content[:4] in (b"FOR4", b"FOR8") and kind == b"Maya"


def read(content: Bytes, facts: Facts) -> None:
    """Tell `facts` what the scene says. Raises SceneError (scene_truncated, scene_damaged)."""
    BinaryReader(content, facts).read()


class BinaryReader:
    def __init__(self, content: Bytes, facts: Facts) -> None:
        self.content, self.facts = content, facts
        facts.format = "binary"
        self.is_wide = content[:4] == b"FOR8"
        self.header = struct.Struct(">4s4xQ" if self.is_wide else ">4sI")
        self.padding = 8 if self.is_wide else 4

    def read(self) -> None:
        (root,) = self.chunks(0, min(len(self.content), self.header.size + 4), is_root=True)
        self.section(root, 0)

    def section(self, parent: Chunk, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise SceneError("scene_damaged", "the scene's parts are nested too deeply")
        for chunk in self.chunks(parent.start, parent.end):
            if not chunk.kind:
                continue
            if chunk.tag in LISTS or chunk.kind == b"Maya":
                if chunk.kind != b"CONS":
                    self.section(chunk, depth + 1)
            elif chunk.kind == b"HEAD":
                self.head(chunk)
            elif chunk.kind in (b"FREF", b"FRDI"):
                self.reference(chunk)
            else:
                self.node(chunk)

    def chunks(self, position: int, end: int, *, is_root: bool = False) -> Iterator[Chunk]:
        """The chunks between two positions."""
        content, size_of_header, length = self.content, self.header.size, len(self.content)
        while position < end:
            if position + size_of_header > end:
                if content[position:end].strip(b"\0"):
                    raise SceneError("scene_truncated", "the scene ends in the middle of a part")
                return
            tag, size = self.header.unpack_from(content, position)
            start = position + size_of_header
            stop = start + size
            if stop > (length if is_root else end):
                if stop > length:
                    raise SceneError("scene_truncated", "the scene ends before its last part does")
                raise SceneError("scene_damaged", "a part of the scene is longer than the part it lies in")
            if tag in FORMS:
                if size < 4:
                    raise SceneError("scene_damaged", "a part of the scene has no type")
                yield Chunk(tag, content[start : start + 4], start + 4, stop)
                position = stop if self.is_wide else stop + -size % 4
            else:
                yield Chunk(tag, b"", start, stop)
                position = stop + -size % self.padding
            if is_root:
                return

    def data(self, chunk: Chunk) -> bytes:
        return self.content[chunk.start : min(chunk.end, chunk.start + MAX_LEAF)]

    def head(self, form: Chunk) -> None:
        for chunk in self.chunks(form.start, form.end):
            parts = self.data(chunk).split(b"\0")
            first = decode(parts[0])
            if chunk.tag == b"VERS":
                self.facts.requires("maya", first)
            elif chunk.tag in HEADER_FIELDS:
                self.facts.unit(HEADER_FIELDS[chunk.tag], UNITS.get(first, first))
            elif chunk.tag == b"TDUR" and first.isdecimal():
                self.facts.ticks = int(first[:18]) or OLD_TICKS
            elif chunk.tag == b"PLUG" and len(parts) > 1:
                self.facts.requires(first, decode(parts[1]))
            elif chunk.tag == b"FINF" and len(parts) > 1:
                self.facts.file_info(first, decode(parts[1]))

    def reference(self, form: Chunk) -> None:
        """The path stands among the texts of the chunk; it is told by its ending."""
        if form.kind == b"FRDI":  # the list of all, nested ones too; each scene names its own again
            return
        for chunk in self.chunks(form.start, form.end):
            if chunk.tag != b"FREF":
                continue
            texts = [decode(part) for part in self.data(chunk).split(b"\0") if part]
            named = [text for text in texts if text.lower().endswith(SCENE_SUFFIXES)]
            if named or texts:
                path = (named or texts)[0]
                node = next((text for text in texts if text.endswith("RN") or "RN" in text[-4:]), "")
                self.facts.reference(path, node, "")

    def node(self, form: Chunk) -> None:
        facts = self.facts
        is_named = False
        for chunk in self.chunks(form.start, form.end):
            tag = chunk.tag
            if tag == b"CREA":
                parts = self.data(chunk)[1:].split(b"\0")
                # Name, the parent's where there is one, sixteen bytes of identity: these may hold anything.
                parent = decode(parts[1]) if len(parts) > 2 and form.kind == b"DCAM" else ""
                facts.node(NODE_TYPES.get(form.kind, ""), decode(parts[0]), parent)
                is_named = True
            elif tag == b"SLCT":
                facts.select(decode(self.data(chunk).split(b"\0")[0]))
                is_named = True
            elif not is_named or chunk.end - chunk.start > MAX_LEAF:
                continue
            elif tag == b"STR ":
                name, value = self.attribute(chunk)
                facts.text(name, decode(value.split(b"\0")[0]))
            elif tag == b"STR#":
                name, value = self.attribute(chunk)
                for part in value[4:].split(b"\0"):
                    if part:
                        facts.text(name, decode(part))
            elif tag == b"DBLE" and facts.wants_numbers:
                name, value = self.attribute(chunk)
                if len(value) == 8:
                    facts.number(name, self.number(value))

    def attribute(self, chunk: Chunk) -> tuple[str, bytes]:
        """Name and value: the name ends with NUL, one byte of flags follows."""
        name, _nul, rest = self.data(chunk).partition(b"\0")
        return name.decode("ascii", "replace"), rest[1:]

    def number(self, value: bytes) -> float:
        """A double, or a time: an integer of ticks, which as a double would be next to nothing."""
        ticks: int
        (ticks,) = struct.unpack(">q", value)
        if ticks and abs(ticks) < 1 << 52:
            return self.facts.frame_of(ticks / self.facts.ticks)
        number: float
        (number,) = struct.unpack(">d", value)
        return number
