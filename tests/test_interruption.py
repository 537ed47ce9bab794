import os
import signal
import subprocess
import sys
import time

import pytest

from fashionfae_lavis import interruption
from fashionfae_lavis.interruption import Interrupted, deferred, interruptible, requested


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_raises_at_once_and_the_handlers_return(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, interruptible():
        assert signal.getsignal(number) != before
        send(number)
        raise AssertionError("not reached")
    assert caught.value.status == 128 + number
    assert signal.getsignal(number) == before and not requested()


def test_a_deferred_signal_raises_after_the_outermost_block():
    done = []
    with pytest.raises(Interrupted), interruptible(), deferred():
        with deferred():
            send(signal.SIGTERM)
            done.append(requested())
        done.append("after the inner block")
    assert done == [signal.SIGTERM, "after the inner block"]


def test_an_error_in_a_deferred_block_is_not_replaced():
    with pytest.raises(ZeroDivisionError), interruptible(), deferred():
        send(signal.SIGTERM)
        print(1 / 0)
    with interruptible(), deferred():
        assert not requested()


def test_the_same_ctrl_c_that_arrives_twice_counts_once():
    """torchrun passes on the signal that the terminal has sent to its processes, too."""
    with pytest.raises(Interrupted), interruptible(), deferred():
        send(signal.SIGINT)
        send(signal.SIGINT)
        send(signal.SIGTERM)


def test_a_second_ctrl_c_ends_at_once(monkeypatch):
    killed = []
    with pytest.raises(Interrupted), interruptible(), deferred():
        send(signal.SIGINT)
        monkeypatch.setattr(interruption, "REPEATED", 0)
        time.sleep(0.01)
        monkeypatch.setattr(interruption.os, "kill", lambda process, number: killed.append((process, number)))
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert killed == [(os.getpid(), signal.SIGINT)]


WORKER = """
import os, signal, time
from fashionfae_lavis.interruption import ignore_signals, interruptible
with interruptible():
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)  # the parent's handler does nothing here
        ignore_signals()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def test_a_worker_leaves_signals_to_its_parent():
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
