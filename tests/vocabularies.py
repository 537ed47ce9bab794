"""Vocabularies for tests, and checkpoints that carry them."""

import shutil
from pathlib import Path

from omegaconf import OmegaConf
from tiny import CONFIG

from fashionfae_lavis.checkpoints import save_atomically, save_safetensors
from fashionfae_lavis.models.configuration import shipped

MINI = Path(shipped("vocabularies", "mini"))
WORDS = (MINI / "vocab.txt").read_text().splitlines()


def write_vocabulary(folder: Path, words=WORDS, config: str | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_bytes(words if isinstance(words, bytes) else "\n".join(words).encode())
    shutil.copy(MINI / "tokenizer_config.json", folder)
    if config is not None:
        (folder / "tokenizer_config.json").write_text(config)
    return folder


def turned(words=WORDS):
    """The vocabulary with its words in another order: as large, but with other ids."""
    return [*words[:5], *words[6:], words[5]]


def save(model, path, **config):
    """Saves a model as a run does, with a relative path of its vocabulary."""
    section = OmegaConf.to_container(OmegaConf.load(CONFIG).model) | {"arch": model.ARCH, "vocabulary": "data/words"}
    config = {"model": section, "vocabulary": model.carried_vocabulary(), **config}
    if path.suffix == ".pth":
        save_atomically({"model": model.state_dict(), "config": config}, path)
    else:
        save_safetensors(model.state_dict(), config, path)
