import pytest

from fashionfae_lavis.prepare.texts import Spellings, plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Soft<br/>wool</p>", "Soft wool"),
        ("&lt;b&gt;Bold&lt;/b&gt; &amp;amp; warm", "Bold & warm"),
        ("sizes < 40 and > 30", "sizes < 40 and > 30"),
        ("<style>p {a: b}</style>kept<!-- not -->", "kept"),
        ("two\n lines\tand\xa0more", "two lines and more"),
    ],
)
def test_plain_text(text, plain):
    assert plain_text(text) == plain


def test_one_spelling_for_each_value():
    spellings = Spellings(["colour", "fabric"])
    assert [spellings.of("colour", value) for value in ("Navy Blue", "navy-blue", "NAVY BLUE!", "Red", "-")] == [
        "Navy Blue",
        "Navy Blue",
        "Navy Blue",
        "Red",
        "",
    ]
    assert spellings.of("fabric", "navy blue") == "navy blue" and spellings.changed == 2
