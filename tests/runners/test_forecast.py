import logging
import re
from types import SimpleNamespace

import pytest

from fashionfae_lavis.runners.forecast import Forecast
from fashionfae_lavis.runners.length import RunLength
from fashionfae_lavis.runners.progress import Progress


class Log:
    """Records what a user would see."""

    def __init__(self):
        self.lines, self.warnings, self.end = [], [], None

    def say(self, text, level=logging.INFO):
        (self.lines if level == logging.INFO else self.warnings).append(text)

    def expect(self, end):
        self.end = end


def forecast(length, times, iters_per_epoch=243, progress=None, samples=7784):
    """Returns the log of a training whose updates take these seconds."""
    log, progress = Log(), progress or Progress()
    tested = Forecast(length, samples, iters_per_epoch)
    schedule = SimpleNamespace(warmup_steps=0, length=length.schedule_length)
    tested.announce(schedule, log)
    for seconds in times:
        progress.iters += 1
        progress.seconds += seconds
        tested.add_update(progress, log)
    return log


def test_updates_that_differ_in_cost_are_averaged_without_the_first():
    log = forecast(RunLength(1215), [60, *[1, 3] * 100])
    assert log.lines[0] == "Training: 1,215 updates, 5.0 epochs of 7,784 samples."
    (told,) = log.lines[1:]  # after 21 updates, so 1,194 are left
    assert re.fullmatch(
        r"Training: 1,215 updates, 5.0 epochs of 7,784 samples: about 40 minutes left, until [\d -]*\d\d:\d\d without "
        "evaluation.",
        told,
    )
    assert log.end == 1215 and log.warnings == []


def test_minutes_are_told_in_updates_and_epochs():
    log = forecast(RunLength(None, 10), [100, *[2] * 20], iters_per_epoch=100)
    assert log.lines[0] == "Training: 10 minutes, on 7,784 samples."
    # 600 s - 140 s leave 230 updates.
    assert log.lines[1].startswith("Training: about 251 updates, 2.5 epochs of 7,784 samples: about 8 minutes left, ")
    assert log.end == 251 and log.warnings == []
    faster = forecast(RunLength(None, 10), [100, *[2] * 20, *[0.5] * 80], iters_per_epoch=100)
    assert faster.lines == log.lines and faster.end == 101 + 420 / 0.8  # the bar follows the clock


def test_minutes_too_short_for_an_epoch():
    log = forecast(RunLength(None, 10), [2] * 21, iters_per_epoch=1000)
    assert "about 300 updates, 0.3 epochs" in log.lines[1]
    assert log.warnings == [
        "run.max_minutes is 10, which is too short to train on every sample once: an epoch takes about 33 minutes."
    ]
    assert forecast(RunLength(300), [2] * 21, iters_per_epoch=1000).warnings == []  # chosen in updates


@pytest.mark.parametrize(
    ("length", "times", "told"),
    [
        (RunLength(400), [9] * 5, False),
        (RunLength(400), [9] * 6, True),  # five slow updates are enough
        (RunLength(400), [0.1] * 20, False),
        (RunLength(400), [0.1] * 21, True),
        (RunLength(21), [0.1] * 21, False),  # over
        (RunLength(None, 1), [9] * 6, True),
    ],
)
def test_when_the_time_is_told(length, times, told):
    assert len(forecast(length, times).lines) == 1 + told


def test_a_resumed_run_measures_its_own_session():
    resumed = Progress(iters=600, seconds=1e6)
    log = forecast(RunLength(1000), [50, *[3] * 20], progress=resumed)
    assert "1,000 updates" in log.lines[1] and "about 19 minutes left" in log.lines[1]  # 379 updates


def test_an_end_too_far_for_a_date():
    log = forecast(RunLength(10**9), [1e3] * 21)
    assert log.lines[1].endswith("epochs of 7,784 samples: about 11,574,074.0 days left, without evaluation.")


def test_a_warm_up_that_fills_the_training():
    log = Log()
    tested = Forecast(RunLength(2), 24, 6)
    tested.announce(SimpleNamespace(warmup_steps=100, length=2), log)
    assert log.lines == ["Training: 2 updates, 0.33 epochs of 24 samples."]
    assert log.warnings[0].startswith("The warm-up takes the whole training, so the learning rate never reaches")
