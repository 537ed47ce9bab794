"""Measures whether FashionFAE's objectives pull the shared weights in the same direction.

    python benchmarks/gradient_conflict.py --cfg-path projects/fashionfae/pretrain.yaml
    python benchmarks/gradient_conflict.py --cfg-path projects/fashionfae/catalogue/pretrain.yaml \
        --options model.pretrained=output/fashionfae/catalogue/<run>/checkpoint_last.pth

Computes the gradient of every objective for each of `--batches` training batches of the recipe, at the weights in
`model.pretrained` and with dropout. Prints the mean cosine of two objectives' gradients on the same batch, and its
standard deviation over the batches, for the image encoder and for the fusion encoder. The diagonal has the cosine of
one objective's gradients on two successive batches; it shows how far noise alone lowers a cosine. `norm` is the mean
length of a gradient.
"""

import argparse
from itertools import combinations_with_replacement, pairwise

import torch
from lavis.common.registry import registry
from lavis.tasks import setup_task
from torch.utils.data import DataLoader

from fashionfae_lavis.configuration import load_config
from fashionfae_lavis.models.fashionfae import FashionFAE
from fashionfae_lavis.reports.tables import text_table

OBJECTIVES = {"ITC": ["itc"], "ITM": ["itm"], "MLM": ["mlm"], "AETP": ["aetp"], "APIR": ["apir"]}
PARTS = ("image_encoder", "fusion_encoder")


def gradients(model: FashionFAE, samples: dict, objectives: list[str]) -> dict[str, torch.Tensor]:
    """Returns the gradient of the loss of these objectives as a vector for each of `PARTS`."""
    model.zero_grad()
    torch.manual_seed(0)  # the same dropout for all objectives
    model({**samples, "objectives": objectives})["loss"].backward()
    found = {}
    for part in PARTS:
        weights = getattr(model, part).parameters()
        found[part] = torch.cat(
            [(weight.grad if weight.grad is not None else torch.zeros_like(weight)).flatten() for weight in weights]
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cfg-path", required=True)
    parser.add_argument("--options", nargs="+")
    parser.add_argument("--batches", type=int, default=16)
    args = parser.parse_args()
    config = load_config(args)
    task = setup_task(config)
    (splits,) = task.build_datasets(config).values()
    train = splits["train"]
    model = registry.get_model_class(config.model_cfg.arch).from_config(config.model_cfg).train()
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(train, config.run_cfg.batch_size_train, True, collate_fn=train.collater, generator=order)
    found: list[dict[str, dict[str, torch.Tensor]]] = []
    for index, samples in zip(range(args.batches), loader, strict=False):
        samples = {**task.with_views(samples, index, rank=0, micro_step=0), "mask_seed": (0, index)}
        found.append({name: gradients(model, samples, one) for name, one in OBJECTIVES.items()})
    for part in PARTS:
        rows = {name: [name, *[""] * len(OBJECTIVES)] for name in OBJECTIVES}
        for first, second in combinations_with_replacement(OBJECTIVES, 2):
            pairs = [(batch[first][part], batch[second][part]) for batch in found]
            if first == second:
                pairs = [(one[first][part], other[first][part]) for one, other in pairwise(found)]
            cosines = torch.stack([torch.cosine_similarity(one, other, dim=0) for one, other in pairs])
            column = 1 + list(OBJECTIVES).index(second)
            rows[first][column] = f"{cosines.mean():+.2f} ± {cosines.std():.2f}"
        for name, row in rows.items():
            row.append(f"{torch.stack([batch[name][part].norm() for batch in found]).mean():.3f}")
        print(text_table([part, *OBJECTIVES, "norm"], list(rows.values())), end="\n\n")


if __name__ == "__main__":
    main()
