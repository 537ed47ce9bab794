"""Watches what a process does while it handles a case: programs, sockets, and files outside the case's folder."""

import ctypes
import json
import os
import socket
import struct
import sys
from pathlib import Path

PROGRAMS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.startfile", "pty.spawn"}
CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
CHANGES |= {"os.chown", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PRIVATE = ("/etc/passwd", "/etc/shadow", "/dev/zero", "/dev/random")
ALLOWED = ("/dev/null", "/dev/shm/", "/proc/self/")
INOTIFY = {0x1: "read", 0x2: "written", 0x40: "moved", 0x80: "moved", 0x100: "created", 0x200: "deleted"}
INOTIFY_DIRECTORY = 0x40000000

SECRET = "hunter2-the-canary"


class Watch:
    """Records forbidden acts of this process and its children in a journal, and blocks those that python announces.

    Args:
        inside: the only folders in which files may be changed.
        outside: a folder whose files must not even be read. It holds the secret.
        journal: descriptor of the journal, opened to append.
    """

    def __init__(self, inside: list[Path], outside: Path, journal: int):
        self.inside = [os.path.realpath(folder) for folder in inside]
        self.outside, self.journal = os.path.realpath(outside), journal
        self.armed = False
        self._before = self._snapshot()
        self._inotify = _watch_folders([outside, *(path for path in outside.rglob("*") if path.is_dir())])
        sys.addaudithook(self._hook)

    def finish(self) -> None:
        """Stops watching; records what C code has read or changed outside, which python does not announce."""
        self.armed = False
        for name, deed in _events(self._inotify):
            self._record("outside", f"{name} was {deed}")
        os.close(self._inotify)
        after = self._snapshot()
        for path in sorted(set(self._before) | set(after)):
            if self._before.get(path) != after.get(path):
                self._record("outside", f"{path} has changed")

    def _snapshot(self) -> dict[str, bytes | None]:
        paths = Path(self.outside).rglob("*")
        return {str(path): path.read_bytes() if path.is_file() else None for path in paths}

    def _record(self, fault: str, detail: str) -> None:
        os.write(self.journal, json.dumps({"fault": fault, "detail": detail[:500]}).encode() + b"\n")

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.armed:
            return
        if event in PROGRAMS:
            self._refuse("program", f"{event} {str(arguments[:2])[:200]}")
        elif event == "open":
            self._check_open(*arguments)
        elif event in CHANGES:
            # The last arguments are descriptors of folders. A name relative to one is below a folder checked before.
            if arguments[-1] in (-1, None) or event.startswith("shutil"):
                for path in arguments[: 2 if event in ("os.rename", "os.link", "shutil.move") else 1]:
                    self._check_change(event, path)
        elif event == "socket.connect" and arguments[0].family != socket.AF_UNIX:
            self._refuse("outside", f"connection to {arguments[1]}")
        elif event == "socket.getaddrinfo":
            self._refuse("outside", f"look-up of the host {arguments[0]}")

    def _check_open(self, path: object, mode: str | None, flags: int) -> None:
        if isinstance(path, int) or path is None:
            return
        if (set(mode) & set("wax+")) if mode else flags & WRITES:
            self._check_change("open", path)
            return
        real = os.path.realpath(os.fsdecode(path))
        if real in PRIVATE or _below(real, self.outside):
            self._refuse("outside", f"{real} was opened")

    def _check_change(self, event: str, path: object) -> None:
        if isinstance(path, int):
            return
        name = os.fsdecode(path)
        # The last part of the name is not followed: these calls change the link itself, except `open`.
        real = os.path.realpath(name)
        if event != "open":
            real = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(name))), os.path.basename(name))
        if not any(_below(real, folder) for folder in self.inside) and not real.startswith(ALLOWED):
            self._refuse("outside", f"{event} of {real}")

    def _refuse(self, fault: str, detail: str) -> None:
        self._record(fault, detail)
        raise PermissionError(1, f"the fuzzer forbids: {detail}")


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _watch_folders(folders: list[Path]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    for folder in folders:
        if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(folder), sum(INOTIFY)) < 0:
            raise OSError(ctypes.get_errno(), "inotify is not available")
    return descriptor


def _events(descriptor: int) -> set[tuple[str, str]]:
    """Reads inotify's queue: pairs of a file's name and what was done to it."""
    found = set()
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return found
        while data:
            _, mask, _, length = struct.unpack("iIII", data[:16])
            name = data[16 : 16 + length].rstrip(b"\0").decode(errors="replace") or "the folder"
            deeds = [deed for bit, deed in INOTIFY.items() if mask & bit]
            if deeds and not (mask & INOTIFY_DIRECTORY and deeds == ["read"] and name == "the folder"):
                found.add((name, deeds[0]))
            data = data[16 + length :]
