"""Types of settings, and their description in words for error messages and the documentation."""

import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

LARGEST = 10**9


class Section(BaseModel):
    """A mapping of settings. A field's docstring says what the setting does.

    Types are strict: true is not a number, 8.0 is not a whole number, and "8" is text. NaN and infinity are refused.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )


@dataclass(frozen=True)
class Must:
    """A condition on a value, with the words that describe the values that satisfy it."""

    words: str
    holds: Callable[[Any], bool]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: Any) -> Any:
            if not self.holds(value):
                raise ValueError(self.words)
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))


def one_of(names: Sequence[str]) -> Must:
    """Makes the condition that a value is one of `names`."""
    return Must(alternatives(names), lambda value: value in names)


def alternatives(names: Sequence[str]) -> str:
    """Returns names as `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


Text = Annotated[str, Must("text", lambda text: bool(text.strip()) and text.isprintable())]
Count = Annotated[int, Ge(1), Le(LARGEST)]
CountOrZero = Annotated[int, Ge(0), Le(LARGEST)]
Positive = Annotated[float, Gt(0)]
PositiveOrZero = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]  # of a whole
Decay = Annotated[float, Ge(0), Lt(1)]  # of a moving average


def describe(kind: Any) -> str:
    """Describes the values of a type.

    >>> describe(Count), describe(Positive | None), describe(list[Text])
    ('a whole number of at least 1', 'a number above 0 or null', 'a list of text')
    """
    conditions: tuple[Any, ...] = ()
    if typing.get_origin(kind) is Annotated:
        kind, *rest = typing.get_args(kind)
        conditions = tuple(rest)
    return describe_conditioned(kind, conditions)


def describe_conditioned(kind: Any, conditions: Sequence[Any]) -> str:
    """Describes the values of a type that satisfy conditions, which pydantic keeps apart from a field's type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    words = next((condition.words for condition in conditions if isinstance(condition, Must)), None)
    if words:
        return words
    if origin is Annotated:
        return describe_conditioned(arguments[0], [*arguments[1:], *conditions])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(each) for each in arguments))
    if kind in (int, float):
        return f"a {'whole ' if kind is int else ''}number{_bounds(conditions)}"
    if origin is list:
        filled = "non-empty " if any(isinstance(condition, MinLen) for condition in conditions) else ""
        return f"a {filled}list of {_plural(describe(arguments[0]))}"
    if origin is dict:
        filled = "non-empty " if any(isinstance(condition, MinLen) for condition in conditions) else ""
        return f"a {filled}mapping of names to {_plural(describe(arguments[1]))}"
    return {bool: "true or false", str: "text", type(None): "null", Any: "any value"}.get(kind, "a mapping")


def _bounds(conditions: Sequence[Any]) -> str:
    low = next((each for each in conditions if isinstance(each, Ge | Gt)), None)
    high = next((each for each in conditions if isinstance(each, Le | Lt)), None)
    if high is not None and getattr(high, "le", None) == LARGEST:
        high = None
    if isinstance(low, Ge) and isinstance(high, Le):
        return f" from {low.ge:,} to {high.le:,}"
    lowest = "" if low is None else f" of at least {low.ge:,}" if isinstance(low, Ge) else f" above {low.gt:,}"
    highest = "" if high is None else f" at most {high.le:,}" if isinstance(high, Le) else f" below {high.lt:,}"
    return lowest + (" and" if lowest and highest else "") + highest


def _plural(words: str) -> str:
    """Turns the description of one value into that of several."""
    for single, several in (("a whole number", "whole numbers"), ("a number", "numbers"), ("a mapping", "mappings")):
        words = words.replace(single, several)
    return words
