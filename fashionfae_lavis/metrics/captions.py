"""Scores of captions: pycocoevalcap's, as COCO's evaluation uses them."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.spice import spice
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

# SPICE's parser needs these, which it would fetch from Stanford's server on its own, 400 MB, at the first use.
SPICE_MODELS = Path(spice.__file__).parent / "lib" / "stanford-corenlp-3.6.0-models.jar"
BLEU = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4")


def caption_scores(
    captions: Mapping[int, str], references: Mapping[int, list[str]]
) -> tuple[dict[str, float], dict[str, str]]:
    """Score one caption for each image against its references, both in lower case and without punctuation.

    Where Java is installed the words are those of pycocoevalcap's PTB tokenizer; else what stands between spaces,
    which in such texts is the same but for a few contractions.

    Returns:
        scores by the names of COCO's evaluation (Bleu_1 to 4, ROUGE_L, CIDEr, METEOR and SPICE: shares, but for CIDEr,
        which goes to 10), and what was left out, with the reason as a sentence.

    Raises:
        ValueError: captions and references are not of the same images.
    """
    if captions.keys() != references.keys():
        raise ValueError("captions and references must be of the same images")
    java = shutil.which("java") is not None
    tokenize = PTBTokenizer().tokenize if java else _split
    truth = tokenize({image: [{"caption": text} for text in texts] for image, texts in references.items()})
    found = tokenize({image: [{"caption": text}] for image, text in captions.items()})
    bleu, _ = Bleu(4).compute_score(truth, found, verbose=0)
    scores = dict(zip(BLEU, map(float, bleu), strict=True))
    for name, scorer in (("ROUGE_L", Rouge()), ("CIDEr", Cider())):
        scores[name] = float(scorer.compute_score(truth, found)[0])
    left_out = {}
    for name, scorer in (("METEOR", Meteor), ("SPICE", spice.Spice)):
        if not java:
            left_out[name] = f"{name} is left out, as it needs Java, which is not installed."
        elif name == "SPICE" and not SPICE_MODELS.exists():
            left_out[name] = (
                "SPICE is left out, as its models are not there: python -m pycocoevalcap.spice.get_stanford_models "
                "fetches them."
            )
        else:
            _try(scorer, name, (truth, found), scores, left_out)
    return scores, left_out


def _try(scorer: Callable, name: str, pairs: tuple, scores: dict, left_out: dict) -> None:
    """A program of another's in Java: its failure is told, and costs the other scores nothing."""
    try:
        scores[name] = float(scorer().compute_score(*pairs)[0])
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        left_out[name] = f"{name} is left out, as its program failed: {' '.join(str(error).split())[:200]}."


def _split(texts: Mapping[int, list[dict]]) -> dict[int, list[str]]:
    return {image: [" ".join(text["caption"].split()) for text in group] for image, group in texts.items()}
