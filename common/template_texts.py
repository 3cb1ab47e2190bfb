"""Texts of Django templates for babel, which only reads Python. (`makemessages` would need GNU gettext.)"""

from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from typing import IO, Any

from babel.messages.extract import extract_python
from django.utils.translation.template import templatize


def extract(
    file: IO[bytes], keywords: Mapping[str, Any], tags: Collection[str], options: Any
) -> Iterator[Any]:
    """Babel's interface: what `{% translate %}` and `{% blocktranslate %}` hold, as Django itself reads them."""
    source = templatize(file.read().decode("utf-8"))
    # A page's indentation is none that Python would take.
    lines = "\n".join(line.lstrip() for line in source.split("\n"))
    yield from extract_python(BytesIO(lines.encode("utf-8")), keywords, tags, options)
