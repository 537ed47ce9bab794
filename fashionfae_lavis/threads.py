"""Processor cores, and the OpenMP settings that torch reads when it is loaded.

This module runs before torch is imported, so it uses the standard library only.
"""

import math
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# Each of these says how long a thread of OpenMP spins before it sleeps.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# Each of these binds threads to processors.
BINDING = ("OMP_PROC_BIND", "OMP_PLACES")


def configure_openmp() -> None:
    """Sets the environment variables of OpenMP that the user has not set; does nothing once torch is loaded.

    `OMP_WAIT_POLICY=passive` lets threads sleep while they wait. It is set where `waiting.py` cannot adapt this to the
    load, which needs threads of torch's wheel for Linux that are not bound to processors; and where a container has a
    CPU limit, which threads that spin would use up.

    `OMP_NUM_THREADS` becomes this process's share of the cores if that is less than torch's own choice, which is the
    number of physical cores that the process may run on. Torch knows neither the CPU limit of a container nor the
    number of processes; torchrun sets one thread for each of several processes.
    """
    if "torch" in sys.modules:
        return
    bound = any(name in os.environ for name in BINDING)
    adapts = _torch_has_libgomp() and not bound and cpu_limit() >= len(processors())
    if not adapts and not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "passive"
    if "OMP_NUM_THREADS" not in os.environ:
        share = max(1, all_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
        if share < _physical_cores():
            os.environ["OMP_NUM_THREADS"] = str(share)


def all_cores() -> int:
    """Returns the number of processors that this process may use, within the CPU limit of its container."""
    return math.ceil(min(len(processors()), cpu_limit()))


def cpu_limit(system: Path = Path("/")) -> float:
    """Returns the CPU limit of this process's control groups (Linux, version 1 or 2), in seconds per second.

    Args:
        system: the folder that contains `proc` and `sys`.

    Returns:
        The lowest limit of the groups and their parents; infinity without a limit.
    """
    groups = _read(system / "proc/self/cgroup").splitlines()
    return min((limit for group in groups for limit in _limits(system, group)), default=math.inf)


def _limits(system: Path, group: str) -> Iterator[float]:
    """Yields the limits of a group and its parents; `group` is a line of /proc/self/cgroup, such as `0::/user`."""
    _, controllers, path = group.split(":", 2)
    top = system / "sys/fs/cgroup"
    if controllers:
        if "cpu" not in controllers.split(","):
            return
        top /= "cpu"
    folder = top / path.lstrip("/")
    for parent in (folder, *folder.parents):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        values = " ".join(_read(parent / name) for name in names).split()
        if len(values) == 2 and values[0] not in ("max", "-1"):
            yield int(values[0]) / int(values[1])
        if parent == top:
            return


def _torch_has_libgomp() -> bool:
    """Returns whether the installed torch contains libgomp, as its wheels for Linux do; imports nothing."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return False
    package = Path(found.origin).parent
    return any(any(folder.glob("libgomp*")) for folder in (package / "lib", package.with_name("torch.libs")))


def _physical_cores() -> int:
    """Returns the number of physical cores that this process may run on."""
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    return len({_read(Path(topology.format(number))) or number for number in processors()})


def processors() -> set[int]:
    """Returns the numbers of the processors that the main thread may run on."""
    return os.sched_getaffinity(os.getpid()) if hasattr(os, "sched_getaffinity") else {*range(os.cpu_count() or 1)}


def _read(path: Path) -> str:
    """Returns the text of a file, "" if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
