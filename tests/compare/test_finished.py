import io
from pathlib import Path

import numpy as np
import pytest
import torch
from runner_toy import make_runner
from toy_runs import probe, recognition, retrieval, write_run

from fashionfae_lavis.compare.finished import Row, evaluated_weights, read_rows, read_run, training_figures
from fashionfae_lavis.compare.outcomes import Outcome
from fashionfae_lavis.errors import UserError


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(content[60:70], b"0123456789"),
        lambda content: saved(np.save, np.ones((3, 6), np.float32)),
        lambda content: saved(np.savez, a=np.ones(3, np.float32)),
        lambda content: saved(np.savez, a=np.ones((3, 6), np.int64)),
    ],
)
def test_damaged_scores_of_products_are_one_sentence(tmp_path, damage):
    path = tmp_path / "hits.npz"
    scores = np.random.default_rng(0).random((50, 6)).astype(np.float32)
    path.write_bytes(saved(np.savez_compressed, scores=scores))
    row = Row("A")
    row.add(Outcome("retrieval", {}), path)
    assert np.array_equal(row.hits["scores"], scores)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="hits.npz is damaged: delete it and results.json, and evaluate the run again"):
        Row("A").add(Outcome("retrieval", {}), path)
    path.unlink()
    assert row.add(Outcome("retrieval", {}), path) is None


def saved(save, *arrays, **named):
    """The bytes that NumPy saves."""
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def test_what_training_took(tmp_path):
    runner = make_runner(tmp_path, accum_grad_iters=2)
    runner.train()
    figures = training_figures(tmp_path / "job")
    trained = sum(p.numel() for part in (runner.bare_model.even, runner.bare_model.odd) for p in part.parameters())
    assert figures["parameters"] == trained == 8  # and not the frozen part's 12
    assert (figures["updates"], figures["samples"]) == (12, 12 * 2 * 4)
    assert figures["milliseconds"] == pytest.approx(1000 * runner.progress.seconds / 96) and runner.progress.seconds > 0


def test_parts_that_no_update_reached_are_not_counted(tmp_path):
    make_runner(tmp_path, max_iters=1).train()  # the first update uses the even part alone
    assert training_figures(tmp_path / "job")["parameters"] == 4


def test_checkpoints_that_do_not_tell(tmp_path):
    assert training_figures(tmp_path) == {}
    torch.save({"model": {}}, tmp_path / "checkpoint_last.pth")
    assert training_figures(tmp_path) == {}
    make_runner(tmp_path, max_iters=2).train()
    path = tmp_path / "job" / "checkpoint_last.pth"
    state = torch.load(path, weights_only=True)
    del state["seconds"]  # an older one
    torch.save(state, path)
    assert list(training_figures(path.parent)) == ["parameters", "updates", "samples"]


def test_evaluations_belong_to_the_training_behind_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = write_run(tmp_path / "trained", "fashionfae_pretrain", retrieval())
    start = tmp_path / "trained" / "checkpoint_last.pth"
    probed = write_run(tmp_path / "probed", "attribute_probe", probe(), start, evaluate=True)
    named = write_run(tmp_path / "named", "fashion_recognition", recognition(), start)
    shipped = write_run(tmp_path / "shipped", "attribute_probe", probe(), "mini.safetensors", evaluate=True)
    scratch = write_run(tmp_path / "scratch", "fashion_recognition", recognition(), start, from_scratch=True)
    tuned = write_run(tmp_path / "tuned", "fashion_retrieval", retrieval(), start)

    rows = {row.system: row for row in read_rows([probed, trained, named, shipped, scratch, tuned, "trained"])}
    kinds = {system: sorted(found.kind for found in row.outcomes) for system, row in rows.items()}
    assert kinds == {
        "trained": ["attribute probe", "recognition", "retrieval"],
        "mini.safetensors": ["attribute probe"],
        "scratch": ["recognition"],
        "tuned": ["retrieval"],
    }
    assert rows["trained"].figures["recognition.accuracy"] == 90 and rows["trained"].figures["probe.pairs"] == 90
    # The training need not be named itself.
    assert [row.system for row in read_rows([probed])] == ["trained"]


def test_runs_that_cannot_be_compared(tmp_path):
    start = tmp_path / "trained" / "checkpoint_last.pth"
    first = write_run(tmp_path / "trained", "fashionfae_pretrain", retrieval())
    second = write_run(tmp_path / "second", "fashionfae_pretrain", retrieval(lists="others"))
    again = retrieval()
    again["description"]["sub"] = {**again["description"]["sub"], "mean": 41.0}
    again = write_run(tmp_path / "again", "fashion_retrieval", again, start, evaluate=True)
    with pytest.raises(UserError, match="retrieval of .*trained and of .*second cannot be compared: their lists"):
        read_rows([first, second])
    with pytest.raises(UserError, match="different results for retrieval of .*trained: name only one"):
        read_rows([first, again])
    with pytest.raises(UserError, match="nowhere is not the output folder of a run: it holds no config.yaml"):
        read_rows([str(tmp_path / "nowhere")])
    (tmp_path / "second" / "results.json").write_text("{")
    with pytest.raises(UserError, match="second: results.json is damaged"):
        read_run(tmp_path / "second")
    (tmp_path / "second" / "results.json").unlink()
    (tmp_path / "second" / "results.json").mkdir()
    with pytest.raises(UserError, match=r"second: results.json is damaged \(.*Not a regular file"):
        read_run(tmp_path / "second")


def test_weights_that_are_no_path_are_one_sentence(tmp_path):
    run = write_run(tmp_path / "run", "fashion_retrieval", retrieval(), evaluate=True)
    config, _ = read_run(Path(run))
    with pytest.raises(UserError, match=r"config.yaml: `model` names its weights as \['x'\], not as a path"):
        evaluated_weights(Path(run), {**config, "model": {"pretrained": ["x"]}})
