"""The start-up module with a LAVIS of one line, so that a fresh interpreter takes milliseconds."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import fashionfae_lavis

PLUGIN = "calls = []\ndef register():\n    calls.append('registered')\n"
BROKEN_PLUGIN = "def register():\n    raise ImportError('no such tensor')\n"
SHOW_CALLS = "; from fashionfae_lavis.plugin import calls; print(calls)"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def fake(tmp_path):
    """A folder with a LAVIS of one line and a fashionfae_lavis that only counts registrations."""
    package = Path(fashionfae_lavis.__file__).parent
    return write(
        tmp_path / "fake",
        {
            "lavis/__init__.py": "answer = 42\n",
            "fashionfae_lavis/__init__.py": (package / "__init__.py").read_text(),
            "fashionfae_lavis/threads.py": (package / "threads.py").read_text(),
            "fashionfae_lavis/plugin.py": PLUGIN,
        },
    )


def python(*arguments, path=(), **env):
    """Runs a fresh interpreter outside the repository, with the folders of `path` first on its path."""
    path = [str(folder) for folder in path]
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **env},
        cwd=path[0] if path else os.sep,
        capture_output=True,
        text=True,
        timeout=60,
    )


def output(*arguments, **kwargs) -> str:
    """Returns what the program printed; it must succeed without warnings."""
    done = python(*arguments, **kwargs)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_start_up_imports_neither_torch_nor_lavis():
    watched = {"torch", "lavis", "fashionfae_lavis", "fashionfae_lavis_autoload"}
    assert output("-c", f"import sys; print({watched} & {{*sys.modules}})") == "{'fashionfae_lavis_autoload'}"


def test_start_up_costs_less_than_two_milliseconds():
    def cost():
        report = python("-X", "importtime", "-c", "pass").stderr
        return int(re.search(r"\| +(\d+) \| +fashionfae_lavis_autoload", report)[1])

    assert min(cost() for _ in range(30)) < 2000  # microseconds, with all that it imports


def test_registers_once_after_lavis_and_leaves_no_trace_on_it(fake):
    code = (
        "import lavis, importlib; importlib.reload(lavis); import fashionfae_lavis"
        "; print(lavis.answer, type(lavis.__loader__).__name__, type(lavis.__spec__.loader).__name__)"
    )
    assert output("-c", code + SHOW_CALLS, path=[fake]).splitlines() == [
        "42 SourceFileLoader SourceFileLoader",
        "['registered']",
    ]


def test_registers_after_the_outermost_import_when_this_package_imports_lavis(fake):
    module = "import lavis\nfrom fashionfae_lavis.plugin import calls\nassert calls == []\n"
    write(fake, {"fashionfae_lavis/models/__init__.py": module})
    assert output("-c", "import fashionfae_lavis.models" + SHOW_CALLS, path=[fake]) == "['registered']"


def test_this_package_alone_does_not_register(fake):
    code = "import sys, fashionfae_lavis.plugin; print('lavis' in sys.modules)"
    assert output("-c", code + SHOW_CALLS, path=[fake]).splitlines() == ["False", "[]"]


@pytest.mark.parametrize("order", ["import lavis, fashionfae_lavis", "import fashionfae_lavis, lavis"])
def test_turned_off_it_registers_by_hand_in_either_order(fake, order):
    off = {"FASHIONFAE_LAVIS_AUTOLOAD": "0"}
    code = "import lavis, sys; print('fashionfae_lavis' in sys.modules)"
    assert output("-c", code, path=[fake], **off) == "False"
    assert output("-c", order + SHOW_CALLS, path=[fake], **off) == "['registered']"


def test_a_failing_registration_warns_once_and_lavis_works(fake):
    write(fake, {"fashionfae_lavis/plugin.py": BROKEN_PLUGIN})
    done = python("-W", "always", "-c", "import lavis, fashionfae_lavis; print(lavis.answer)", path=[fake])
    assert done.stdout == "42\n"
    assert done.stderr.count("Warning: ") == 1
    assert "ImportError: no such tensor" in done.stderr


def test_a_package_that_fails_to_import_warns_once_and_lavis_works(fake):
    write(fake, {"fashionfae_lavis/__init__.py": "raise OSError('no disk')\n"})
    done = python("-W", "always", "-c", "import lavis; print(lavis.answer)", path=[fake])
    assert done.stdout == "42\n"
    assert done.stderr.count("Warning: ") == 1
    assert "OSError: no disk" in done.stderr


def test_a_lavis_that_fails_to_import_fails_as_before(fake):
    write(fake, {"lavis/__init__.py": "raise OSError('no disk')\n"})
    done = python("-c", "import lavis", path=[fake])
    assert done.returncode == 1
    assert done.stderr.endswith("OSError: no disk\n") and "Warning" not in done.stderr


def test_find_spec_finds_lavis_without_importing_it(fake):
    code = (
        "import sys, importlib.util; spec = importlib.util.find_spec('lavis')"
        "; print(spec.origin == spec.loader.get_filename('lavis'), 'lavis' in sys.modules)"
    )
    assert output("-c", code, path=[fake]) == "True False"


def test_a_folder_without_init_imports(fake):
    write(fake, {"fashionfae_lavis/folder/module.py": "answer = 43\n"})
    code = "from fashionfae_lavis.folder.module import answer; print(answer)"
    assert output("-c", code, path=[fake]) == "43"


def test_a_zipped_lavis_registers(fake, tmp_path):
    with zipfile.ZipFile(tmp_path / "lavis.zip", "w") as archive:
        archive.write(fake / "lavis/__init__.py", "lavis/__init__.py")
    (fake / "lavis/__init__.py").unlink()
    (fake / "lavis").rmdir()
    code = "import lavis; print(lavis.answer)" + SHOW_CALLS
    assert output("-c", code, path=[fake, tmp_path / "lavis.zip"]) == "42\n['registered']"


def test_a_lavis_behind_another_finder_registers(fake, tmp_path):
    (fake / "lavis").rename(tmp_path / "elsewhere")
    code = f"""
import importlib.util, sys
class Editable:
    def find_spec(self, name, path=None, target=None):
        if name == "lavis":
            return importlib.util.spec_from_file_location(name, {str(tmp_path / "elsewhere/__init__.py")!r})
sys.meta_path.insert(1, Editable())
import lavis
print(lavis.answer)"""
    assert output("-c", code + SHOW_CALLS.replace("; ", "\n"), path=[fake]) == "42\n['registered']"


def test_installed_twice_it_is_one_finder(fake):
    code = (
        "import sys, fashionfae_lavis_autoload as a; a.install(); a.install()"
        "; print(sum(type(f).__module__ == a.__name__ for f in sys.meta_path))"
    )
    assert output("-c", code, path=[fake]) == "1"


def test_provides_train_as_lavis_train(fake):
    train = "import sys\ndef main():\n    print(__name__, sys.argv[1:])\n"
    write(fake, {"fashionfae_lavis/train.py": train})
    assert output("-m", "lavis.train", "--cfg-path", "x", path=[fake]) == ("fashionfae_lavis.train ['--cfg-path', 'x']")
    assert output("-c", "import lavis.train; lavis.train.main()", path=[fake]) == "fashionfae_lavis.train []"


def test_a_train_of_lavis_itself_wins(fake):
    write(
        fake,
        {"fashionfae_lavis/train.py": "def main(): print('provided')\n", "lavis/train.py": "print('lavis itself')\n"},
    )
    assert output("-m", "lavis.train", path=[fake]) == "lavis itself"


def test_without_this_package_s_modules_lavis_has_no_train(fake):
    assert "No module named lavis.evaluate" in python("-m", "lavis.evaluate", path=[fake]).stderr
