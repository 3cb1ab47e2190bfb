"""Tax numbers of companies: unified social credit codes (GB 32100-2015), and the older numbers."""

import re

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Digits and letters of GB 32100-2015, table 2, by their values; I, O, S, V and Z are none of them."""
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
"""3^(place - 1) modulo 31."""
CREDIT_CODE = re.compile(f"[{ALPHABET}]{{2}}[0-9]{{6}}[{ALPHABET}]{{10}}")
OLD_NUMBER = re.compile(r"[0-9]{6}[0-9A-Z]{9}")


def normalised(text: str) -> str:
    """In the form of an invoice: capitals, without spaces."""
    return re.sub(r"\s", "", text).upper()


def check_digit(code: str) -> str:
    """The eighteenth character that belongs to the first seventeen: 31 - (sum of value x weight modulo 31)."""
    total = sum(ALPHABET.index(each) * weight for each, weight in zip(code, WEIGHTS, strict=True))
    return ALPHABET[-total % 31]


def is_tax_number(number: str) -> bool:
    """Whether a company can have this number, which is normalised.

    18 characters: a unified social credit code with its check digit. 15: a taxpayer's number from before it, the six
    digits of a district and nine digits or letters; registers gave them by rules of their own, so no more is asked.
    """
    if len(number) == 15:
        return OLD_NUMBER.fullmatch(number) is not None
    return CREDIT_CODE.fullmatch(number) is not None and check_digit(number[:17]) == number[17]
