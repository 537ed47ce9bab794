"""OpenMP's settings: what torch's library sees, and the limits that the number of threads follows."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fashionfae_lavis
from fashionfae_lavis import threads

ROOT = Path(fashionfae_lavis.__file__).parents[1]
SETTINGS = (*threads.WAITING, *threads.BINDING, "OMP_NUM_THREADS", "LOCAL_WORLD_SIZE", "FASHIONFAE_LAVIS_AUTOLOAD")


def openmp_of(code, **settings):
    """The settings that libgomp prints when torch is loaded by a fresh interpreter."""
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment = {**clean, "OMP_DISPLAY_ENV": "VERBOSE", "PYTHONPATH": f"{ROOT}:{ROOT / 'autoload'}", **settings}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"(?:\[host\] )?(\w+) = '(.*)'", done.stderr))


@pytest.fixture
def unset(monkeypatch):
    """An environment without settings, in a process without torch."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(threads, "cpu_limit", lambda: math.inf)
    monkeypatch.setattr(threads, "processors", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(threads, "_physical_cores", lambda: 4)
    monkeypatch.setattr(threads, "_torch_has_libgomp", lambda: True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or threads.cpu_limit() < len(threads.processors()), reason="a limit")
def test_openmp_keeps_its_own_policy_without_a_limit():
    assert openmp_of("import fashionfae_lavis, torch")["GOMP_SPINCOUNT"] == "300000"


@pytest.mark.slow
def test_openmp_sees_the_policy_when_torch_is_loaded_later():
    seen = openmp_of("import fashionfae_lavis, torch", OMP_PROC_BIND="false")
    assert (seen["OMP_WAIT_POLICY"], seen["GOMP_SPINCOUNT"]) == ("PASSIVE", "0")


@pytest.mark.slow
def test_openmp_sees_the_policy_when_lavis_loads_torch(tmp_path):
    (tmp_path / "lavis.py").write_text("import torch\n")
    path = f"{tmp_path}:{ROOT / 'autoload'}:{ROOT}"
    code = "import sys; sys.modules['fashionfae_lavis.plugin'] = None; import lavis"
    seen = openmp_of(code, OMP_PROC_BIND="false", PYTHONPATH=path)
    assert (seen["OMP_WAIT_POLICY"], seen["GOMP_SPINCOUNT"]) == ("PASSIVE", "0")


@pytest.mark.slow
def test_openmp_sees_the_setting_of_the_user():
    assert openmp_of("import fashionfae_lavis, torch", GOMP_SPINCOUNT="77")["GOMP_SPINCOUNT"] == "77"


@pytest.mark.parametrize("name", threads.WAITING)
def test_the_setting_of_the_user_wins(unset, monkeypatch, name):
    monkeypatch.setattr(threads, "cpu_limit", lambda: 3.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv(name, "5")
    before = {**os.environ}
    threads.configure_openmp()
    assert {**os.environ} == before


@pytest.mark.parametrize(
    ("system", "policy"),
    [
        ({}, None),
        ({"cpu_limit": 4.0}, None),
        ({"cpu_limit": 3.5}, "passive"),
        ({"_torch_has_libgomp": False}, "passive"),
        ({"OMP_PROC_BIND": "true"}, "passive"),
    ],
)
def test_threads_sleep_where_nothing_adapts_them_to_the_load(unset, monkeypatch, system, policy):
    for name, value in system.items():
        if name.isupper():
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.setattr(threads, name, lambda value=value: value)
    threads.configure_openmp()
    assert os.environ.get("OMP_WAIT_POLICY") == policy


def test_nothing_is_set_once_torch_is_loaded(unset, monkeypatch):
    monkeypatch.setattr(threads, "cpu_limit", lambda: 1.0)
    monkeypatch.setitem(sys.modules, "torch", object())
    threads.configure_openmp()
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.parametrize(
    ("limit", "processes", "physical", "expected"),
    [
        (math.inf, "1", 4, None),  # torch counts cores itself
        (2.0, "1", 4, "2"),
        (1.5, "1", 4, "2"),
        (0.1, "1", 4, "1"),
        (3.0, "1", 2, None),  # torch takes one thread for two logical processors
        (math.inf, "2", 4, "2"),
        (2.0, "2", 4, "1"),
        (math.inf, "8", 4, "1"),
    ],
)
def test_the_number_of_threads_is_the_share_of_a_process(unset, monkeypatch, limit, processes, physical, expected):
    monkeypatch.setattr(threads, "cpu_limit", lambda: limit)
    monkeypatch.setattr(threads, "_physical_cores", lambda: physical)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    threads.configure_openmp()
    assert os.environ.get("OMP_NUM_THREADS") == expected


def test_the_number_of_threads_of_the_user_wins(unset, monkeypatch):
    monkeypatch.setattr(threads, "cpu_limit", lambda: 1.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads.configure_openmp()
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_cores_are_counted_within_the_limit(unset, monkeypatch):
    assert threads.all_cores() == 4
    monkeypatch.setattr(threads, "cpu_limit", lambda: 2.5)
    assert threads.all_cores() == 3


def system(folder, groups, files):
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"sys/fs/cgroup/cpu.max": "max 100000"}, math.inf),
        ("0::/a/b", {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "200000 100000"}, 2),
        ("0::/a", {"sys/fs/cgroup/cpu.max": "100000 100000", "sys/fs/cgroup/a/cpu.max": "200000 100000"}, 1),
        # Version 1. The path is that of the host; the container's folder is mounted at the top.
        (
            "9:name=systemd:/\n4:cpuset:/docker/1f\n2:cpu,cpuacct:/docker/1f",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        (
            "1:cpu:/\n0::/",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            math.inf,
        ),
    ],
)
def test_the_limit_of_control_groups(tmp_path, groups, files, expected):
    assert threads.cpu_limit(system(tmp_path, groups, files)) == expected


def test_a_system_without_control_groups_has_no_limit(tmp_path):
    assert threads.cpu_limit(tmp_path) == math.inf
