"""The hardware and software of a run, in one line."""

import os
import platform
from pathlib import Path

import torch

from fashionfae_lavis.threads import all_cores


def hardware() -> str:
    """Describes this machine and its software.

    For example: "2 cores of AMD EPYC 7B13, 15 GB, Linux; Python 3.11.7, torch 2.4.1, 2 threads".
    """
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    processor = f"{_count(all_cores(), 'core')} of {_processor()}"
    machine = [processor, *([_memory()] if _memory() else []), *gpus, platform.system()]
    threads = _count(torch.get_num_threads(), "thread")
    software = f"Python {platform.python_version()}, torch {torch.__version__}, {threads}"
    return f"{', '.join(machine)}; {software}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> str:
    if not hasattr(os, "sysconf"):
        return ""
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"
