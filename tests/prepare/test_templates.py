import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.prepare.templates import TitleTemplate

COLUMNS = ["brand", "main colour", "type"]


@pytest.mark.parametrize(
    ("template", "texts", "title"),
    [
        ("{brand} {main colour} {type}", {"brand": "Acme", "main colour": "red", "type": "coat"}, "Acme red coat"),
        ("{brand} {main colour} {type}", {"brand": "Acme", "main colour": "", "type": "coat"}, "Acme coat"),
        ("{brand} - {type}", {"type": "coat"}, "coat"),
        ("{brand} - {type}", {"brand": "Acme", "type": ""}, "Acme"),
        ("A {type} by {brand}", {"brand": "", "type": ""}, ""),
        ("{{{type}}}", {"type": "{brand}"}, "{{brand}}"),
    ],
)
def test_empty_columns_leave_no_gap(template, texts, title):
    assert TitleTemplate(template, COLUMNS).title(texts) == title


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{maker} {type}", "--title {maker} {type}: the table has no column 'maker'; use one of brand, main colour"),
        ("{type:d}", "is malformed (braces hold nothing but the name of a column): write it like {brand} {type}."),
        ("{type", "is malformed"),
        ("Coat", "must have a column in braces"),
    ],
)
def test_mistakes_are_named(template, message):
    with pytest.raises(UserError) as caught:
        TitleTemplate(template, COLUMNS)
    assert message in str(caught.value)
