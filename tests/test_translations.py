"""Chinese is the first language: every text of the source has its translation."""

import re
from collections import Counter
from typing import Any

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils.translation import override

from backoffice.alerts import ALERTS

KEYWORDS = {**DEFAULT_KEYWORDS, "gettext_lazy": None, "gettext_noop": None, "ngettext_lazy": (1, 2)}
MESSAGE = re.compile(r'^msgid (".*"\n(?:".*"\n)*)', re.MULTILINE)
PLACEHOLDER = re.compile(r"%\(\w+\)[0-9.]*[a-z]")


def source_texts() -> set[str]:
    with (settings.BASE_DIR / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found = set()
    for _file, _line, text, _comments, _context in extract_from_dir(
        settings.BASE_DIR, methods, options, keywords=KEYWORDS
    ):
        found.add(first(text))
    return found


def first(text: Any) -> str:
    return str(text if isinstance(text, str) else text[0])


def test_every_text_has_a_chinese_translation_with_the_same_placeholders() -> None:
    with (settings.BASE_DIR / "locale/zh_Hans/LC_MESSAGES/django.po").open("rb") as file:
        catalog = read_po(file, locale="zh_Hans")
    # Of a text with a plural, the first form stands for all: Chinese has one.
    translated = {
        first(message.id): first(message.string) for message in catalog if message.id and message.string
    }
    texts = source_texts()
    assert len(texts) > 300
    assert texts - translated.keys() == set()
    assert translated.keys() - texts == set(), "translations of texts that are gone"
    for text in texts:
        assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(translated[text])), text


def test_no_text_has_two_translations() -> None:
    catalog = (settings.BASE_DIR / "locale/zh_Hans/LC_MESSAGES/django.po").read_text(encoding="utf-8")
    texts = MESSAGE.findall(catalog)
    assert len(texts) > 300
    assert [text for text, times in Counter(texts).items() if times > 1] == []


@pytest.mark.parametrize(
    ("count", "english"), [(1, "1 render node does not answer"), (2, "2 render nodes do not answer")]
)
def test_one_thing_is_one_in_english_and_chinese_has_one_form(count: int, english: str) -> None:
    text = next(alert.text for alert in ALERTS if alert.key == "lost-nodes")
    with override("en"):
        assert text % {"count": count} == english
    with override("zh-hans"):
        assert text % {"count": count} == f"{count} 个渲染节点没有响应"
