"""The line that says what a run was computed on."""

import os

import torch

from fashionfae_lavis.compare.hardware import hardware


def test_one_core_and_one_thread_are_counted_in_the_singular(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    line = hardware()
    assert line.startswith("1 core of ")
    assert line.endswith(", 1 thread")


def test_more_are_counted_in_the_plural(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    line = hardware()
    assert line.startswith("3 cores of ")
    assert line.endswith(", 2 threads")
