"""Lets LAVIS find fashionfae_lavis, which LAVIS itself offers no way to do.

`fashionfae_lavis.pth` imports this module at every start of Python, so it must stay tiny: it puts one finder
on `sys.meta_path` and imports neither torch nor lavis. The finder does two things:

* when the outermost import of LAVIS, or of a module of ours that pulled LAVIS in, has ended, it calls
  `fashionfae_lavis.plugin.register()`, once;
* it answers for `lavis.train` and `lavis.evaluate` where LAVIS has none, with our modules of those names.

`FASHIONFAE_LAVIS_AUTOLOAD=0` in the environment turns it off; `import fashionfae_lavis` then puts the finder
in place by hand.
"""

import os
import sys

_STAND_INS = {"lavis.train": "fashionfae_lavis.train", "lavis.evaluate": "fashionfae_lavis.evaluate"}


class _Finder:
    """Finds what the other finders find, and watches over the imports of LAVIS and of our modules."""

    def find_spec(self, name, path=None, target=None):
        if name == "lavis" or name.startswith("fashionfae_lavis."):
            spec = self._ask_others(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _WatchedLoader(spec.loader)
            return spec
        if name in _STAND_INS:
            return self._ask_others(name, path, target) or _stand_in(name)
        return None

    def _ask_others(self, name, path, target):
        for finder in sys.meta_path:
            find_spec = None if finder is self else getattr(finder, "find_spec", None)
            spec = find_spec and find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


class _WatchedLoader:
    """The loader that was found; calls `_register_when_due` after it has run the module."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader  # leave no trace on the module
        _under_way.append(module.__name__)
        try:
            self._loader.exec_module(module)
        finally:
            _under_way.pop()
        _register_when_due()


class _StandInLoader:
    """Makes `lavis.train` a module that has, and when run calls, the `main` of `fashionfae_lavis.train`."""

    def __init__(self, ours):
        self._ours = ours

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name):
        source = f"from {self._ours} import main\nif __name__ == '__main__':\n    main()\n"
        return compile(source, f"<{name}>", "exec")


_finder = _Finder()
_under_way = []  # modules being watched whose import has not ended, the outermost first
_attempts = []  # holds one entry from the moment registration has been tried


def install():
    """Puts the finder in place (once), and registers at once where LAVIS has been imported already."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _register_when_due()


def _register_when_due():
    # Not before the outermost import has ended: registering imports all our modules, and one that is
    # still half imported would lack the very names that the others import from it.
    if _under_way or _attempts or "lavis" not in sys.modules:
        return
    _attempts.append(True)
    try:
        from fashionfae_lavis.plugin import register

        register()
    except Exception as error:
        import warnings

        warnings.warn(
            f"LAVIS works, but without fashionfae-lavis, which failed to register: "
            f"{type(error).__name__}: {error} (FASHIONFAE_LAVIS_AUTOLOAD=0 turns registration off)",
            RuntimeWarning,
            stacklevel=2,
        )


def _stand_in(name):
    from importlib.util import find_spec, spec_from_loader

    ours = find_spec(_STAND_INS[name])
    return ours and spec_from_loader(name, _StandInLoader(ours.name), origin=ours.origin)


if os.environ.get("FASHIONFAE_LAVIS_AUTOLOAD") != "0":
    install()
