"""Finds out which part of ALBEF keeps it at chance when it trains from random weights.

    OMP_NUM_THREADS=1 python benchmarks/albef_from_scratch.py [--seeds 0 1 2] [--variants "as it is" ...]

Trains LAVIS's ALBEF on FashionGen-Mini for 400 updates of 32, with the settings of projects/compare/systems.yaml, as it
is and with parts changed:

    as it is             ITC, ITM and MLM
    ITC alone            no ITM and MLM
    own candidates       ITC alone, with candidates from the current weights (momentum 0), one batch as queue, and hard
                         targets (alpha 0)
    plain ITC            ITC alone, between the embeddings of one batch, with gradients to both sides, as in CLIP
    plain ITC, ITM, MLM  the same with the other losses

Prints, for each, mean recall on the validation split, the temperature at the end, and the mean cosine between the
embeddings of different images, of different texts, and of the images' momentum embeddings.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from lavis.common.registry import registry
from lavis.tasks import setup_task
from torch import Tensor
from torch.utils.data import DataLoader

from fashionfae_lavis.configuration import load_config
from fashionfae_lavis.datasets.loaders import evaluation_loader
from fashionfae_lavis.evaluation.retrieval import evaluate_retrieval
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.objectives.itc import contrastive_loss
from fashionfae_lavis.reports.tables import text_table
from fashionfae_lavis.runners.optimizers import build_optimizer, build_schedule

UPDATES, BATCH = 400, 32
OPTIONS = [
    "model.load_pretrained=False",
    "run.init_lr=5e-4",
    "run.lr_scale={visual_encoder: 1}",
    "run.warmup_steps=40",
    f"run.max_iters={UPDATES}",
]


def own_losses(*names: str) -> Callable:
    """Returns a function that sums these losses of ALBEF."""
    return lambda model, output: sum(output[f"loss_{name}"] for name in names)


def plain_itc(model, output) -> Tensor:
    """Contrasts the images and texts of the batch."""
    parts = output.intermediate_output
    image = F.normalize(model.vision_proj(parts.image_embeds[:, 0]), dim=-1)
    text = F.normalize(model.text_proj(parts.text_embeds[:, 0]), dim=-1)
    return contrastive_loss(image / model.temp, text)


VARIANTS: dict[str, tuple[dict[str, float], Callable]] = {
    "as it is": ({}, own_losses("itc", "itm", "mlm")),
    "ITC alone": ({}, own_losses("itc")),
    "own candidates": ({"momentum": 0.0, "queue_size": BATCH, "alpha": 0.0}, own_losses("itc")),
    "plain ITC": ({}, plain_itc),
    "plain ITC, ITM, MLM": ({}, lambda *args: plain_itc(*args) + own_losses("itm", "mlm")(*args)),
}


def cosine(embeds: Tensor) -> float:
    """Returns the mean cosine between different rows."""
    embeds = F.normalize(embeds, dim=-1)
    n = len(embeds)
    return ((embeds @ embeds.T).sum().item() - n) / (n * n - n)


def train(name: str, seed: int) -> list[str]:
    """Trains one variant and returns its row."""
    settings, loss_of = VARIANTS[name]
    options = [*OPTIONS, f"run.seed={seed}", *(f"model.{key}={value}" for key, value in settings.items())]
    config = load_config(argparse.Namespace(cfg_path="projects/albef/pretrain.yaml", options=options))
    task = setup_task(config)
    (splits,) = task.build_datasets(config).values()
    torch.manual_seed(seed)
    model = registry.get_model_class(config.model_cfg.arch).from_config(config.model_cfg).train()
    optimizer = build_optimizer(model, config.run_cfg)
    schedule = build_schedule(optimizer, config.run_cfg, UPDATES)
    order = torch.Generator().manual_seed(seed)
    train_split = splits["train"]
    loader = DataLoader(train_split, BATCH, True, collate_fn=train_split.collater, drop_last=True, generator=order)
    update = 0
    while update < UPDATES:
        for samples in loader:
            schedule.step(update)
            progress = {"epoch": 0, "iters": update, "num_iters_per_epoch": UPDATES}  # as the runner passes them
            loss = loss_of(model, model({**samples, **progress}))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            update += 1
            if update == UPDATES:
                break
    model.eval()
    result = evaluate_retrieval(adapt(model), evaluation_loader(splits["val"], 128, 0, False))
    with torch.no_grad():
        images = torch.stack([splits["val"][row]["image"] for row in range(0, 600, 10)])
        momentum = model.vision_proj_m(model.visual_encoder_m(images)[:, 0])
    cosines = [cosine(torch.from_numpy(result.images[:600:10])), cosine(torch.from_numpy(result.texts[:60]))]
    recall = result.recalls["description"]["full"]["mean"]
    return [
        name,
        str(seed),
        f"{recall:.2f}",
        f"{model.temp.item():.3f}",
        *(f"{c:.3f}" for c in (*cosines, cosine(momentum))),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        for name in args.variants:
            rows.append(train(name, seed))
            print(*rows[-1], sep="  ", flush=True)
    print(text_table(["variant", "seed", "recall", "temp", "images", "texts", "momentum"], rows))


if __name__ == "__main__":
    main()
