"""Runs cases, each in a fork of this process, which has imported everything, and judges how they end.

A case passes if the package accepts the input with a sane result, or refuses it with one sentence.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fashionfae_lavis.errors import UserError

from .watch import SECRET, Watch

SECONDS = 20.0  # a case that takes longer hangs; time spent waiting for a processor does not count
MEGABYTES = 1024  # of memory that a case may add
SENTENCE = 4000  # letters of the longest message
FAULTS = ("trace", "wrong", "hang", "memory", "program", "outside")


class Case(NamedTuple):
    """An input that is ready, and the call that hands it to the package.

    Attributes:
        name: what is wrong with the input.
        call: raises UserError or SystemExit if the package refuses the input, and `Wrong` if it accepts it with a
            result that cannot be right. The text of what it returns must not contain the secret.
    """

    name: str
    call: Callable[[], Any]


class Wrong(Exception):
    """The package accepted an input, but its result is not sane."""


class Enough(BaseException):
    """Ends a case early that the package has accepted. Not an Exception, so that the package does not catch it."""


@dataclass
class Outcome:
    """How a case ended.

    Attributes:
        kind, seed, number: identify the case.
        name: what is wrong with the input.
        verdict: accepted, refused or failed.
        faults: fault -> its description; empty unless the case failed.
        where: type of the exception and the innermost line of the package; equal for equal faults.
        message: the package's sentence.
        seconds: time that the case took.
        megabytes: memory that it added.
    """

    kind: str
    seed: int
    number: int
    name: str = ""
    verdict: str = "failed"
    faults: dict[str, str] = field(default_factory=dict)
    where: str = ""
    message: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


def generator(kind: str, seed: int, number: int) -> random.Random:
    """Returns the generator of a case, which does not depend on other cases."""
    return random.Random(f"{kind}-{seed}-{number}")


def run_cases(
    kinds: dict[str, Any],
    cases: Iterable[tuple[str, int, int]],
    folder: Path,
    jobs: int = 2,
    seconds: float = SECONDS,
    megabytes: float = MEGABYTES,
) -> Generator[Outcome, None, None]:
    """Runs cases and yields their outcomes as they end; keeps the folders of those that fail.

    Args:
        kinds: name -> module with `prepare` and `make`.
        cases: kind, seed and number of each case.
        folder: where the cases' folders are written.
        jobs: number of cases that run at once.
        seconds, megabytes: limits of a case.
    """
    folder = folder.absolute()
    queue, running, prepared = iter(cases), [], set()
    try:
        while True:
            while len(running) < jobs and (case := next(queue, None)):
                kind = case[0]
                shared = folder / "shared" / kind
                if kind not in prepared:
                    _prepare(kinds[kind], shared)
                    prepared.add(kind)
                running.append(_Running(kinds[kind], shared, *case, folder, seconds, megabytes))
            if not running:
                return
            time.sleep(0.01)
            for case in [case for case in running if case.ended()]:
                running.remove(case)
                yield case.outcome()
    finally:
        for case in running:  # the caller was interrupted
            case.kill()


def _prepare(module: Any, shared: Path) -> None:
    """Writes the intact files of a kind, in a child process, because what it imports and allocates is not needed."""
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(parents=True)
    pid = os.fork()
    if not pid:
        try:
            module.prepare(shared)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError(f"{module.__name__}.prepare failed")


class _Running:
    """A case that runs in a child process."""

    def __init__(self, module, shared: Path, kind: str, seed: int, number: int, folder: Path, seconds, megabytes):
        self.result = Outcome(kind, seed, number)
        self.folder = folder / f"{kind}-{seed}-{number}"
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("given", "outside"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "outside" / "password.txt").write_text(f"user: {SECRET}\n")
        self.seconds, self.megabytes, self.killed = seconds, megabytes, ""
        self.start, self.looked, self.waited = time.monotonic(), 0.0, {}
        self.pid = os.fork()
        if not self.pid:
            _run_child(module, shared, self.result, self.folder, megabytes)
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)

    def ended(self) -> bool:
        """Looks after the child; returns whether it has ended."""
        pid, self.status, _ = os.wait4(self.pid, os.WNOHANG)
        if pid:
            self.kill()
            return True
        now = time.monotonic()
        if not self.killed and now - self.looked > 0.1:
            self.looked = now
            self._look(now - self.start)
        return False

    def _look(self, wall: float) -> None:
        for process in _group(self.pid):
            with contextlib.suppress(OSError, ValueError, IndexError):
                memory = int((process / "statm").read_text().split()[1]) * resource.getpagesize() / 2**20
                self.waited[process.name] = int((process / "schedstat").read_text().split()[1]) / 1e9
                if memory - _own_megabytes() > 1.25 * self.megabytes:
                    self.killed = "memory"
                if not os.path.samefile(process / "exe", sys.executable):
                    self.result.faults["program"] = os.readlink(process / "exe")
        # A processor that other programs use is no fault of the case.
        if wall - max(self.waited.values(), default=0) > self.seconds + 2:
            self.killed = "hang"
        if self.killed:
            self.kill()

    def kill(self) -> None:
        """Ends the child, and what it started and left behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def outcome(self) -> Outcome:
        """Reads the child's journal; removes the folder unless the case failed."""
        result, lines = self.result, []
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "journal.jsonl").read_text().splitlines()
        ended = False
        for line in map(json.loads, lines):
            if "fault" in line:
                result.faults.setdefault(line["fault"], line["detail"])
            else:
                ended |= "verdict" in line
                for key, value in line.items():
                    setattr(result, key, value)
        if self.killed:
            limit = f"{self.seconds:.0f} s" if self.killed == "hang" else f"{self.megabytes:.0f} MB"
            result.faults[self.killed] = f"killed above {limit}"
        elif not ended:
            result.faults["trace"] = result.where = f"the process died with status {self.status}"
        elif result.seconds - max(self.waited.values(), default=0) > self.seconds:
            result.faults["hang"] = f"{result.seconds:.0f} s"
        if result.megabytes > self.megabytes:
            result.faults["memory"] = f"{result.megabytes:.0f} MB"
        if result.faults:
            result.verdict = "failed"
        else:
            _remove(self.folder)
        return result


def _run_child(module, shared: Path, case: Outcome, folder: Path, megabytes: float) -> None:
    """Makes the input, calls the package and writes the journal. Never returns."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    given, outside = folder / "given", folder / "outside"
    journal = os.open(folder / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(**entries: Any) -> None:
        os.write(journal, json.dumps(entries).encode() + b"\n")

    try:
        elsewhere = folder / "elsewhere"
        _isolate(folder, elsewhere)
        os.chdir(given)
        made = module.make(generator(case.kind, case.seed, case.number), shared, given)
        note(name=made.name)
        sys.stdout.flush()
        intact = _digests(given)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**31, 2**31))
        limit = _status("VmSize") + int((6 * megabytes + 2048) * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        # What the parent freed is still resident, and a case that took it again would seem to take nothing.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, the peak
        before = _status("VmHWM")
        watch = Watch([given, elsewhere], outside, journal)
        start = time.monotonic()
        watch.armed = True
        verdict, faults, where, message, returned = _judge(made.call, folder / "output.txt")
        watch.finish()
        children = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        peak = max(_status("VmHWM"), children) - before
        note(seconds=time.monotonic() - start, megabytes=round(peak / 2**20, 1), where=where, message=message)
        output = (folder / "output.txt").read_text(errors="replace")
        if SECRET in str(returned) or SECRET in message or SECRET in output or _leaked(given, intact):
            faults["outside"] = "the secret is in the output"
        for fault, detail in faults.items():
            note(fault=fault, detail=detail)
        note(verdict=verdict)
    except BaseException:
        note(fault="trace", detail=f"the fuzzer failed: {traceback.format_exc()}", where="fuzzer")
        note(verdict="failed")
    finally:
        os._exit(0)


def _judge(call: Callable[[], Any], output: Path) -> tuple[str, dict[str, str], str, str, Any]:
    """Calls the package; returns verdict, faults, place, message and result."""
    faults: dict[str, str] = {}
    where = message = ""
    verdict, returned = "accepted", None
    try:
        returned = call()
    except Enough:
        pass
    except UserError as error:
        verdict, message = "refused", str(error)
    except SystemExit as error:
        sys.stderr.flush()
        text = output.read_text(errors="replace")
        message = re.split(r"(?:^|[\r\n])error: ", text)[-1].rstrip("\n") if "error: " in text else ""
        message = re.sub(r"\nfashionfae [^\n]*$", "", message)  # a proposed command follows the sentence
        verdict = "refused"
        if error.code != 2 or not message:
            faults["trace"] = where = f"exit status {error.code} without a sentence"
    except Wrong as error:
        faults["wrong"], where = str(error), f"wrong: {re.sub(r'[0-9]+', 'N', str(error))[:150]}"
    except BaseException as error:
        fault = "memory" if isinstance(error, MemoryError) else "trace"
        place = _innermost(error)
        faults[fault] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        where = f"{type(error).__name__} at {place}"
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    if verdict == "refused" and not faults and ("\n" in message.strip() or len(message) > SENTENCE):
        faults["trace"] = f"a message of {len(message)} letters and {len(message.splitlines())} lines: {message[:200]}"
        where = f"long message: {re.sub(r'[^ ]*/[^ ]*', 'PATH', message)[:60]}"
    text = output.read_text(errors="replace")
    if not faults and "Traceback (most recent call last)" in text:
        faults["trace"] = where = "a stack trace was printed: " + text.strip().splitlines()[-1][:200]
    return verdict, faults, where, message, returned


def _innermost(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/fashionfae_lavis/" in frame.filename] or frames
    return f"{own[-1].filename.rpartition('/fashionfae_lavis/')[2]}:{own[-1].lineno} {own[-1].name}"


def _isolate(folder: Path, elsewhere: Path) -> None:
    """Sends output to a file, and everything that is written somewhere by default to `elsewhere`."""
    output = os.open(folder / "output.txt", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    elsewhere.mkdir()
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "FASHIONFAE_CACHE", "MPLCONFIGDIR"):
        os.environ[name] = str(elsewhere)
    tempfile.tempdir = str(elsewhere)


def _digests(folder: Path) -> dict[str, str]:
    return {str(path): _digest(path) for path in _plain_files(folder)}


def _leaked(folder: Path, before: dict[str, str]) -> bool:
    """Returns whether a file that the package wrote holds the secret."""
    secret = SECRET.encode()
    return any(secret in path.read_bytes() for path in _plain_files(folder) if before.get(str(path)) != _digest(path))


def _plain_files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes()).hexdigest()


def _status(key: str) -> int:
    """Returns a size in /proc/self/status, in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _own_megabytes() -> float:
    return _status("VmRSS") / 2**20


def _group(leader: int) -> Iterator[Path]:
    """Yields the folders below /proc of the processes of a group."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int((process / "stat").read_text().rpartition(")")[2].split()[2]) == leader:
                    yield process


def _remove(folder: Path) -> None:
    for root, _, _ in os.walk(folder):
        os.chmod(root, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
