"""Caption scores equal pycocoevalcap's."""

import os
import re
import shutil

import pytest
from pycocoevalcap.eval import COCOEvalCap, Spice
from pycocoevalcap.meteor.meteor import Meteor

from fashionfae_lavis.metrics import captions as module
from fashionfae_lavis.metrics.captions import BLEU, caption_scores

REFERENCES = {
    7: ["striped cotton shirt with long sleeves and a button down collar"],
    9: ["belted wool coat in navy", "navy coat of wool with a belt"],
    12: ["pleated skirt cannot be seen through"],
}
CAPTIONS = {7: "striped cotton shirt with short sleeves", 9: "navy wool coat with a belt", 12: "pleated skirt in red"}
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="pycocoevalcap's tokenizer and METEOR need Java")


class Listed:
    """The part of pycocotools' COCO that pycocoevalcap's evaluation needs."""

    def __init__(self, texts):
        self.imgToAnns = {image: [{"caption": text} for text in group] for image, group in texts.items()}

    def getImgIds(self):  # noqa: N802
        return list(self.imgToAnns)


@pytest.fixture
def one_meteor(monkeypatch):
    """All objects share one program, which takes ten seconds to start."""
    start, started = Meteor.__init__, []

    def share(self):
        if started:
            self.__dict__ = started[0].__dict__
        else:
            start(self)
        started.append(self)  # METEOR's destructor ends the program

    monkeypatch.setattr(Meteor, "__init__", share)


@needs_java
def test_scores_are_those_of_its_direct_use(monkeypatch, one_meteor):
    monkeypatch.setattr(Spice, "__init__", lambda self: None)  # would fetch 400 MB
    monkeypatch.setattr(Spice, "compute_score", lambda self, gts, res: (0.0, [0.0] * len(gts)))
    direct = COCOEvalCap(Listed(REFERENCES), Listed({image: [text] for image, text in CAPTIONS.items()}))
    direct.evaluate()
    del direct.eval["SPICE"]
    monkeypatch.setattr(module, "SPICE_MODELS", module.SPICE_MODELS.with_name("missing"))
    scores, left_out = caption_scores(CAPTIONS, REFERENCES)
    assert scores == direct.eval and scores["METEOR"] > 0.1
    assert list(left_out) == ["SPICE"] and "get_stanford_models" in left_out["SPICE"]


def test_without_java_the_rest_is_scored_and_two_sentences_say_what_is_missing(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    scores, left_out = caption_scores(CAPTIONS, REFERENCES)
    assert list(scores) == [*BLEU, "ROUGE_L", "CIDEr"]
    # Of 16 words in the captions all but short, in, red are in one of their references. The references nearest in
    # length have 11, 5 and 6 words, 22 in all.
    precision, brevity = 13 / 16, 2.718281828 ** (1 - 22 / 16)
    assert scores["Bleu_1"] == pytest.approx(precision * brevity, rel=1e-6)
    assert scores["Bleu_1"] > scores["Bleu_2"] > scores["Bleu_4"] > 0
    assert left_out == {
        "METEOR": "METEOR is left out, because it needs Java, which is not installed.",
        "SPICE": "SPICE is left out, because it needs Java, which is not installed.",
    }


@needs_java
def test_a_program_that_fails_costs_only_its_own_score(monkeypatch):
    def fail(self, *pairs):
        raise OSError("no memory\nfor it")

    monkeypatch.setattr(Meteor, "compute_score", fail)
    scores, left_out = caption_scores(CAPTIONS, REFERENCES)
    assert "METEOR" not in scores and scores["CIDEr"] > 0
    assert left_out["METEOR"] == "METEOR is left out, because its program failed: no memory for it."


def test_perfect_and_foreign_captions(monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    right = {image: texts[0] for image, texts in REFERENCES.items()}
    assert caption_scores(right, REFERENCES)[0]["Bleu_4"] == pytest.approx(1, abs=1e-6)
    wrong = dict.fromkeys(REFERENCES, "nothing that fits")
    assert caption_scores(wrong, REFERENCES)[0]["Bleu_1"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="same images"):
        caption_scores({7: "a"}, REFERENCES)


class NoMeteor:
    def __init__(self):
        raise OSError("not started")


def fake_java(folder, monkeypatch, script):
    """Puts a program called java in front of the path."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "reason"),
    [("exit 3", "does not run .*exit status 3"), ("exec sleep 30", "does not run .*timed out")],
)
def test_a_java_that_does_not_run_costs_only_the_scores_that_need_it(tmp_path, monkeypatch, script, reason):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    expected, _ = caption_scores(CAPTIONS, REFERENCES)
    monkeypatch.undo()
    monkeypatch.setattr(module, "JAVA_SECONDS", 1)
    fake_java(tmp_path, monkeypatch, script)
    scores, left_out = caption_scores(CAPTIONS, REFERENCES)
    assert scores == expected and list(left_out) == ["METEOR", "SPICE"]
    assert re.match(f"METEOR is left out, because it needs Java, which {reason}", left_out["METEOR"])


@pytest.mark.parametrize("answer", ["exit 1", "echo nonsense", "kill -9 $$"])
def test_a_java_whose_programs_fail_costs_only_the_scores_that_need_it(tmp_path, monkeypatch, answer):
    """The destructor of pycocoevalcap's METEOR waited forever for a lock that its failure had left closed."""
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    expected, _ = caption_scores(CAPTIONS, REFERENCES)
    monkeypatch.undo()
    monkeypatch.setattr(module, "SPICE_MODELS", tmp_path)  # there
    monkeypatch.setattr(Spice, "__init__", lambda self: None)  # would fetch 400 MB
    fake_java(tmp_path, monkeypatch, f'[ "$1" = -version ] && exit 0\n{answer}')
    scores, left_out = caption_scores(CAPTIONS, REFERENCES)
    assert scores == expected and list(left_out) == ["PTB", "METEOR", "SPICE"]
    assert (
        left_out["PTB"] == "Words are split at spaces, because the PTB tokenizer failed: it did not return every text."
    )
    assert all("\n" not in sentence and sentence.endswith(".") for sentence in left_out.values())


@needs_java
def test_line_breaks_of_any_kind_do_not_shift_the_captions(monkeypatch):
    """METEOR, which takes seconds to start, gets the words of the PTB tokenizer, like the scores in Python."""
    monkeypatch.setattr(module, "SPICE_MODELS", module.SPICE_MODELS.with_name("missing"))
    monkeypatch.setattr(module, "Meteor", NoMeteor)
    broken = {image: text.replace(" ", "\u2028", 1).replace(" ", "\r", 1) for image, text in CAPTIONS.items()}
    assert caption_scores(broken, REFERENCES) == caption_scores(CAPTIONS, REFERENCES)
