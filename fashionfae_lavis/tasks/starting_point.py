"""Fine-tuning starts from a pre-trained checkpoint, or the configuration says that it does not."""

from omegaconf import open_dict

from fashionfae_lavis.errors import UserError


def build_fine_tuned(cfg, build):
    """The model that `build(cfg)` makes, from the checkpoint in `model.pretrained`.

    `run.from_scratch: True` starts where pre-training starts instead, for comparison: from the BERT and ViT that
    `model.bert` and `model.vit` name, where the configuration has them (base), else from random weights (mini).

    Raises:
        UserError: there is to be training but no checkpoint is named, or it cannot be read or does not fit.
    """
    model, run = cfg.model_cfg, cfg.run_cfg
    if run.get("from_scratch", False):
        with open_dict(model):
            model.update(pretrained=None, load_pretrained=bool(model.get("bert")), load_finetuned=False)
        return build(cfg)
    key = "finetuned" if model.get("load_finetuned", False) else "pretrained"
    named = model.get(f"load_{key}", True) and model.get(key)
    if not named and not run.get("evaluate", False):
        raise UserError(
            "Fine-tuning starts from a pre-trained checkpoint: set model.pretrained to one (and model.load_pretrained "
            "to True), or run.from_scratch to True to train without."
        )
    try:
        return build(cfg)
    except UserError as error:
        if not named or str(named) not in str(error):
            raise
        reason = str(error).rstrip(".")
        raise UserError(
            f"model.{key}: {reason}; set it to a checkpoint of this model_type, or run.from_scratch to True to train "
            "without."
        ) from error
