"""Maya ASCII: a sequence of MEL commands, of which the few that a scene is made of are understood.

The file is mapped, and one regular expression finds the end of each statement in C: what is not of interest (meshes,
curves, edits) is passed over without being copied, cut up or converted. Every repetition is possessive, so that
no content makes it go back over what it has seen.
"""

import re
from mmap import mmap

from rendering.scenes.errors import SceneError
from rendering.scenes.maya.facts import Facts
from rendering.scenes.texts import codec_of, decode

Bytes = bytes | mmap

HEAD = 1 << 16
HEADER = re.compile(rb"\s*//\s*Maya ASCII\b", re.IGNORECASE)
CODESET = re.compile(rb"^//\s*Codeset:\s*([\w-]+)", re.MULTILINE)
END_MARK = b"// End of"
BOM = b"\xef\xbb\xbf"
# Possessive groups remember nothing, however long a text is. Until 3.11.5 Python ends one at a wrong place when its
# last repetition fails behind another group; none does so here: a comment or text that nobody closes goes to the end.
COMMENT = rb"//[^\n]*+|/\*[^*]*+(?:\*(?!/)[^*]*+)*(?:\*/|\Z)"
TEXT = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
BLANK = re.compile(rb"(?:\s++|" + COMMENT + rb")*+")
STATEMENT = re.compile(
    BLANK.pattern
    + rb"([A-Za-z_]\w*+)?"  # its command
    + rb'(?:[^;"/]++|"' + TEXT + rb'(?:"|\\?\Z)|' + COMMENT + rb"|/(?![/*]))*+;",
    re.DOTALL,
)  # fmt: skip
TOKEN = re.compile(rb'"(' + TEXT + rb')"|([^\s"();{}+,]++)', re.DOTALL)
ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
# In a reference's edits: "node" "attribute" " -type \"string\" \"value\""
EDIT = re.compile(rb'"([A-Za-z_]\w*+)(?:\[\d+\])?"\s++" (?:-\w+ \w+ )?-type \\"string\\" \\"([^"\n]*)\\"')
SPAN = re.compile(rb"\[\d+:\d+\]")

MAX_STATEMENT = 1 << 14  # bytes; no path is set by a longer one
FLAGS_WITHOUT_VALUE = {
    "createNode": {"s", "shared", "ss", "skipSelect"},
    "setAttr": {"av", "alteredValue", "c", "clamp"},
    "file": {"r", "reference", "i", "import", "o", "open", "f", "force", "lrd", "loadReferenceDepth"},
}
KNOWN_COMMANDS = frozenset({
    "addAttr", "aliasAttr", "applyMetadata", "connectAttr", "createNode", "currentUnit", "dataStructure",
    "disconnectAttr", "file", "fileInfo", "instance", "instanceable", "lockNode", "namespace", "parent", "relationship",
    "rename", "requires", "select", "sets", "setAttr",
})  # fmt: skip
MEANINGS = {"yes": 1.0, "on": 1.0, "true": 1.0, "no": 0.0, "off": 0.0, "false": 0.0}


def is_ascii(content: Bytes) -> bool:
    """Whether it begins as Maya begins its ASCII scenes."""
    return HEADER.match(content[:HEAD].removeprefix(BOM)) is not None


def read(content: Bytes, facts: Facts) -> None:
    """Tell `facts` what the scene says. Raises SceneError (scene_truncated)."""
    AsciiReader(content, facts).read()


class AsciiReader:
    def __init__(self, content: Bytes, facts: Facts) -> None:
        self.content, self.facts = content, facts
        facts.format = "ascii"
        declared = CODESET.search(content[:HEAD])
        self.codec = codec_of(declared[1].decode("ascii")) if declared else ""

    def read(self) -> None:
        content, facts = self.content, self.facts
        end = len(content)
        position = len(BOM) if content[:3] == BOM else 0
        readers = {
            b"setAttr": self.set_attribute,
            b"createNode": self.create_node,
            b"select": self.select,
            b"file": self.file,
            b"requires": self.requires,
            b"currentUnit": self.current_unit,
            b"fileInfo": self.file_info,
        }
        while found := STATEMENT.match(content, position):
            position = found.end()
            command = found[1]
            if reader := readers.get(command):
                reader(found.end(1), position - 1)
            elif command:
                name = command[:100].decode("ascii", "replace")
                if name not in KNOWN_COMMANDS:
                    facts.command(name)
        rest = BLANK.match(content, position)
        # A NUL or Ctrl-Z at the end is left by old transfers, not by a cut.
        if rest is None or content[rest.end() : min(end, rest.end() + HEAD)].strip(b"\0\x1a \r\n\t"):
            raise SceneError("scene_truncated", "the scene ends in the middle of a statement")
        # Between two statements a cut looks like an end, and what is lost are the render settings, which come last.
        if facts.info.get("application") == "maya" and content.rfind(END_MARK, max(0, end - HEAD)) < 0:
            raise SceneError(
                "scene_truncated", "the last line, `// End of …`, which Maya writes, is not there"
            )

    def text(self, raw: bytes) -> str:
        if b"\\" in raw:
            raw = ESCAPE.sub(lambda found: ESCAPES.get(found[1], found[1]), raw)
        return decode(raw, self.codec)

    def words(self, command: str, start: int, end: int) -> tuple[dict[str, str], list[str]]:
        """Flags and arguments of a short statement; strings and words look alike."""
        plain = FLAGS_WITHOUT_VALUE.get(command, set())
        flags: dict[str, str] = {}
        arguments: list[str] = []
        waiting = ""
        for quoted, word in TOKEN.findall(self.content[start : min(end, start + MAX_STATEMENT)]):
            if word[:1] == b"-" and word[1:2].isalpha():
                name = word[1:].decode("ascii", "replace")
                flags[name] = ""
                waiting = "" if name in plain else name
            elif waiting:
                flags[waiting] = self.text(quoted or word)
                waiting = ""
            else:
                arguments.append(self.text(quoted or word))
        return flags, arguments

    def create_node(self, start: int, end: int) -> None:
        flags, arguments = self.words("createNode", start, end)
        if arguments:
            name = flags.get("n") or flags.get("name") or ""
            self.facts.node(arguments[0], name, flags.get("p") or flags.get("parent") or "")

    def select(self, start: int, end: int) -> None:
        flags, arguments = self.words("select", start, end)
        name = flags.get("ne") or flags.get("noExpand") or (arguments[0] if arguments else "")
        self.facts.select(name)

    def set_attribute(self, start: int, end: int) -> None:
        content, facts = self.content, self.facts
        if facts.is_reference:
            if content.find(b'"dataReferenceEdits"', start, min(end, start + 100)) > 0:
                self.edits(start, end)
            return
        is_text = content.find(b'"string', start, min(end, start + 400)) >= 0
        if not is_text and not facts.wants_numbers and not self.names_globals(start):
            return
        if end - start <= MAX_STATEMENT:
            self.set_value(start, end)

    def names_globals(self, start: int) -> bool:
        """Whether a statement says itself which node it is about: setAttr "defaultResolution.width" 640."""
        content = self.content
        return content[start : start + 3] != b' ".' and content.find(b'"defaultRe', start, start + 80) >= 0

    def set_value(self, start: int, end: int) -> None:
        name, kind, values = "", "", list[bytes]()
        skip_next = is_kind = is_quoted = False
        for quoted, word in TOKEN.findall(self.content[start:end]):
            if skip_next:
                skip_next = False
                kind = quoted.decode("ascii", "replace") if is_kind else kind
                is_kind = False
            elif word[:1] == b"-" and word[1:2].isalpha():
                flag = word[1:].decode("ascii", "replace")
                skip_next = flag not in FLAGS_WITHOUT_VALUE["setAttr"]
                is_kind = flag in ("type", "typ")
            elif not name:
                name = self.text(quoted or word)
            else:
                is_quoted = is_quoted or not word
                values.append(word or quoted)
        if not name or not values or SPAN.search(name.encode("utf-8", "replace")):
            return
        node, dot, attribute = name.rpartition(".") if not name.startswith(".") else ("", ".", name[1:])
        if not dot:
            return
        if node:
            self.facts.select(node)
        if kind == "string":
            # A long text is written in pieces, joined by +.
            self.facts.text(attribute, self.text(b"".join(values)))
        elif kind == "stringArray":
            for value in values[1:]:
                self.facts.text(attribute, self.text(value))
        elif not kind and len(values) == 1 and not is_quoted:
            number = as_number(values[0])
            if number is not None:
                self.facts.number(attribute, number)

    def edits(self, start: int, end: int) -> None:
        """Files that the scene gives to nodes of a referenced one."""
        for found in EDIT.finditer(self.content, start, end):
            # Twice escaped: once as a value, once within the text of the edit.
            self.facts.text(found[1].decode("ascii"), self.text(ESCAPE.sub(rb"\1", found[2])))

    def file(self, start: int, end: int) -> None:
        flags, arguments = self.words("file", start, end)
        # The path is the last word, also where it looks like the value of a flag that has none.
        path = (arguments or list(flags.values()) or [""])[-1]
        depth = flags.get("rdi") or flags.get("referenceDepthInfo") or ""
        if depth:
            if depth == "1" and flags.get("dr", flags.get("deferReference", "")) == "1":
                self.facts.deferred_reference(flags.get("rfn") or flags.get("referenceNode") or path)
        elif "r" in flags or "reference" in flags:
            node = flags.get("rfn") or flags.get("referenceNode") or ""
            self.facts.reference(path, node, flags.get("ns") or flags.get("namespace") or "")

    def requires(self, start: int, end: int) -> None:
        # -nodeType and -dataType come in any number; the last two words are name and version.
        _flags, arguments = self.words("requires", start, end)
        if len(arguments) >= 2:
            self.facts.requires(arguments[-2], arguments[-1])

    def current_unit(self, start: int, end: int) -> None:
        flags, _arguments = self.words("currentUnit", start, end)
        for short, kind in (("l", "linear"), ("a", "angle"), ("t", "time")):
            if unit := flags.get(short) or flags.get(kind):
                self.facts.unit(kind, unit)

    def file_info(self, start: int, end: int) -> None:
        _flags, arguments = self.words("fileInfo", start, end)
        if len(arguments) == 2:
            self.facts.file_info(arguments[0], arguments[1])


def as_number(word: bytes) -> float | None:
    text = word.decode("ascii", "replace")
    if text in MEANINGS:
        return MEANINGS[text]
    try:
        return float(text)
    except ValueError:
        return None
