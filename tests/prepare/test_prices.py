import pytest

from fashionfae_lavis.prepare.prices import price_value, price_words
from fashionfae_lavis.prepare.texts import Spellings
from fashionfae_lavis.text.product_text import normalise


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$35", "35 dollars"),
        ("35,00 €", "35 euros"),
        ("USD 1,299.00", "1299 dollars"),
        ("35.-", "35"),
        ("35,–", "35"),
        ("CHF 35.--", "35 francs"),
        ("€34,9", "34.90 euros"),
        ("34.90 EUR", "34.90 euros"),
        ("US$ 12.05", "12.05 dollars"),
        ("1.299 €", "1299 euros"),
        ("1.299.000,50 €", "1299000.50 euros"),
        ("1\u202f299,00\xa0€", "1299 euros"),
        ("CHF 1'299.00", "1299 francs"),
        ("1299.00 kr", "1299 kroner"),
        ("£0.99", "0.99 pounds"),
        ("₹1,000", "1000 rupees"),
        ("CAD 35", "35 cad"),
        ("35 sek", "35 sek"),
    ],
)
def test_prices(text, words):
    assert price_words(text) == words
    assert normalise(words) == words  # the model reads it as it is
    assert price_words(words) == words


@pytest.mark.parametrize(
    "prices",
    [
        ("$35", "35 $", "USD 35", "35.00 usd", "US$35"),
        ("€35", "35,00 EUR"),
        ("£35", "GBP 35"),
        ("¥3500", "3,500 JPY"),
        ("Fr. 35.-", "CHF 35"),
        ("35 zł", "PLN 35"),
    ],
)
def test_signs_and_codes_of_a_currency_are_one_value(prices):
    assert len({price_words(price) for price in prices}) == 1
    spellings = Spellings(["price"])
    assert len({spellings.of("price", price_words(price)) for price in prices}) == 1 and not spellings.merged


@pytest.mark.parametrize(
    "text",
    ["35", "35.00", "1,299.00", "50%", "$", "USD", "36-38", "$35 - $50", "$35 EUR", "1,29,00 €", "35 cm", "Krone 3", ""]
    + ["100% cotton", "35 €/m", "-5", "$3.999999", "12.345,678 €"],
)
def test_other_texts_stay(text):
    assert price_words(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$35", 35),
        ("1.299,00 €", 1299),
        ("12.5", 12.5),
        ("1,299.00", 1299),
        ("1.299", 1299),
        ("19.989999", 19.989999),
        ("35.-", 35),
        ("9.90 dollars", 9.9),
        ("120 z\u0142oty", 120),
        ("$1,299.00", 1299),
    ],
)
def test_numbers_of_prices(text, value):
    assert price_value(text) == price_value(price_words(text)) == value


@pytest.mark.parametrize("text", ["", "from 35", "35-40", "35 dollars, 40 dollars", "free", "-5"])
def test_texts_without_one_price_have_no_number(text):
    assert price_value(text) is None
