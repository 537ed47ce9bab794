import re
import sqlite3

import pytest

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.search.where import And, Comparison, Missing, Not, OneOf, Or, Where

COLUMNS = {
    "colour": "text",
    "sub category": "text",
    "price": "number",
    "in": "text",
    "a'b\"c": "text",
    "price.eur": "number",
}
NAMES = {column: f"c{number}" for number, column in enumerate(COLUMNS)}


def parse(text):
    return Where.parse(text, COLUMNS).condition


def test_precedence_of_not_and_or():
    blue, cheap, none = Comparison("colour", "=", "blue"), Comparison("price", "<", 60.0), Missing("sub category")
    assert parse("colour = 'blue' and price < 60 or sub category is null") == Or((And((blue, cheap)), none))
    assert parse("colour = 'blue' and (price < 60 or sub category is null)") == And((blue, Or((cheap, none))))
    assert parse("not colour = 'blue' and price<60") == And((Not(blue), cheap))
    assert parse("NOT (colour='blue' AND price<6e1)") == Not(And((blue, cheap)))


def test_values_and_names():
    assert parse("colour in ('it''s', '-- x', '')") == OneOf("colour", ("it's", "-- x", ""))
    assert parse("price not in (-1, +2.5, .5)") == Not(OneOf("price", (-1.0, 2.5, 0.5)))
    assert parse('"in" is not null') == Not(Missing("in"))
    assert parse('"a\'b""c" <> \'👗\'') == Comparison("a'b\"c", "!=", "👗")
    assert parse("price.eur >= 3") == Comparison("price.eur", ">=", 3.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("color = 'blue'", "names 'color' (character 1), which is no column of the index; did you mean colour?"),
        ("price < 60 and", "at character 15: it ends where a column should be"),
        ("colour = blue", "at character 10: it has blue where a text in single quotes should be"),
        ("colour = 'blue", "at character 10: a quotation mark without its partner"),
        ("price < '60'", "at character 9: the column price holds numbers"),
        ("colour = 60", "at character 10: the column colour holds text; write '60'"),
        ("price == 60", "at character 8: it has = where a number should be"),
        ("price < 1e999", "at character 9: 1e999 is too large"),
        ("price = null", "no value equals null; write price is null"),
        ("(price < 1", "at character 11: it ends where `)` should be"),
        ("price < 1)", "at character 10: it has ) where `and`, `or` or the end should be"),
        ("price < 1; drop table products", "at character 10: ';' cannot be read"),
        ("colour in ()", "at character 12: it has ) where"),
        ("", "at character 1: it ends where a column should be"),
        ("colour = 'a\0'", "not text"),
        ("colour = '\ud800'", "not text"),
        ("colour = '" + "x" * 10_000 + "'", "more than 10000"),
        ("not " * 31 + "price < 1", "at character 121: more than 30"),
        ("(" * 3000, "more than 30"),
        (" or ".join(["price < 1"] * 201), "more than 200 comparisons"),
    ],
)
def test_mistakes_are_one_sentence(text, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        parse(text)
    assert "\n" not in str(error.value)


def test_both_kinds_of_sql_keep_the_rows_that_they_should():
    database = sqlite3.connect(":memory:")
    database.execute("create table products (id integer, c0 text, c1 text, c2 real, c3 text, c4 text, c5 real)")
    products = [(1, "blue", "it's", 50), (2, "navy", None, 70), (3, "red", "x", None), (4, None, "x", 10)]
    database.executemany("insert into products (id, c0, c1, c2) values (?, ?, ?, ?)", products)
    expected = {
        "colour in ('blue', 'navy') and price < 60": {1},
        "sub category = 'it''s' or sub category is null": {1, 2},
        "not colour = 'blue'": {2, 3},
        "not (price >= 60) and colour is not null": {1},
        "price not in (50, 10)": {2},
        "colour = ''' or 1=1 --'": set(),
        "colour >= 'c' and colour != 'red'": {2},
    }
    for text, ids in expected.items():
        where = Where.parse(text, COLUMNS)
        quoted = database.execute(f"select id from products where {where.sql_lance(NAMES)}").fetchall()
        sql, values = where.sql_postgres(NAMES)
        given = database.execute(f"select id from products where {sql.replace('%s', '?')}", values).fetchall()
        assert {row[0] for row in quoted} == {row[0] for row in given} == ids, text
        assert "'" not in sql


def test_choices_make_a_filter():
    chosen = Where.choose({"colour": ["blue", "it's"], "sub category": []}, COLUMNS)
    assert chosen == Where(And((OneOf("colour", ("blue", "it's")),)))
    assert chosen.sql_lance(NAMES) == "(c0 IN ('blue', 'it''s'))"
    assert Where.choose({"colour": []}, COLUMNS) is None
    cheap = Where.parse("price < 1 or price > 2", COLUMNS)
    assert (cheap & chosen).sql_lance(NAMES) == "((c2 < 1.0) OR (c2 > 2.0)) AND ((c0 IN ('blue', 'it''s')))"
    assert cheap & None == cheap
    with pytest.raises(UserError, match="did you mean colour"):
        Where.choose({"color": ["blue"]}, COLUMNS)
    with pytest.raises(UserError, match="holds numbers"):
        Where.choose({"price": ["60"]}, COLUMNS)
