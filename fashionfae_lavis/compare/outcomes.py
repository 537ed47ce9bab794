"""The figures and the protocol of an evaluation. Figures are compared only if their protocols agree."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from lavis.common.registry import registry

from fashionfae_lavis.datasets.builders.catalogue import find_catalogue
from fashionfae_lavis.datasets.datasets.catalogue_file import read_head
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.joint import AUTO, splits_to_test
from fashionfae_lavis.schema.datasets import DATASETS, SPLITS, FashionGen, FashionIQ
from fashionfae_lavis.tasks.base import FashionTask

RETRIEVAL, RECOGNITION, PROBE = KINDS = ("retrieval", "recognition", "attribute probe")

# The fields protocol, figures and chance of an `Outcome`.
Measured = tuple[dict[str, str], dict[str, float], dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """One evaluation of one system.

    Attributes:
        kind: one of `KINDS`.
        protocol: setting that must agree between systems -> its value.
        figures: dotted name, such as "retrieval.description.full.i2t_r1" -> percent.
        chance: the same names -> percent by random guessing.
    """

    kind: str
    protocol: dict[str, str]
    figures: dict[str, float] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)

    as_dict = asdict


def kind_of(config: Mapping[str, Any]) -> str | None:
    """Returns the kind of evaluation of a configuration's task; None if it is not in `KINDS`."""
    task = registry.get_task_class(config["run"]["task"])
    return task.evaluation_kind if task and issubclass(task, FashionTask) else None


def _folder(data: Mapping[str, Any]) -> Any:
    """Returns the folder in a dataset's configuration: `root` of a catalogue, `storage` of LAVIS's datasets."""
    if "root" in data:
        return data["root"]
    return ((data.get("build_info") or {}).get("images") or {}).get("storage")


def planned_outcome(config: Mapping[str, Any]) -> Outcome | None:
    """Returns the protocol that a configuration (plain containers) sets; None if its kind is not in `KINDS`."""
    kind = kind_of(config)
    if kind is None:
        return None
    run, model, datasets = config["run"], config["model"], config["datasets"]
    storage = [_folder(data) for data in datasets.values()]
    protocol = {
        "data": ", ".join(datasets),
        "data's folder": ", ".join(map(str, storage)),
        "split": ", ".join(_tested_splits(run, datasets)),
    }
    if kind == RECOGNITION:
        (data,) = datasets.values()
        processor = (data.get("text_processor") or {}).get("eval") or {}
        mode = processor.get("mode") if model.get("use_text", True) else "no text"
        protocol |= {"label": str(data.get("label")), "text mode": str(mode)}
    if kind == PROBE:
        protocol |= {"probe_products": str(run.get("probe_products", 500)), "seed of the pairs": str(run.get("seed"))}
    return Outcome(kind, protocol)


def _tested_splits(run: Mapping[str, Any], datasets: Mapping[str, Any]) -> list[str]:
    """Returns `run.test_splits`; replaces `auto` by the split it stands for, if that is known before the run."""
    given = list(run.get("test_splits") or [])
    if AUTO not in given:
        return given
    known = {name: dict.fromkeys(_splits(name, data)) for name, data in datasets.items()}
    return splits_to_test(run, known) if all(known.values()) else given


def _splits(name: str, data: Mapping[str, Any]) -> Iterable[str]:
    """Returns the splits of a dataset; none if they depend on files that do not exist."""
    kind = DATASETS.get(name)
    if kind in (FashionGen, FashionIQ):
        return SPLITS[kind]
    folder = find_catalogue(data["root"]) if data.get("root") else None
    with suppress(UserError):  # the run will report a damaged catalogue
        return [split for split, count in read_head(folder)["products"].items() if count] if folder else []
    return []


def outcome(config: Mapping[str, Any], results: Mapping[str, Any]) -> Outcome | None:
    """Returns the outcome of a run, from its configuration and its results.json; None if it has no results.

    Raises:
        UserError: the run tested several splits, its evaluation is not in `KINDS`, or its files were edited.
    """
    if not results:
        return None
    try:
        planned = planned_outcome(config)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"config.yaml is not the configuration of an evaluation ({error!r}): run it again.") from error
    if planned is None:
        known = ", ".join(KINDS)
        raise UserError(f"Results of the task {config['run']['task']} cannot be compared: use {known}.")
    if len(results) > 1:
        raise UserError(f"run.test_splits: a run to be compared must test one split, not {', '.join(results)}.")
    ((split, measured),) = results.items()
    read = {RETRIEVAL: _retrieval, RECOGNITION: _recognition, PROBE: _probe}[planned.kind]
    try:
        protocol, figures, chance = read(measured)
        for named in (figures, chance):
            _check_numbers(named)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"The results of {split} are not those of {planned.kind} ({error!r}): evaluate the run again."
        ) from error
    return Outcome(planned.kind, planned.protocol | {"split": split} | protocol, figures, chance)


def _check_numbers(figures: Mapping[str, Any]) -> None:
    for name, value in figures.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}, not a number")


def check_agreement(outcomes: Iterable[tuple[str, Outcome]]) -> None:
    """Checks that all outcomes of a kind have the same protocol.

    Args:
        outcomes: pairs of a system's name and its outcome.

    Raises:
        UserError: two outcomes of a kind differ; the message names the setting.
    """
    first: dict[str, tuple[str, Outcome]] = {}
    for name, found in outcomes:
        other, before = first.setdefault(found.kind, (name, found))
        for setting in {**before.protocol, **found.protocol}:
            values = [one.protocol.get(setting, "not recorded") for one in (before, found)]
            if values[0] != values[1]:
                raise UserError(
                    f"The {found.kind} of {other} and of {name} cannot be compared: their {setting} differs "
                    f"({values[0]}, and {values[1]})."
                )


def _retrieval(measured: Mapping[str, Any]) -> Measured:
    modes = [mode for mode, value in measured.items() if isinstance(value, dict) and "full" in value]
    sub, by_chance = measured[modes[0]]["sub"], measured["chance"]
    figures: dict[str, float] = {}
    chance: dict[str, float] = {}
    for mode in modes:
        tests = {"full": measured[mode]["full"]}
        if "reranked" in measured[mode]:  # a separate name for each number of candidates
            tests[f"reranked_{measured[mode]['reranked']['k_test']}"] = measured[mode]["reranked"]
        for test, recalls in tests.items():
            figures |= {f"retrieval.{mode}.{test}.{name}": recalls[name] for name in _recall_names()}
        figures[f"retrieval.{mode}.sub.mean"] = measured[mode]["sub"]["mean"]
        guessed = {f"{way}_r{k}": min(100.0, k * by_chance) for way in ("i2t", "t2i") for k in (1, 5, 10)}
        guessed["mean"] = sum(guessed.values()) / len(guessed)
        chance |= {f"retrieval.{mode}.full.{name}": value for name, value in guessed.items()}
    protocol = {
        "text mode": ", ".join(modes),
        "number of products": f"{100 / by_chance:.0f}",
        "lists of the sub-test": str(measured.get("sub_test_lists", "not recorded")),
        "queries of the sub-test": str(sub["queries"]),
    }
    return protocol, figures, chance


def _recall_names() -> list[str]:
    return [f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)] + ["mean"]


def _recognition(measured: Mapping[str, Any]) -> Measured:
    names = ("accuracy", "macro_f1")
    protocol = {"number of images": str(measured["images"]), "number of classes": str(measured["classes"])}
    figures, chance = ({f"recognition.{name}": side[name] for name in names} for side in (measured, measured["chance"]))
    return protocol, figures, chance


def _probe(measured: Mapping[str, Any]) -> Measured:
    """Averages over the attributes that photographs show."""
    seen = {name: row for name, row in measured["attributes"].items() if row["seen"]}
    pairs = [row["pairs"]["accuracy"] for row in seen.values() if "pairs" in row]
    figures = {"probe.values": _mean(row["itc"]["accuracy"] for row in seen.values())}
    chance = {"probe.values": _mean(row["chance"] for row in seen.values())}
    for key, name in {"photo_only": "probe.photo_only", "linear_probe": "probe.linear"}.items():
        if all(key in row for row in seen.values()):  # results of earlier versions lack them
            figures[name] = _mean(row[key]["accuracy"] for row in seen.values())
            chance[name] = chance["probe.values"]
    if pairs:
        figures["probe.pairs"], chance["probe.pairs"] = _mean(pairs), 50.0
    asked = [
        f"{name} {row['products']}/{row['values']}/{row['pairs']['n'] if 'pairs' in row else 0}"
        for name, row in seen.items()
    ]
    return {"attributes (products/values/pairs)": ", ".join(asked)}, figures, chance


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)
