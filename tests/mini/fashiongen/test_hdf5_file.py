import multiprocessing
import time
from pathlib import Path

from fashionfae_lavis.mini.fashiongen import hdf5_file
from fashionfae_lavis.mini.fashiongen.attributes import sample_products
from fashionfae_lavis.mini.fashiongen.hdf5_file import write_split


def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path):
    products = sample_products("train", 7)
    for processes in (1, 3):
        write_split(tmp_path / f"{processes}.h5", products, 32, {"seed": 0}, processes)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "3.h5").read_bytes()


def test_workers_end_when_their_reader_is_killed(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def start_and_report():
        drawn = hdf5_file._drawn(sample_products("train", 2000), 64, 2)
        next(drawn)
        queue.put([worker.pid for worker in multiprocessing.active_children()])
        time.sleep(60)

    reader = context.Process(target=start_and_report)
    reader.start()
    pids = queue.get(timeout=30)
    reader.kill()
    reader.join()
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_runs, pids))


def _runs(pid):
    """Returns whether a process runs; a zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
