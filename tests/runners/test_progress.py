import math

from fashionfae_lavis.runners.progress import Progress


def test_only_a_higher_metric_is_an_improvement():
    progress = Progress(iters=4)
    assert progress.improve(-2.0) and (progress.best_metric, progress.best_iters) == (-2.0, 4)
    progress.iters = 8
    assert not progress.improve(-2.0) and not progress.improve(math.nan)
    assert (progress.best_metric, progress.best_iters) == (-2.0, 4)
    assert progress.improve(-1.0) and progress.best_iters == 8


def test_state_is_restored():
    state = {"iters": 8, "seconds": 1.5, "best_metric": 0.5, "best_iters": 4, "unvalidated": True}
    progress = Progress()
    progress.load_state_dict({**state, "model": {}})
    assert progress.state_dict() == state
    del state["seconds"], state["unvalidated"]  # as checkpoints of old versions
    progress.load_state_dict(state)
    assert progress == Progress(8, 0.0, 0.5, 4)
