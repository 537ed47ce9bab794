"""Filters of an index, such as `colour in ('blue', 'navy') and price < 60 or material is null`.

The syntax is the part of SQL's WHERE that compares columns with values:

    column = 'text'     also != <> < <= > >=; numbers without quotes; '' inside quotes is an apostrophe
    column in ('a', 'b')            column not in (1, 2)
    column is null                  column is not null
    not ..., ... and ..., ... or ..., ( ... )

A name that is a keyword or holds other characters than letters, digits, spaces and `_ . -` is written in double quotes.
As in SQL, a missing value is neither equal to a value nor different from it; only `is null` finds it.

A filter becomes a tree of typed nodes, and an engine's SQL is made from these. Text of the user reaches an engine as a
parameter or as a quoted literal, and columns under names that the index gave them.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.suggestions import hint

ColumnType = Literal["text", "number"]
Value = str | float

LONGEST = 10_000  # characters
DEEPEST = 30  # parentheses and `not` inside each other
MOST_CONDITIONS = 200  # engines parse and plan with recursion

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
KEYWORDS = ("and", "or", "not", "in", "is", "null")
TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<word>\w[\w.-]*)
    |(?P<sign><>|[!<>]=|[=<>(),])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Comparison:
    """`column operator value`."""

    column: str
    operator: str  # one of OPERATORS
    value: Value


@dataclass(frozen=True)
class OneOf:
    """`column in (values)`."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Missing:
    """`column is null`."""

    column: str


@dataclass(frozen=True)
class Not:
    """`not condition`."""

    condition: "Condition"


@dataclass(frozen=True)
class And:
    """All conditions."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True)
class Or:
    """Any of the conditions."""

    conditions: tuple["Condition", ...]


Condition = Comparison | OneOf | Missing | Not | And | Or


@dataclass(frozen=True)
class Where:
    """A filter whose columns and types are those of an index."""

    condition: Condition

    @classmethod
    def parse(cls, text: str, columns: Mapping[str, ColumnType]) -> "Where":
        """Reads a filter.

        Args:
            text: the filter.
            columns: columns of the index with their types.

        Raises:
            UserError: the filter is too long or too deep, its syntax is wrong, a column is unknown, or a value has the
                wrong type.
        """
        return cls(_Parser(text, columns).parse())

    @classmethod
    def choose(cls, choices: Mapping[str, Collection[str]], columns: Mapping[str, ColumnType]) -> "Where | None":
        """Returns the filter for products with one of the chosen values in each column, None if nothing is chosen.

        Args:
            choices: text column -> values; an empty collection chooses nothing.
            columns: columns of the index with their types.

        Raises:
            UserError: a column is unknown or holds numbers, a value cannot be stored, or there are too many.
        """
        conditions: list[Condition] = []
        for column, values in choices.items():
            if column not in columns:
                raise UserError(f"The index has no column {column!r}; {hint(column, columns)}")
            if columns[column] != "text":
                raise UserError(f"The column {column} holds numbers: compare it in a filter, such as {column} < 60.")
            if sum(map(len, values)) > LONGEST or not all(map(can_be_stored, values)):
                raise UserError(f"The values chosen for the column {column} are too long or damaged: choose others.")
            if values:
                conditions.append(OneOf(column, tuple(values)))
        return cls(And(tuple(conditions))) if conditions else None

    def __and__(self, other: "Where | None") -> "Where":
        """Returns the filter for products that both filters keep."""
        return self if other is None else Where(And((self.condition, other.condition)))

    def sql_lance(self, names: Mapping[str, str]) -> str:
        """Returns the filter for LanceDB, which takes no parameters; texts are quoted.

        Args:
            names: column -> its SQL name in the index.
        """
        return _sql(self.condition, names, _literal)

    def sql_postgres(self, names: Mapping[str, str]) -> tuple[str, list[Value]]:
        """Returns the filter for psycopg, with `%s` for each value, and the values.

        Args:
            names: column -> its SQL name in the index.
        """
        values: list[Value] = []

        def parameter(value: Value) -> str:
            values.append(value)
            return "%s"

        return _sql(self.condition, names, parameter), values


def _sql(condition: Condition, names: Mapping[str, str], value: Callable[[Value], str]) -> str:
    """Returns the SQL of a condition; `value` makes that of a value, from left to right."""
    match condition:
        case Comparison(column, operator, given):
            assert operator in OPERATORS
            return f"{names[column]} {operator} {value(given)}"
        case OneOf(column, values):
            return f"{names[column]} IN ({', '.join(map(value, values))})"
        case Missing(column):
            return f"{names[column]} IS NULL"
        case Not(inner):
            return f"NOT ({_sql(inner, names, value)})"
        case And(parts):
            return " AND ".join(f"({_sql(part, names, value)})" for part in parts)
        case Or(parts):
            return " OR ".join(f"({_sql(part, names, value)})" for part in parts)


def _literal(value: Value) -> str:
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    """Returns a text as an SQL literal.

    >>> quoted("women's")
    "'women''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def can_be_stored(text: str) -> bool:
    """Returns whether both engines can hold a text: no null character and no lone surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


class _Token(NamedTuple):
    kind: str  # a group of TOKEN, "keyword", or "end"
    text: str
    start: int


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str, columns: Mapping[str, ColumnType]):
        self.text = text
        self.columns = columns
        self.depth = 0
        self.conditions = 0
        if len(text) > LONGEST:
            raise UserError(f"The filter has {len(text)} characters, more than {LONGEST}: shorten it.")
        if not can_be_stored(text):
            raise UserError("The filter holds a character that is not text: type it again.")
        self.tokens = self._tokens()
        self.at = 0

    def parse(self) -> Condition:
        condition = self._any()
        if self._next.kind != "end":
            self._refuse("`and`, `or` or the end")
        return condition

    def _tokens(self) -> list[_Token]:
        tokens, start = [], 0
        while (start := self._skip_spaces(start)) < len(self.text):
            match = TOKEN.match(self.text, start)
            if match is None or match.lastgroup is None:
                what = "a quotation mark without its partner" if self.text[start] in "'\"" else repr(self.text[start])
                self._fail(start, f"{what} cannot be read; texts are written in single quotes, as in colour = 'blue'")
            kind, found = match.lastgroup, match.group()
            if kind == "word" and found.lower() in KEYWORDS:
                kind, found = "keyword", found.lower()
            tokens.append(_Token(kind, found, start))
            start = match.end()
        return [*tokens, _Token("end", "", len(self.text))]

    def _skip_spaces(self, start: int) -> int:
        while start < len(self.text) and self.text[start].isspace():
            start += 1
        return start

    @property
    def _next(self) -> _Token:
        return self.tokens[self.at]

    def _take(self, *texts: str) -> bool:
        """Goes past the next token if it is one of these keywords or signs."""
        taken = self._next.kind in ("keyword", "sign") and self._next.text in texts
        self.at += taken
        return taken

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._refuse(f"`{text}`")

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Condition:
        start = self._next.start
        if self._take("not"):
            with_not = True
        elif self._take("("):
            with_not = False
        else:
            return self._comparison()
        self.depth += 1
        if self.depth > DEEPEST:
            self._fail(start, f"more than {DEEPEST} parentheses and `not` inside each other are not read")
        condition = Not(self._one()) if with_not else self._any()
        if not with_not:
            self._expect(")")
        self.depth -= 1
        return condition

    def _comparison(self) -> Condition:
        self.conditions += 1
        if self.conditions > MOST_CONDITIONS:
            self._fail(self._next.start, f"more than {MOST_CONDITIONS} comparisons are not read; use `in (...)`")
        column = self._column()
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return Not(Missing(column)) if negated else Missing(column)
        if self._take("in"):
            return self._one_of(column)
        if self._take("not"):
            self._expect("in")
            return Not(self._one_of(column))
        operator = self._next.text
        if not self._take(*OPERATORS, "<>"):
            self._refuse(f"{', '.join(OPERATORS)}, `in` or `is null`")
        return Comparison(column, "!=" if operator == "<>" else operator, self._value(column))

    def _column(self) -> str:
        first = self._next
        if first.kind == "quoted":
            self.at += 1
            name = first.text[1:-1].replace('""', '"')
        else:
            while self._next.kind in ("word", "number"):  # a name may have several words
                self.at += 1
            if self._next is first:
                self._refuse("a column")
            last = self.tokens[self.at - 1]
            name = self.text[first.start : last.start + len(last.text)]
        if name not in self.columns:
            raise UserError(
                f"The filter names {name!r} (character {first.start + 1}), which is no column of the index; "
                f"{hint(name, self.columns)}"
            )
        return name

    def _one_of(self, column: str) -> OneOf:
        self._expect("(")
        values = [self._value(column)]
        while self._take(","):
            values.append(self._value(column))
        self._expect(")")
        return OneOf(column, tuple(values))

    def _value(self, column: str) -> Value:
        token, kind = self._next, self.columns[column]
        if token.kind == "keyword" and token.text == "null":
            self._fail(token.start, f"no value equals null; write {column} is null")
        if token.kind not in ("text", "number"):
            self._refuse("a text in single quotes" if kind == "text" else "a number")
        self.at += 1
        if kind == "text" and token.kind == "number":
            self._fail(token.start, f"the column {column} holds text; write '{token.text}'")
        if token.kind == "text":
            if kind == "number":
                self._fail(token.start, f"the column {column} holds numbers; write one without quotes")
            return token.text[1:-1].replace("''", "'")
        number = float(token.text)
        if not math.isfinite(number):
            self._fail(token.start, f"{token.text} is too large")
        return number

    def _refuse(self, expected: str) -> NoReturn:
        found = "it ends" if self._next.kind == "end" else f"it has {self._next.text}"
        self._fail(self._next.start, f"{found} where {expected} should be")

    def _fail(self, start: int, problem: str) -> NoReturn:
        raise UserError(f"The filter cannot be read at character {start + 1}: {problem}.")
