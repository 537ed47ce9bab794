"""Registers this package with LAVIS.

LAVIS 1.0.2 has no plug-in mechanism. A start-up file (`autoload/`) calls `register()` right after LAVIS is imported, so
that `load_model("fashionfae")`, `model_zoo`, `load_dataset("fashiongen_mini")` and `python -m lavis.train` work without
importing this package.
"""

import importlib

# Importing these packages adds their classes to LAVIS's registry.
REGISTERED = ("processors", "datasets.builders", "models", "tasks", "runners")

_done = False


def register() -> None:
    """Registers models, tasks, datasets, processors and the runner with LAVIS; a second call does nothing.

    Raises:
        Exception: whatever the import of LAVIS or of this package raises.
    """
    global _done
    # This import may already call `register` through the start-up file, so check `_done` after it.
    lavis = importlib.import_module("lavis")
    if _done:
        return
    # LAVIS registers its own runners only when they are imported.
    importlib.import_module("lavis.runners")
    for package in REGISTERED:
        importlib.import_module(f"fashionfae_lavis.{package}")
    # LAVIS fills both lists on import, and other modules hold references to them, so refill them in place.
    lavis.models.model_zoo.__init__()
    lavis.datasets.builders.dataset_zoo.__init__()
    importlib.import_module("fashionfae_lavis.loading").extend(lavis)
    importlib.import_module("fashionfae_lavis.waiting").watch_load()
    _done = True
