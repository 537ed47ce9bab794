"""How LAVIS finds us.

LAVIS 1.0.2 has no plug-in mechanism. A start-up file (`autoload/`) calls `register()` right after LAVIS's own
import, so that `load_model("fashionfae")`, `model_zoo`, `load_dataset("fashiongen_mini")` and
`python -m lavis.train` work without an import of ours.
"""

import importlib

# The packages whose import puts our classes into LAVIS's registry.
REGISTERED = ("processors", "datasets.builders", "models", "tasks", "runners")

_done = False


def register() -> None:
    """Registers everything of ours with LAVIS; a second call does nothing.

    Raises whatever the import of LAVIS or of one of our packages raises.
    """
    global _done
    # `import lavis` registers us too, through the start-up file: hence before the question.
    lavis = importlib.import_module("lavis")
    if _done:
        return
    # LAVIS does not import its own runners, and registers them only when somebody does.
    importlib.import_module("lavis.runners")
    for package in REGISTERED:
        importlib.import_module(f"fashionfae_lavis.{package}")
    # Both are lists made when LAVIS was imported, and held by name elsewhere: made anew in place.
    lavis.models.model_zoo.__init__()
    lavis.datasets.builders.dataset_zoo.__init__()
    importlib.import_module("fashionfae_lavis.loading").extend(lavis)
    _done = True
