"""Seeded fuzzers: hostile inputs for everything that the package reads.

    PYTHONPATH=tests python -m fuzz --cases 300 --seed 1 --kinds images tables

Each kind of input is one module with two functions. `prepare(shared)` writes the intact files that all cases start
from. `make(rng, shared, folder)` writes one input into `folder` and returns a `Case`, the call that hands it to the
package. harness.py runs each case in a process that watch.py watches.
"""
