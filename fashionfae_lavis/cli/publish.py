"""`fashionfae publish`: saves a model as a folder that others open by `load_model`, and uploads it to the hub."""

from pathlib import Path
from typing import Any

from fashionfae_lavis.errors import UserError


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Save a model with its vocabulary, configuration and model card, and optionally upload it to the model hub."
    parser = commands.add_parser("publish", help=text, description=text)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint, or mini, which ships with the package")
    parser.add_argument("folder", metavar="FOLDER", help="folder to write to")
    parser.add_argument("--data", help="the training data in a sentence (default: the names of the run's datasets)")
    parser.add_argument("--licence", default="unknown", help="the hub's name of a licence, such as cc-by-nc-4.0")
    parser.add_argument("--repo", metavar="ORG/NAME", help="also upload the folder to this model of the hub")
    parser.add_argument("--public", action="store_true", help="make a new model of the hub visible to everybody")
    parser.set_defaults(run=run)


def run(checkpoint: str, folder: str, data: str | None, licence: str, repo: str | None, public: bool) -> None:
    """Writes the folder and uploads it."""
    from fashionfae_lavis.models.hub import ID
    from fashionfae_lavis.models.saving import upload
    from fashionfae_lavis.models.sharing import open_shared

    if repo and not ID.fullmatch(repo):
        raise UserError(f"--repo {repo} is not the id of a model on the hub: use the form org/name.")
    shared, known = open_shared(checkpoint), _facts(Path(checkpoint))
    known |= {"data": data or known.get("data", ""), "licence": licence}
    shared.save(folder, repo, **known)
    print(f'{folder}: written; load_model("{shared.arch}", "{folder}") opens it')
    if repo:
        print(f"{upload(folder, repo, private=not public)}: uploaded")


def _facts(checkpoint: Path) -> dict[str, Any]:
    """Returns the datasets of a run and, if this is the checkpoint that it evaluated, its figures."""
    from pydantic import TypeAdapter

    from fashionfae_lavis.checkpoints import read_checkpoint
    from fashionfae_lavis.compare.outcomes import kind_of, outcome
    from fashionfae_lavis.files import read_json

    config = (read_checkpoint(checkpoint).get("config") or {}) if checkpoint.is_file() else {}
    if not {"datasets", "run"} <= config.keys():
        return {}
    facts: dict[str, Any] = {"data": f"Datasets: {', '.join(config['datasets'])}."}
    best, results = checkpoint.with_name("checkpoint_best.pth"), checkpoint.with_name("results.json")
    evaluated = best if best.exists() else checkpoint.with_name("checkpoint_last.pth")
    if checkpoint == evaluated and results.is_file() and kind_of(config):
        found = read_json(results, TypeAdapter(dict[str, Any]), "evaluate the run again, or remove the file")
        measured = outcome(config, found) if len(found) == 1 else None  # several splits have no common figures
        facts["figures"] = measured.figures if measured else {}
    return facts
