"""The five objectives of FashionFAE: one loss of the paper, one file."""

from torch import Tensor

from fashionfae_lavis.objectives.apir import apir
from fashionfae_lavis.objectives.itc import itc
from fashionfae_lavis.objectives.itm import itm
from fashionfae_lavis.objectives.text_prediction import text_prediction

OBJECTIVES = ("itc", "itm", "mlm", "aetp", "apir")


def compute(model, batch, objectives) -> dict[str, Tensor]:
    """Losses and accuracies of the named objectives on one batch; "loss" is their sum (MLM and AETP share one)."""
    steps = []
    if "itc" in objectives:
        output = itc(model, batch)
        steps.append({"loss": output["loss_itc"], **output})
    if "itm" in objectives:
        output = itm(model, batch)
        steps.append({"loss": output["loss_itm"], **output})
    if "mlm" in objectives or "aetp" in objectives:
        steps.append(text_prediction(model, batch, objectives))
    if "apir" in objectives:
        steps.append(apir(model, batch))
    merged = {key: value for step in steps for key, value in step.items()}
    merged["loss"] = sum(step["loss"] for step in steps)
    return merged
