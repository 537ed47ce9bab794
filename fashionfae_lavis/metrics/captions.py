"""Scores of captions by pycocoevalcap, as in COCO's evaluation."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
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

Words = dict[int, list[str]]  # image -> texts with a space between words


def caption_scores(
    captions: Mapping[int, str], references: Mapping[int, Sequence[str]]
) -> tuple[dict[str, float], dict[str, str]]:
    """Scores one caption per image against its references, all in lower case and without punctuation.

    If Java is installed, pycocoevalcap's PTB tokenizer splits the words. Otherwise they are split at spaces, which
    differs only for a few contractions.

    Args:
        captions: image -> its caption.
        references: image -> its references.

    Returns:
        Scores by COCO's names: Bleu_1 to Bleu_4, ROUGE_L, METEOR and SPICE from 0 to 1, CIDEr from 0 to 10. The second
        dict gives, for each score that was left out, the reason as a sentence.

    Raises:
        ValueError: captions and references belong to different images.
    """
    if captions.keys() != references.keys():
        raise ValueError("captions and references must be of the same images")
    java = shutil.which("java") is not None
    tokenize: Callable[[Any], Words] = PTBTokenizer().tokenize if java else _split
    truth = tokenize({image: [{"caption": text} for text in texts] for image, texts in references.items()})
    found = tokenize({image: [{"caption": text}] for image, text in captions.items()})
    bleu, _ = Bleu(4).compute_score(truth, found, verbose=0)
    scores = dict(zip(BLEU, map(float, bleu), strict=True))
    for name, scorer in (("ROUGE_L", Rouge()), ("CIDEr", Cider())):
        scores[name] = float(scorer.compute_score(truth, found)[0])
    left_out: dict[str, str] = {}
    for name, scorer in (("METEOR", Meteor), ("SPICE", spice.Spice)):
        if not java:
            left_out[name] = f"{name} is left out, because it needs Java, which is not installed."
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
    try:
        scores[name] = float(scorer().compute_score(*pairs)[0])
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        left_out[name] = f"{name} is left out, because its program failed: {' '.join(str(error).split())[:200]}."


def _split(texts: Mapping[int, Sequence[Mapping[str, str]]]) -> Words:
    return {image: [" ".join(text["caption"].split()) for text in group] for image, group in texts.items()}
