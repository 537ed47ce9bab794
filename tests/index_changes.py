"""Changes of an index in a fixed order, for the tests that kill the program that makes them.

    python tests/index_changes.py LOCATION

prints the number of each change before it begins, until it is killed.
"""

import sys
from itertools import count

from indexed_shop import products

from fashionfae_lavis.search.index import create_index, open_index

ACTIONS = ("create", "add", "update", "delete")


def rows_after(step):
    """Returns id -> title after change number `step`, None before the first."""
    if step < 0:
        return None
    first = step - step % len(ACTIONS)
    rows = {name: f"{first}" for name in ids(0, 200)}
    for number, change in enumerate(ACTIONS[1 : step - first + 1], start=first + 1):
        if change == "delete":
            rows = {name: title for name, title in rows.items() if name not in ids(0, 150)}
        else:
            rows |= {name: f"{number}" for name in ids(*RANGES[change])}
    return rows


RANGES = {"add": (200, 300), "update": (50, 250)}


def ids(first, last):
    return [f"it's {number:05}" for number in range(first, last)]


def make_change(location, step):
    action = ACTIONS[step % len(ACTIONS)]
    if action == "delete":
        return open_index(location).delete(ids(0, 150))
    first, last = RANGES.get(action, (0, 200))
    vectors = products(last - first, seed=step, first=first, title=[f"{step}"] * (last - first))
    if action == "create":
        return create_index(location, vectors, replace=True)
    return getattr(open_index(location), action)(vectors)


if __name__ == "__main__":
    for step in count():
        print(step, flush=True)
        make_change(sys.argv[1], step)
