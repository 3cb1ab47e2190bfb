"""Maya scenes for tests, made from the two formats: no public scene has all that matters here."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

Read = Callable[..., dict[str, Any]]
Value = str | float | int | bool | Sequence[str]
TICKS = 141120000


def ma(*statements: str, version: str = "2023", codeset: str = "1252", time: str = "film") -> bytes:
    """A `.ma` scene with the head that Maya writes and these statements."""
    head = [
        f"//Maya ASCII {version} scene",
        "//Name: shot.ma",
        "//Last modified: Wed, Aug 30, 2023 02:59:28 PM",
        f"//Codeset: {codeset}",
        f'requires maya "{version}";',
        f"currentUnit -l centimeter -a degree -t {time};",
        'fileInfo "application" "maya";',
        f'fileInfo "product" "Maya {version}";',
    ]
    return "\n".join([*head, *statements, "// End of shot.ma", ""]).encode()


def texture(path: str, name: str = "file1", *more: str) -> str:
    """A file node; `more` are further attributes as they stand in the scene."""
    lines = [f'createNode file -n "{name}";', '\trename -uid "3ACD685C-427F-6662-DFB9-10932E9A7F80";']
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join([*lines, f'\tsetAttr ".ftn" -type "string" "{escaped}";', *more])


def node(kind: str, name: str, **attributes: str) -> str:
    """A node with attributes of text."""
    lines = [f'\tsetAttr ".{key}" -type "string" "{value}";' for key, value in attributes.items()]
    return "\n".join([f'createNode {kind} -n "{name}";', *lines])


def reference(path: str, name: str = "rig", *, deferred: bool = False) -> str:
    """A referenced scene, as Maya lists it and loads it."""
    options = f'-ns "{name}"{{}} -rfn "{name}RN" -op "v=0;" -typ "mayaAscii" "{path}";'
    listed = options.format(" -dr 1" if deferred else "")
    return f"file -rdi 1 {listed}\nfile -r {options.format(' -dr 1')}"


class Binary:
    """Writes `.mb`: `wide` with sizes of 64 bits (FOR8), else of 32 (FOR4)."""

    def __init__(self, *, wide: bool) -> None:
        self.wide = wide

    def form(self, kind: bytes, *parts: bytes, tag: bytes = b"FOR") -> bytes:
        body = kind + b"".join(parts)
        return self.header(tag + (b"8" if self.wide else b"4"), len(body)) + body

    def header(self, tag: bytes, size: int) -> bytes:
        return struct.pack(">4s4sQ", tag, b"K\x02\0\0", size) if self.wide else struct.pack(">4sI", tag, size)

    def leaf(self, tag: bytes, data: bytes) -> bytes:
        return self.header(tag, len(data)) + data + b"\0" * (-len(data) % (8 if self.wide else 4))

    def attribute(self, name: str, value: Value) -> bytes:
        start = name.encode() + b"\0 "
        if isinstance(value, str):
            return self.leaf(b"STR ", start + value.encode())
        if isinstance(value, (float, int)):
            return self.leaf(b"DBLE", start + struct.pack(">d", value))
        texts = b"".join(text.encode() + b"\0" for text in value)
        return self.leaf(b"STR#", start + struct.pack(">I", len(value)) + texts)

    def time(self, name: str, frame: float, fps: float = 24) -> bytes:
        ticks = round(frame * TICKS / fps)
        return self.leaf(b"DBLE", name.encode() + b"\0 " + struct.pack(">q", ticks))

    def head(self, version: str = "2023", time: str = "film", plugins: dict[str, str] | None = None) -> bytes:
        fields = [
            (b"VERS", version), (b"UVER", "undef"), (b"LUNI", "cm"), (b"TUNI", time), (b"AUNI", "deg"),
            (b"TDUR", str(TICKS)), (b"FINF", f"product\0Maya {version}\0"),
        ]  # fmt: skip
        for name, number in (plugins or {}).items():
            fields.append((b"PLUG", f'{name}\0{number}\0 -nodeType "x" '))
        return self.form(b"HEAD", *(self.leaf(tag, text.encode()) for tag, text in fields))

    def node(self, kind: bytes, name: str, *attributes: bytes, parent: str = "") -> bytes:
        names = f"{name}\0" + (f"{parent}\0" if parent else "")
        identity = bytes(range(16))
        return self.form(kind, self.leaf(b"CREA", b"\x80" + names.encode() + identity), *attributes)

    def select(self, name: str, *attributes: bytes) -> bytes:
        return self.form(b"SLCT", self.leaf(b"SLCT", name.encode()), *attributes)

    def reference(self, path: str, name: str = "rig") -> bytes:
        data = f'{path}\0{name}\0{name}RN\0mayaBinary\0-op "v=0;"\0'.encode()
        listed = b"\x01\0" + f"{name}RN\0{path}\0".encode()
        return self.form(b"FRDI", self.leaf(b"FRDI", listed)) + self.form(b"FREF", self.leaf(b"FREF", data))

    def scene(self, *sections: bytes, head: bytes | None = None) -> bytes:
        connections = self.form(b"CONS", self.form(b"CONN", self.leaf(b"CWFL", b"\0a.b\0c.d\0")), tag=b"LIS")
        return self.form(b"Maya", self.head() if head is None else head, *sections, connections)


def full_ascii() -> bytes:
    return ma(
        reference("D:/show//scenes/rig.ma"),
        'requires -nodeType "aiOptions" -nodeType "aiAOVDriver"\n\t\t "mtoa" "5.1.0";',
        'createNode transform -s -n "persp";\n\tsetAttr ".v" no;',
        'createNode camera -s -n "perspShape" -p "persp";\n\tsetAttr -k off ".v" no;\n\tsetAttr ".rnd" no;',
        'createNode camera -n "shotCamShape" -p "shotCam";\n\tsetAttr -k off ".v";',
        'createNode renderLayer -n "defaultRenderLayer";\n\tsetAttr ".g" yes;\n\tsetAttr ".rndr" no;',
        'createNode renderLayer -n "rs_beauty";\n\tsetAttr ".do" 1;',
        'createNode renderLayer -n "old_defaultRenderLayer";\n\tsetAttr ".g" yes;',
        'createNode script -n "breed_gene";\n\tsetAttr ".b" -type "string" "python(\\"import os; x = \'a;b\'\\")";',
        texture("D:/show//sourceimages/wood.png"),
        "select -ne :defaultRenderGlobals;",
        '\tsetAttr ".ren" -type "string" "arnold";\n\tsetAttr ".imfkey" -type "string" "exr";',
        '\tsetAttr ".an" yes;\n\tsetAttr ".fs" 101;\n\tsetAttr ".ef" 148;\n\tsetAttr ".bfs" 2;',
        '\tsetAttr ".ifp" -type "string" "<Scene>/<RenderLayer>";',
        'select -ne :defaultResolution;\n\tsetAttr ".w" 1920;\n\tsetAttr ".h" 1080;\n\tsetAttr ".pa" 1;',
        time="pal",
    )


def full_binary(*, wide: bool) -> bytes:
    mb = Binary(wide=wide)
    return mb.scene(
        mb.reference("D:/show//scenes/rig.ma"),
        mb.node(b"XFRM", "persp", mb.attribute("v", 0)),
        mb.node(b"DCAM", "perspShape", mb.attribute("v", 0), mb.attribute("rnd", 0), parent="persp"),
        mb.node(b"DCAM", "shotCamShape", parent="shotCam"),
        mb.node(b"RNDL", "defaultRenderLayer", mb.attribute("g", 1), mb.attribute("rndr", 0)),
        mb.node(b"RNDL", "rs_beauty", mb.attribute("do", 1)),
        mb.node(b"RNDL", "old_defaultRenderLayer", mb.attribute("g", 1)),
        mb.node(b"SCRP", "breed_gene", mb.attribute("b", 'python("x")')),
        mb.node(b"RTFT", "file1", mb.attribute("ftn", "D:/show//sourceimages/wood.png")),
        mb.select(
            ":defaultRenderGlobals",
            mb.attribute("ren", "arnold"),
            mb.attribute("imfkey", "exr"),
            mb.attribute("an", 1),
            mb.time("fs", 101, 25),
            mb.time("ef", 148, 25),
            mb.attribute("bfs", 2),
            mb.attribute("ifp", "<Scene>/<RenderLayer>"),
        ),
        mb.select(":defaultResolution", mb.attribute("w", 1920), mb.attribute("h", 1080)),
        head=mb.head(time="pal", plugins={"mtoa": "5.1.0"}),
    )
