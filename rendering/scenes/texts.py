"""Bytes of a scene as text. Scenes come in the code page of the artist's system, and often do not say which."""

import codecs
import re

MAX_PATH = 2000
# PostgreSQL keeps no NUL; line ends and other controls have no place in a name either.
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def codec_of(codeset: str) -> str:
    """The Python codec of a code page as Maya writes it (`1252`, `936`, `UTF-8`), or an empty text."""
    for name in (f"cp{codeset}" if codeset.isdecimal() else codeset, ""):
        try:
            return codecs.lookup(name).name if name else ""
        except (LookupError, ValueError):
            continue
    return ""


def decode(raw: bytes, codec: str = "") -> str:
    """Text out of `raw`: UTF-8 where it is, else as declared, else Chinese (GB 18030), else Western.

    UTF-8 goes first because text in another code page is hardly ever valid UTF-8 by chance, while files are often
    labelled with the code page of the system though a script wrote them.
    """
    for name in ("utf-8", codec, "gb18030"):
        try:
            text = raw.decode(name) if name else None
        except (UnicodeDecodeError, LookupError):
            continue
        if text is not None:
            return CONTROLS.sub("\ufffd", text)
    return CONTROLS.sub("\ufffd", raw.decode("cp1252", "replace"))
