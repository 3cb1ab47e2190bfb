"""A statement as PDF and as CSV."""

import io
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import override
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from billing.models import LedgerEntry, Statement
from billing.periods import SHANGHAI
from billing.selectors import statement_batches
from billing.services.operators import LANGUAGE
from billing.tables import csv_blocks, number

FONT = "STSong-Light"
"""A font for Chinese that PDF readers have themselves: nothing is embedded, so a statement has only a few kilobytes.
"""
LONGEST = 2000
"""Entries in a PDF; the CSV has them all."""
LINE = colors.HexColor("#c8ccd2")


@lru_cache(maxsize=1)
def styles() -> dict[str, ParagraphStyle]:
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    text = ParagraphStyle("text", fontName=FONT, fontSize=9, leading=13, wordWrap="CJK")
    return {
        "title": ParagraphStyle("title", parent=text, fontSize=17, leading=24),
        "head": ParagraphStyle("head", parent=text, fontSize=11, leading=18, spaceBefore=8, spaceAfter=3),
        "text": text,
        "small": ParagraphStyle("small", parent=text, fontSize=8, leading=11, textColor=colors.grey),
        "cell": ParagraphStyle("cell", parent=text, fontSize=8, leading=10),
    }


def paragraph(text: object, style: str = "text") -> Paragraph:
    """Texts of users are shown literally, even where they look like markup."""
    shown = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Paragraph(shown, styles()[style])


def statement_pdf(statement: Statement) -> bytes:
    """In Chinese, whatever the language at hand."""
    target = io.BytesIO()
    with override(LANGUAGE):
        title = _("Statement of %(month)s") % {"month": f"{statement.month:%Y-%m}"}
        page = SimpleDocTemplate(
            target,
            pagesize=A4,
            leftMargin=18 * mm,
            rightMargin=18 * mm,
            topMargin=16 * mm,
            bottomMargin=16 * mm,
            title=title,
            author=_("Yuntu"),
            invariant=True,
        )
        page.build(parts(statement, title), onFirstPage=numbered, onLaterPages=numbered)
    return target.getvalue()


def numbered(canvas: Any, page: Any) -> None:
    canvas.setFont(FONT, 8)
    canvas.setFillColor(colors.grey)
    canvas.drawRightString(A4[0] - 18 * mm, 9 * mm, str(canvas.getPageNumber()))


def parts(statement: Statement, title: str) -> list[Any]:
    wallet = statement.wallet
    facts = [
        (_("wallet"), f"{wallet.owner}　{wallet.get_currency_display()} ({wallet.currency})"),
        (_("month"), f"{statement.month:%Y-%m} (Asia/Shanghai)"),
        (_("Entries"), f"{statement.first_sequence} – {statement.last_sequence}"),
        (_("number"), str(statement.pk)),
    ]
    return [
        paragraph(f"{_('Yuntu')}　{title}", "title"),
        grid([[paragraph(name, "small"), paragraph(value)] for name, value in facts], [30 * mm, 144 * mm]),
        paragraph(_("sums by kind"), "head"),
        sums_table(statement),
        paragraph(_("Of the closing balance was given: %(amount)s; held: %(held)s.")
                  % {"amount": number(statement.closing_gift), "held": number(statement.closing_held)}, "small"),
        paragraph(_("Entries"), "head"),
        entries_table(statement),
        Spacer(0, 4 * mm),
        paragraph(
            _("Told from the entries of the ledger alone. Amounts that leave the wallet are negative."), "small"
        ),
    ]  # fmt: skip


def sums_table(statement: Statement) -> Table:
    labels = dict(LedgerEntry.Kind.choices)
    rows = [(_("opening balance"), number(statement.opening))]
    for kind, amount in statement.sums.items():
        if Decimal(amount):
            rows.append((str(labels.get(kind, kind)), number(Decimal(amount))))
    rows.append((_("closing balance"), number(statement.closing)))
    table = grid([[paragraph(name), figure(value)] for name, value in rows], [100 * mm, 74 * mm])
    table.setStyle([("LINEABOVE", (0, -1), (-1, -1), 0.8, colors.black)])
    return table


def entries_table(statement: Statement) -> Any:
    head = (_("number"), _("created at"), _("kind"), _("description"), _("amount"), _("balance after"))
    rows = [[*(paragraph(name, "small") for name in head[:4]), *(figure(name, 8) for name in head[4:])]]
    for batch in statement_batches(statement):
        rows += [entry_row(entry) for entry in batch[: LONGEST + 1 - len(rows)]]
        if len(rows) > LONGEST:
            rows.append(
                [paragraph("…", "cell")] * 3 + [paragraph(_("The CSV has all entries."), "cell"), "", ""]
            )
            break
    widths = [14 * mm, 27 * mm, 20 * mm, 63 * mm, 25 * mm, 25 * mm]
    table = LongTable(rows, colWidths=widths, repeatRows=1)
    table.setStyle(TableStyle([*LINES, ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black)]))
    return table


def entry_row(entry: LedgerEntry) -> list[Any]:
    when = entry.created_at.astimezone(SHANGHAI)
    return [
        paragraph(entry.sequence, "cell"),
        paragraph(f"{when:%m-%d %H:%M:%S}", "cell"),
        paragraph(entry.get_kind_display(), "cell"),
        paragraph(entry.description, "cell"),
        figure(number(entry.amount), 8),
        figure(number(entry.balance_after), 8),
    ]


def figure(text: str, size: float = 9) -> Paragraph:
    """A number, flush right."""
    style = ParagraphStyle("figure", parent=styles()["cell"], fontSize=size, alignment=2)
    return Paragraph(text, style)


LINES = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
]


def grid(rows: list[list[Any]], widths: list[float]) -> Table:
    table = Table(rows, colWidths=widths)
    table.setStyle(TableStyle(LINES))
    return table


def statement_csv(statement: Statement) -> Iterator[bytes]:
    """All entries that moved the balance, between the opening and the closing balance."""
    header = [
        _("number"), _("created at"), _("kind"), _("amount"), _("of it given"), _("balance after"), _("description"),
        _("render task"),
    ]  # fmt: skip
    return csv_blocks(header, rows_of(statement))


def rows_of(statement: Statement) -> Iterator[list[list[Any]]]:
    yield [["", "", str(_("opening balance")), None, None, statement.opening]]
    for batch in statement_batches(statement):
        yield [
            [
                entry.sequence, entry.created_at, entry.get_kind_display(), entry.amount, entry.gift_delta,
                entry.balance_after, entry.description, entry.task_id,
            ]
            for entry in batch
        ]  # fmt: skip
    yield [["", "", str(_("closing balance")), statement.moved, None, statement.closing]]
