"""Validation of a section of a configuration, with errors in one sentence that names the key and the mend."""

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Tag, ValidationError

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.schema.fields import Section, describe_conditioned
from fashionfae_lavis.suggestions import hint, nearest

S = TypeVar("S", bound=Section)


def validate(kind: type[S], value: Any, where: str, owner: str = "") -> S:
    """Checks a section against its class.

    Args:
        kind: the class.
        value: the section in plain containers.
        where: dotted path of the section, or its file and a colon.
        owner: the model or dataset that the section belongs to, for errors.

    Raises:
        UserError: a key is unknown or missing, or has a value that it cannot have.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        # A misspelled key explains a missing one.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        raise UserError(_sentence(kind, value, where, owner, first)) from None


def check_misspellings(section: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    """Raises UserError for a key that is not known, but very similar to a known one."""
    known = set(known)
    for key in section:
        if key not in known and nearest(key, known):
            raise unknown_key(where, key, known)


def unknown_key(where: str, key: Any, known: Iterable[str], owner: str = "") -> UserError:
    """Makes the error for a key that no code reads.

    Args:
        where: as in `validate`; empty for a whole configuration.
        key: the key.
        known: keys that the section may have.
        owner: as in `validate`.
    """
    known = sorted(known)
    name = key if isinstance(key, str) and key.strip() and key.isprintable() else show(key)
    of = f" of {owner}" if owner else ""
    meant = nearest(key, known)
    if meant:
        ending = f"did you mean {meant}?"
    else:
        ending = hint(key, known) if len(known) <= 12 else "docs/configuration.md lists all settings."
    return UserError(f"{_join(where, name)} is not a setting{of}; {ending}")


def above(key: str, value: int, limit_key: str, limit: int) -> UserError:
    """Makes the error for a setting that exceeds another."""
    return UserError(f"{key} is {value}, but must be at most {limit_key}, which is {limit}.")


def _join(where: str, key: Any) -> str:
    """Appends a key to a path."""
    return f"{where}{'' if not where or where.endswith(' ') else '.'}{key}"


def show(value: Any) -> str:
    """Shows a value as yaml would, shortened."""
    simple = {None: "null", True: "true", False: "false"}
    text = simple[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _sentence(kind: Any, value: Any, where: str, owner: str, error: Any) -> str:
    """Turns an error of pydantic into a sentence, by following its location in the type and in the value."""
    conditions: list[Any] = []
    path = where
    for part in error["loc"]:
        kind, more = _unwrap(kind)
        conditions = conditions + more
        arguments = typing.get_args(kind)
        if isinstance(kind, type) and issubclass(kind, Section):
            field = kind.model_fields.get(part)
            if field is None:
                break
            path, value = _join(path, part), value.get(part) if isinstance(value, Mapping) else None
            kind, conditions = field.annotation, list(field.metadata)
        elif typing.get_origin(kind) is list and isinstance(part, int):
            path, value, kind, conditions = f"{path}[{part}]", value[part], arguments[0], []
        elif typing.get_origin(kind) is dict and part in value:
            path, value, kind, conditions = _join(path, part), value[part], arguments[1], []
        else:  # the label of a member of a union
            chosen = [each for each in arguments if Tag(part) in getattr(each, "__metadata__", ())]
            if not chosen:
                break
            kind, conditions = chosen[0], []
    if error["type"] == "extra_forbidden":
        return str(unknown_key(path, error["loc"][-1], _unwrap(kind)[0].model_fields, owner))
    if error["type"] == "invalid_key" or error["loc"][-1:] == ("[key]",):
        return f"{path}: the key {show(error['input'])} must be text."
    words = describe_conditioned(kind, conditions)
    if error["type"] == "missing":
        return f"{path} is not set: set it to {words}."
    if error["type"] == "less_than_equal":  # the words leave out limits that only a mistake exceeds
        words = f"at most {error['ctx']['le']:,}"
    return f"{path} is {show(value)}, but must be {words}."


def _unwrap(kind: Any) -> tuple[Any, list[Any]]:
    """Strips `Annotated` and `| None` from a type; returns it with the conditions that were stripped."""
    conditions: list[Any] = []
    while True:
        if typing.get_origin(kind) is Annotated:
            kind, *rest = typing.get_args(kind)
            conditions += rest
            continue
        members = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else ()
        others = [each for each in members if each is not type(None)]
        if len(others) != 1:
            return kind, conditions
        kind = others[0]
