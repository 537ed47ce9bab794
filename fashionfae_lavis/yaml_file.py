"""Reading of yaml files that a user wrote, with errors in one sentence."""

import io
from itertools import islice
from pathlib import Path
from typing import cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fashionfae_lavis.errors import UserError

MAX_BYTES = 1_000_000
MAX_DEPTH = 20  # of nested mappings and lists; the parser below recurses
# What yaml and OmegaConf raise for text that they cannot read. A tag such as `!!bool maybe` raises the last four.
UNREADABLE = (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError, AttributeError, LookupError)


def read_yaml(path: Path, what: str = "configuration file") -> DictConfig:
    """Reads a yaml file that holds a mapping. Interpolations `${...}` stay unresolved.

    OmegaConf rejects duplicate keys, tags of Python objects, and aliases that expand to very many nodes.

    Args:
        path: the file.
        what: what it is, for the error if it is missing.

    Raises:
        UserError: the file is missing or cannot be read, or is not a mapping in yaml and UTF-8.
    """
    try:
        if not path.exists():
            raise UserError(f"There is no {what} {path} (working directory: {Path.cwd()}).")
        if not path.is_file():
            raise UserError(f"{path} is not a regular file.")
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} has more than {MAX_BYTES:,} bytes: name a yaml file with settings.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{str(path)[:200]} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a yaml configuration: byte {error.start} is not UTF-8.") from error
    try:
        check_depth(text)
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        root = next(islice(events, 2, None), None)  # the first two start the stream and the document
        if not isinstance(root, yaml.MappingStartEvent | None):
            raise UserError(f"{path} is not a yaml configuration: it must hold a mapping (`key: value`).")
        return cast(DictConfig, OmegaConf.load(io.StringIO(text)))
    except UNREADABLE as error:
        raise UserError(f"{path} is not a yaml configuration: {reason(error)}.") from error


def check_depth(text: str) -> None:
    """Checks that yaml is not nested too deeply to be parsed.

    Raises:
        ValueError: it is nested more than `MAX_DEPTH` levels deep.
        yaml.YAMLError: it is not yaml.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"line {event.start_mark.line + 1} is nested more than {MAX_DEPTH} levels deep")


def reason(error: Exception) -> str:
    """Returns the cause and place of an error of yaml or OmegaConf in one line, without a full stop."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        message = f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    else:
        message = str(error).strip().partition("\n")[0] or type(error).__name__
    return message[:200].rstrip(".")
