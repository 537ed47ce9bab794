"""Prices as words that the model can read, `$1,299.00` becomes `1299 dollars`, and as numbers."""

import re

_SIGNS = {
    "us$": "us dollars",
    "$": "dollars",
    "\u20ac": "euros",
    "\u00a3": "pounds",
    "\u00a5": "yen",
    "\u20b9": "rupees",
    "\u20a9": "won",
    "\u20ba": "lira",
    "fr.": "francs",
    "kr": "kroner",
    "kr.": "kroner",
    "z\u0142": "zloty",
}
_CODES = frozenset(
    {"AED", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "IDR"}
    | {"ILS", "INR", "ISK", "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "RON", "RUB", "SAR", "SEK", "SGD"}
    | {"THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR"}
)
_CURRENCY = "|".join(map(re.escape, sorted({*_SIGNS, *_CODES}, key=len, reverse=True)))
_PRICE = re.compile(
    rf"(?P<before>(?i:{_CURRENCY}))?\s*"
    r"(?P<whole>\d{1,3}(?:(?P<group>[.,'\u2019\s])\d{3})(?:(?P=group)\d{3})*|\d+)"
    r"(?:[.,](?P<cents>\d{1,2}|[-\u2013\u2014]{1,2}))?"
    rf"\s*(?P<after>(?i:{_CURRENCY}))?"
)

_DECIMAL = re.compile(r"\d+\.\d{4,}")  # a computed number: three digits would be thousands
_LAST_WORDS = re.compile(r"(?<=\d)( [a-z\u0142]+)+$")  # the currency in the result of `price_words`


def price_words(text: str) -> str:
    """Returns a price as a number and its currency in words; other texts are returned as they are.

    A price is a number with one currency, before or after it, or with a dash for the cents (`35.-`). Groups of three
    digits are thousands, because prices have no third decimal. Zero cents are dropped.

    >>> [price_words(text) for text in ("$35", "1.299,00 \\u20ac", "USD 9.90", "35.-", "35")]
    ['35 dollars', '1299 euros', '9.90 usd', '35', '35']
    """
    found = _PRICE.fullmatch(text.strip())
    if not found:
        return text
    before, after, cents = found["before"], found["after"], found["cents"] or ""
    if (before and after) or not (before or after or cents.strip("0123456789")):
        return text
    return f"{_number(found)} {_word(before or after or '')}".strip()


def price_value(text: str) -> float | None:
    """Returns the number of a price, with or without a currency, or of the words of one; None for other texts.

    >>> [price_value(text) for text in ("$35", "1.299,00 \\u20ac", "9.90 usd", "35", "from 35")]
    [35.0, 1299.0, 9.9, 35.0, None]
    """
    text = _LAST_WORDS.sub("", text.strip())
    if _DECIMAL.fullmatch(text):
        return float(text)
    found = _PRICE.fullmatch(text)
    return float(_number(found)) if found else None


def _number(price: re.Match[str]) -> str:
    """Returns the number of a price without thousands separators and zero cents."""
    number, cents = re.sub(r"\D", "", price["whole"]), price["cents"] or ""
    return f"{number}.{cents:0<2}" if cents.strip("0-\u2013\u2014") else number


def _word(currency: str) -> str:
    return _SIGNS.get(currency.lower(), currency.lower())
