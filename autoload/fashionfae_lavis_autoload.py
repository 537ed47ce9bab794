"""Registers fashionfae_lavis with LAVIS, which has no plug-in mechanism.

`fashionfae_lavis.pth` imports this module whenever Python starts, so it must stay tiny: it puts one finder on
`sys.meta_path` and imports neither torch nor lavis. The finder does three things:

* Before LAVIS loads torch, it imports `fashionfae_lavis`, which configures torch's threads.
* After the outermost import of LAVIS, or of a module of this package that imported LAVIS, it calls
  `fashionfae_lavis.plugin.register()` once.
* It provides `lavis.train` and `lavis.evaluate` if LAVIS lacks them, from this package's modules of the same names.

`FASHIONFAE_LAVIS_AUTOLOAD=0` in the environment turns it off; `import fashionfae_lavis` then installs the finder.
"""

import os
import sys

_PROVIDED = {"lavis.train": "fashionfae_lavis.train", "lavis.evaluate": "fashionfae_lavis.evaluate"}


class _Finder:
    """Finder that delegates to the other finders, and watches the imports of LAVIS and of this package."""

    def find_spec(self, name, path=None, target=None):
        if name == "lavis" and _PROVIDED.keys() & {*sys.orig_argv}:
            _end_quietly_on_ctrl_c()
        if name == "lavis" or name.startswith("fashionfae_lavis."):
            spec = self._ask_others(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _WatchedLoader(spec.loader)
            return spec
        if name in _PROVIDED:
            return self._ask_others(name, path, target) or _provided_spec(name)
        return None

    def _ask_others(self, name, path, target):
        for finder in sys.meta_path:
            find_spec = None if finder is self else getattr(finder, "find_spec", None)
            spec = find_spec and find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


class _WatchedLoader:
    """Wrapper of the original loader that calls `_register_when_due` after the module has been executed."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader  # leave no trace on the module
        _importing.append(module.__name__)
        try:
            if module.__name__ == "lavis":
                _configure_threads()
            self._loader.exec_module(module)
        finally:
            _importing.pop()
        _register_when_due()


class _MainLoader:
    """Loader of `lavis.train` as a module that has the `main` of `fashionfae_lavis.train` and calls it when run."""

    def __init__(self, source_module):
        self._source_module = source_module

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name):
        source = f"from {self._source_module} import main\nif __name__ == '__main__':\n    main()\n"
        return compile(source, f"<{name}>", "exec")


def _configure_threads():
    from contextlib import suppress

    with suppress(Exception):  # registration fails in the same way and reports it
        import fashionfae_lavis  # noqa: F401


def _end_quietly_on_ctrl_c():
    """Avoids a stack trace while the programs import LAVIS, which takes seconds; they then handle Ctrl-C themselves."""
    import signal

    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


_finder = _Finder()
_importing: list[str] = []  # watched modules whose import has not ended, the outermost first
_attempted = False  # whether registration has been tried


def install():
    """Installs the finder once, and registers immediately if LAVIS is imported already."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _register_when_due()


def _register_when_due():
    global _attempted
    # Registration imports the whole package. A partly imported module would lack names that other modules import from
    # it, so wait until the outermost import has ended.
    if _importing or _attempted or "lavis" not in sys.modules:
        return
    _attempted = True
    try:
        from fashionfae_lavis.plugin import register

        register()
    except Exception as error:
        import warnings

        warnings.warn(
            f"fashionfae-lavis failed to register, so LAVIS works without it: "
            f"{type(error).__name__}: {error} (FASHIONFAE_LAVIS_AUTOLOAD=0 turns registration off)",
            RuntimeWarning,
            stacklevel=2,
        )


def _provided_spec(name):
    from importlib.util import find_spec, spec_from_loader

    source = find_spec(_PROVIDED[name])
    return source and spec_from_loader(name, _MainLoader(source.name), origin=source.origin)


if os.environ.get("FASHIONFAE_LAVIS_AUTOLOAD") != "0":
    install()
