"""Scores of captions by pycocoevalcap, as in COCO's evaluation."""

import math
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.spice import spice
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

# SPICE's parser needs these models. On first use it would download them (400 MB) from Stanford's server.
SPICE_MODELS = Path(spice.__file__).parent / "lib" / "stanford-corenlp-3.6.0-models.jar"
BLEU = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4")

JAVA_SECONDS = 60  # in which `java -version` must answer
# What pycocoevalcap raises if a program of its own fails, breaks off or prints something else.
FAILURES = (OSError, ValueError, KeyError, IndexError, TypeError, AssertionError, subprocess.SubprocessError)

Words = dict[int, list[str]]  # image -> texts with a space between words


def caption_scores(
    captions: Mapping[int, str], references: Mapping[int, Sequence[str]]
) -> tuple[dict[str, float], dict[str, str]]:
    """Scores one caption per image against its references, all in lower case and without punctuation.

    If Java runs, pycocoevalcap's PTB tokenizer splits the words. Otherwise they are split at spaces, which differs only
    for a few contractions. A Java program that fails costs its own score only.

    Args:
        captions: image -> its caption.
        references: image -> its references.

    Returns:
        Scores by COCO's names: Bleu_1 to Bleu_4, ROUGE_L, METEOR and SPICE from 0 to 1, CIDEr from 0 to 10. The second
        dict gives, for each score that was left out, and for a PTB tokenizer that failed, the reason as a sentence.

    Raises:
        ValueError: captions and references belong to different images.
    """
    if captions.keys() != references.keys():
        raise ValueError("captions and references must be of the same images")
    left_out: dict[str, str] = {}
    no_java = _why_no_java()
    truth = {image: [_one_line(text) for text in texts] for image, texts in references.items()}
    found = {image: [_one_line(text)] for image, text in captions.items()}
    if no_java is None:
        try:
            truth, found = _ptb_words(truth), _ptb_words(found)
        except FAILURES as error:
            left_out["PTB"] = f"Words are split at spaces, because the PTB tokenizer failed: {_reason(error)}."
    bleu, _ = Bleu(4).compute_score(truth, found, verbose=0)
    scores = dict(zip(BLEU, map(float, bleu), strict=True))
    for name, scorer in (("ROUGE_L", Rouge()), ("CIDEr", Cider())):
        scores[name] = float(scorer.compute_score(truth, found)[0])
    for name, scorer in (("METEOR", Meteor), ("SPICE", spice.Spice)):
        if no_java is not None:
            left_out[name] = f"{name} is left out, because it needs Java, which {no_java}."
        elif name == "SPICE" and not SPICE_MODELS.exists():
            left_out[name] = (
                "SPICE is left out, because its models are missing: python -m pycocoevalcap.spice.get_stanford_models "
                "downloads them."
            )
        else:
            _try(scorer, name, (truth, found), scores, left_out)
    return scores, left_out


def _try(
    scorer: Callable[[], Any], name: str, pairs: tuple[Words, Words], scores: dict[str, float], left_out: dict[str, str]
) -> None:
    """Runs a scorer in Java; records a failure without affecting the other scores."""
    program = None
    try:
        program = scorer()
        score = float(program.compute_score(*pairs)[0])
        if not math.isfinite(score):
            raise ValueError("it gave no number")
        scores[name] = score
    except FAILURES as error:
        left_out[name] = f"{name} is left out, because its program failed: {_reason(error)}."
    finally:
        _let_go(program)


def _let_go(program: Any) -> None:
    """Frees what METEOR's destructor would wait for forever, or fail at, after the program has failed."""
    if isinstance(program, Meteor):
        if program.lock.locked():
            program.lock.release()
        with suppress(OSError):
            program.meteor_p.stdin.close()


def _why_no_java() -> str | None:
    """Returns why Java cannot be used, as the end of a sentence; None if it runs."""
    if shutil.which("java") is None:
        return "is not installed"
    try:
        subprocess.run(["java", "-version"], capture_output=True, check=True, timeout=JAVA_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return f"does not run ({_reason(error)})"
    return None


def _ptb_words(texts: Words) -> Words:
    """Splits the words of texts by the PTB tokenizer, which returns nothing for the texts after a failure.

    Raises:
        OSError, ValueError: the program failed.
    """
    listed = {image: [{"caption": text} for text in group] for image, group in texts.items()}
    words: Words = PTBTokenizer().tokenize(listed)
    complete = {image: len(group) for image, group in words.items()} == {image: len(texts[image]) for image in texts}
    if not complete or (_any_word(texts) and not _any_word(words)):
        raise ValueError("it did not return every text")
    return words


def _any_word(texts: Words) -> bool:
    return any(text for group in texts.values() for text in group)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _reason(error: Exception) -> str:
    return (_one_line(str(error)) or type(error).__name__)[:200].rstrip(".")
