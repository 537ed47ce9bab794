"""L_AETP, attribute-emphasised text prediction (METHOD 3): masked attribute words in prompts, given the image.

    L_AETP = mean over labelled places of the attribute prompts of  CE( vocabulary logits, word piece )

The prompts are `the image <name> is <value>`; which of their words are masked: masking/word_masks.py.
"""

from torch import Tensor

from fashionfae_lavis.objectives.mlm import mean_cross_entropy


def aetp_loss(logits: Tensor, targets: Tensor, is_prompt: Tensor) -> Tensor:
    """Cross-entropy of the labelled places (P, V), (P,) that lie in the prompts; 0 where there is none."""
    return mean_cross_entropy(logits[is_prompt], targets[is_prompt])
