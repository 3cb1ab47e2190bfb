"""What a reader tells of a scene, and the report made of it. Both formats report here, in Maya's own terms."""

import re
from dataclasses import dataclass, field
from typing import Any

from rendering.scenes.errors import SceneError
from rendering.scenes.maya import vocabulary as words
from rendering.scenes.texts import MAX_PATH

MAX_FILES = 100_000  # named by nodes; and nodes, references, each
MAX_TEXT = 16 << 20  # characters of all names and paths: the report goes into a database
MAX_NAMES = 1000  # plug-ins, script nodes, foreign commands, each
MAX_USERS = 100  # nodes named for a file
MAX_FRAME = 1_000_000
MAX_PIXELS = 1_000_000
DEFAULTS: dict[str, Any] = {
    "renderer": "mayaSoftware", "frame_start": 1, "frame_end": 10, "frame_step": 1, "width": 960, "height": 540,
    "animation": False, "output_format": "IFF", "output_prefix": "",
}  # fmt: skip


@dataclass(slots=True)
class Node:
    """A node of the scene as far as it is of interest: its files and a few of its attributes."""

    type: str
    name: str
    parent: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[str, str]] = field(default_factory=list)
    is_kept: bool = False


class Facts:
    """Collects what a scene says. Bounded: a scene may say the same a billion times."""

    def __init__(self) -> None:
        self.format = ""
        self.version = ""
        self.ticks = 6000  # of the scene's clock in a second; the header of a binary scene says how many
        self.units: dict[str, str] = {}
        self.info: dict[str, str] = {}
        self.plugins: dict[str, str] = {}
        self.commands: set[str] = set()
        self.references: dict[tuple[str, str], dict[str, Any]] = {}
        self.deferred: set[str] = set()
        self.nodes: list[Node] = []
        self.globals: dict[str, Node] = {}
        self.current = Node("", "")
        self.wants_numbers = self.is_reference = False
        self.file_count = self.text_size = 0

    # --- told by the readers ---

    def requires(self, name: str, version: str) -> None:
        if name == "maya":
            self.version = self.version or version[:50]
        elif len(self.plugins) < MAX_NAMES:
            self.plugins[name[:200]] = version[:100]

    def unit(self, kind: str, name: str) -> None:
        self.units[kind] = name[:50]

    def file_info(self, key: str, value: str) -> None:
        if key in ("product", "version", "application"):
            self.info[key] = value[:200]

    def command(self, name: str) -> None:
        """A command that is not among those that scenes are made of."""
        if len(self.commands) < MAX_NAMES:
            self.commands.add(name)

    def reference(self, path: str, node: str, namespace: str) -> None:
        path = path[:MAX_PATH]
        if path and (path, node) not in self.references:
            check_count(len(self.references))
            self.spend(len(path) + len(node) + len(namespace))
            self.references[path, node] = {"path": path, "node": node[:500], "namespace": namespace[:500]}

    def node(self, kind: str, name: str, parent: str = "") -> None:
        """A new node, to which the attributes that follow belong. An empty kind is one that is not known."""
        if name in words.GLOBALS:
            self.select(name)
            self.current.type = kind
            return
        self.current = Node(kind, name[:500], parent[:500])
        self.wants_numbers = kind in words.NUMERIC_TYPES or not kind
        self.is_reference = kind == words.REFERENCE
        if kind in words.KEPT_TYPES:
            self.keep()

    def select(self, name: str) -> None:
        """The attributes that follow belong to a node that is there already."""
        name = name.removeprefix(":")[:500]
        self.is_reference = False
        self.wants_numbers = name in words.GLOBALS
        self.current = self.globals.setdefault(name, Node("", name)) if self.wants_numbers else Node("", name)

    def deferred_reference(self, name: str) -> None:
        """A reference, by its node or path, that is not loaded with the scene."""
        check_count(len(self.deferred))
        self.spend(len(name))
        self.deferred.add(name)

    def spend(self, size: int) -> None:
        """Raises SceneError once the scene's names and paths are too much to be kept."""
        self.text_size += size
        if self.text_size > MAX_TEXT:
            raise SceneError("scene_too_large", "the names and paths in the scene are too much to be kept")

    def keep(self) -> None:
        if not self.current.is_kept:
            check_count(len(self.nodes))
            self.spend(len(self.current.name) + len(self.current.parent))
            self.current.is_kept = True
            self.nodes.append(self.current)

    def number(self, attribute: str, value: float) -> None:
        attribute = words.LONG_NAMES.get(attribute, attribute)
        wanted = words.GLOBAL_NUMBERS if self.current.name in words.GLOBALS else words.NODE_NUMBERS
        if attribute in wanted and abs(value) < 1e9:
            self.current.values[attribute] = value

    def text(self, attribute: str, value: str) -> None:
        attribute = last[1] if (last := words.LAST_NAME.search(attribute)) else attribute
        attribute = words.LONG_NAMES.get(attribute, attribute)
        node = self.current
        if node.name in words.GLOBALS and attribute in words.GLOBAL_TEXTS:
            node.values[attribute] = value[:500]
        if node.name in words.SILENT_NAMES or node.type in words.SILENT_TYPES or not value:
            return
        if attribute in ("cn", "cp"):
            node.values[attribute] = value[:MAX_PATH]
            self.keep()
        elif len(value) <= MAX_PATH and names_file(attribute, value):
            self.file_count += 1
            check_count(self.file_count)
            self.spend(len(value))
            node.files.append((attribute[:200], value))
            self.keep()

    # --- asked by the readers ---

    @property
    def fps(self) -> float:
        return words.fps_of(self.units.get("time", "film")) or 24.0

    def frame_of(self, seconds: float) -> float:
        return seconds * self.fps

    # --- the report ---

    def report(self) -> dict[str, Any]:
        settings = self.settings()
        cameras = self.cameras()
        renderable = [name for name, is_renderable in cameras.items() if is_renderable]
        return {
            "format": self.format,
            "maya_version": self.version,
            "product": self.info.get("product", ""),
            **settings,
            "fps": round(self.fps, 6),
            "units": self.units,
            "cameras": list(cameras),
            "renderable_cameras": renderable,
            "active_camera": renderable[0] if renderable else None,
            "layers": self.layers(),
            "plugins": [{"name": name, "version": version} for name, version in self.plugins.items()],
            "references": self.own_references(),
            "script_nodes": [node.name for node in self.nodes if node.type == words.SCRIPT][:MAX_NAMES],
            "commands": sorted(self.commands),
            "defaults": self.defaults(settings),
            "assets": self.assets(),
        }

    def value(self, node: str, attribute: str) -> Any:
        found = self.globals.get(node)
        return found.values.get(attribute) if found else None

    def said(self) -> dict[str, Any]:
        """The settings that the scene says; it says only what differs from Maya's default."""
        renderer = self.value("defaultRenderGlobals", "ren")
        is_vray = renderer == "vray"
        size = ("vraySettings", "wi", "he") if is_vray else ("defaultResolution", "w", "h")
        found = {
            "renderer": renderer,
            "frame_start": whole(self.value("defaultRenderGlobals", "fs"), -MAX_FRAME, MAX_FRAME),
            "frame_end": whole(self.value("defaultRenderGlobals", "ef"), -MAX_FRAME, MAX_FRAME),
            "frame_step": whole(self.value("defaultRenderGlobals", "bfs"), 1, MAX_FRAME),
            "animation": truth(self.value("defaultRenderGlobals", "an")),
            "width": whole(self.value(size[0], size[1]), 1, MAX_PIXELS),
            "height": whole(self.value(size[0], size[2]), 1, MAX_PIXELS),
            "output_format": self.output_format(renderer or ""),
            "output_prefix": self.value("defaultRenderGlobals", "ifp") or None,
        }
        return {name: value for name, value in found.items() if value not in (None, "")}

    def settings(self) -> dict[str, Any]:
        found = DEFAULTS | self.said()
        # An end before the start is what is left when only one of them was changed.
        found["frame_end"] = max(found["frame_end"], found["frame_start"])
        return found

    def defaults(self, settings: dict[str, Any]) -> list[str]:
        """The facts that are defaults, because the scene does not say."""
        said = self.said()
        names = [name for name in settings if name not in said]
        if "time" not in self.units or words.fps_of(self.units["time"]) is None:
            names.append("fps")
        return sorted(names)

    def output_format(self, renderer: str) -> str | None:
        if renderer == "arnold" and (name := self.value("defaultArnoldDriver", "ai_translator")):
            return format_name(name)
        if renderer == "redshift" and (number := self.value("redshiftOptions", "outf")) is not None:
            return words.REDSHIFT_FORMATS.get(int(number))
        if renderer == "vray" and (name := self.value("vraySettings", "imgfs")):
            return format_name(name)
        number, key = self.value("defaultRenderGlobals", "outf"), self.value("defaultRenderGlobals", "imfkey")
        if number is None or int(number) in (50, 51):
            return format_name(key) if key else None
        return words.IMAGE_FORMATS.get(int(number))

    def cameras(self) -> dict[str, bool]:
        """Cameras by the name of their transform, as `Render -cam` takes it, and whether they are renderable."""
        nodes = [node for node in self.nodes if node.type == words.CAMERA]
        last = [(node.parent or node.name).rpartition("|")[2] for node in nodes]
        found = {}
        for node, name in zip(nodes, last, strict=True):
            is_unique = last.count(name) == 1 if len(last) < MAX_NAMES else True
            found[name if is_unique else node.parent or name] = node.values.get("rnd", 1) != 0
        return found

    def layers(self) -> list[dict[str, Any]]:
        """Render layers by the name that `Render -rl` takes; those of Render Setup have theirs after `rs_`."""
        # A global one of another name is the main layer of a scene that was imported.
        found = [node for node in self.nodes if node.type == words.RENDER_LAYER and not node.values.get("g")]
        if main := self.globals.get("defaultRenderLayer"):
            found.insert(0, main)
        return [
            {
                "name": node.name,
                "label": "masterLayer"
                if node.name == "defaultRenderLayer"
                else node.name.removeprefix("rs_"),
                "renderable": (node.values.get("rndr", node.values.get("rnd", 1))) != 0,
            }
            for node in found
        ]

    def own_references(self) -> list[dict[str, Any]]:
        return [
            reference | {"deferred": bool({reference["node"], reference["path"]} & self.deferred)}
            for reference in self.references.values()
        ]

    def assets(self) -> list[dict[str, Any]]:
        """The files that the scene itself names, one a path and kind, sorted by path."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        offsets: dict[str, set[int]] = {}

        def add(path: str, kind: str, user: str, *, required: bool) -> None:
            asset = found.get((path, kind))
            if asset is None:
                asset = {"path": path, "kind": kind, "packed": False, "users": [], "required": False}
                found[path, kind] = asset
            if user and user not in asset["users"] and len(asset["users"]) < MAX_USERS:
                asset["users"].append(user)
            asset["required"] = asset["required"] or (required and kind not in words.OPTIONAL_KINDS)

        for reference in self.own_references():
            # The path of a second use of the same file ends with its number: rig.ma{1}
            path = re.sub(r"\{\d+\}$", "", reference["path"])
            kind = words.KIND_OF_SUFFIX.get(words.suffix_of(path), "other")
            add(path, kind, reference["node"], required=not reference["deferred"])
        for node in self.nodes:
            for attribute, path in node.files:
                is_known = attribute in words.FILE_ATTRIBUTES or bool(words.TEXTURE_SLOT.fullmatch(attribute))
                kind = kind_of(node, path)
                add(path, kind, node.name, required=is_known)
                if kind == "sequence" and node.type in words.TIMED_TYPES:
                    offsets.setdefault(path, set()).add(round(node.values.get("fo", 0)))
            name, folder = node.values.get("cn"), node.values.get("cp")
            if name and folder:
                add(f"{folder.rstrip('/')}/{name}.xml", "frame_cache", node.name, required=True)
        for asset in found.values():
            asset["users"].sort()
            if asset["kind"] == "sequence" and len(offsets.get(asset["path"], ())) == 1:
                asset["frame_offset"] = offsets[asset["path"]].pop()
        return [found[key] for key in sorted(found)]


def names_file(attribute: str, value: str) -> bool:
    """Whether a text is the name of a file: by its ending, or because its attribute holds nothing else."""
    if value.startswith("<MAYA_"):  # what comes with Maya
        return False
    suffix = words.suffix_of(value)
    return suffix in words.KIND_OF_SUFFIX or (attribute == "ftn" and bool(value.strip()))


def kind_of(node: Node, path: str) -> str:
    """The kind of a file in the words of docs/engines.md."""
    kind = words.KIND_OF_SUFFIX.get(words.suffix_of(path), "image")
    if kind in ("image", "volume", "cache"):
        if words.UDIM_TOKEN.search(path) or node.values.get("uvt", 0) in (1, 2, 3):
            return "udim"
        if words.FRAME_TOKEN.search(path):
            return "sequence"
        uses_frames = any(node.values.get(name) for name in ("ufe", "useSequence"))
        if uses_frames and any(letter.isdigit() for letter in path.rpartition("/")[2]):
            return "sequence"
    return kind


def check_count(count: int) -> None:
    if count >= MAX_FILES:
        raise SceneError("scene_too_large", f"the scene names more than {MAX_FILES} files")


def whole(value: float | None, least: int, most: int) -> int | None:
    return None if value is None else min(max(round(value), least), most)


def truth(value: float | None) -> bool | None:
    return None if value is None else value != 0


def format_name(name: str) -> str | None:
    """`exr (multichannel)`, `deepexr`, `tif`, `jpg`: the format they write."""
    word = name.lower().split()[0].strip(".") if name.split() else ""
    names = {"tif": "TIFF", "tiff": "TIFF", "jpg": "JPEG", "jpeg": "JPEG", "deepexr": "EXR", "openexr": "EXR"}
    return names.get(word, word.upper()[:20]) or None
