"""Compares the time and memory of a training step of FashionFAE, ALBEF and BLIP, by default at the paper's size.

    python benchmarks/step_time.py                    # ViT-B/16, BERT-base, batch 8, 120 word pieces; tens of minutes
    python benchmarks/step_time.py --size small       # ViT-S/16 and MiniLM-L6, the model type `small`
    python benchmarks/step_time.py --size tiny        # a test of this program; seconds
    python benchmarks/step_time.py --formats fp32

A step computes the losses, the gradients and AdamW's update of one batch. FashionFAE has a row for each of its steps,
and a row for their mean weighted by the authors' ratios, the average cost of an update. `albef_pretrain` and
`blip_pretrain` are LAVIS's classes with LAVIS's encoders and queue lengths and a vocabulary of BERT's size. All models
have random weights, dropout as in training, and the same images and texts, which fill all 120 positions.

Each row runs in a separate process, one after the other, on `--threads` threads. It shows the median of `--steps` steps
after one warm-up step, and the peak memory of the process. Only ratios within one run carry over to other machines.
bf16 means autocast, and is skipped if the processor has no bf16 instructions.

`embed` is FashionFAE's embedding of the batch's images and texts, as the evaluation does it. `of the rate` is the share
of the rate of matrix products: the FLOPs that torch counts, over the time of a row and the rate of one large product in
the same process and format. The rest of the time goes to softmax, norms, dropout, copies and the optimizer.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

STEPS = {"itc": ["itc"], "itm": ["itm"], "mlm+aetp": ["mlm", "aetp"], "apir": ["apir"]}
EMBED = "embed"
BASELINES = ("albef_pretrain", "blip_pretrain")
VOCABULARY = 30_522
LENGTH = 120
WORDS = (
    "long",
    "sleeve",
    "shirt",
    "cotton",
    "striped",
    "collar",
    "button",
    "wool",
    "belted",
    "pocket",
    "denim",
    "knit",
)
SIZES = ("base", "small", "tiny")  # the first two are model types of FashionFAE
TINY = {
    "image_encoder": {"width": 48, "depth": 2, "heads": 2},
    "fusion_encoder": {
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 96,
        "split": 1,
    },
    "image_tokenizer": {"channels": 8, "blocks": 1, "codes": 16, "code_dim": 8},
}


def make_tokenizer():
    """Builds a tokenizer of the mini vocabulary, extended to BERT's size so that prediction heads cost the same."""
    from transformers import BertTokenizerFast

    from fashionfae_lavis.models.configuration import shipped

    pieces = (Path(shipped("vocabularies", "mini")) / "vocab.txt").read_text().split("\n")
    pieces = [piece for piece in pieces if piece]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("\n".join([*pieces, *(f"[unused{i}]" for i in range(VOCABULARY - len(pieces)))]) + "\n")
        return BertTokenizerFast(str(path))


def make_batch(size: int, pixels: int) -> dict:
    """Makes a batch whose texts exceed the model's text length, so that all positions are filled."""
    import torch

    from fashionfae_lavis.text.product_text import fashion_text

    fields = [
        {
            "title": f"{WORDS[row % len(WORDS)]} {WORDS[(row + 3) % len(WORDS)]} coat",
            "description": " ".join(WORDS[(row + position) % len(WORDS)] for position in range(2 * LENGTH)),
            "category": "TOPS",
            "sub category": "SHIRTS",
            "gender": "Women",
            "season": "SS2017",
            "composition": "100% cotton",
        }
        for row in range(size)
    ]
    return {
        "image": torch.randn(size, 3, pixels, pixels, generator=torch.Generator().manual_seed(0)),
        "text_input": [fashion_text(field, "description+attributes") for field in fields],
        "fields": fields,
        "product_id": torch.arange(size),
        "image_id": torch.arange(size),
        "epoch": 0,
        "num_iters_per_epoch": 100,
    }


def model_config(size: str):
    """Returns the `model` section of FashionFAE, whose encoders have the sizes of the baselines', too."""
    from omegaconf import OmegaConf

    from fashionfae_lavis.models import FashionFAE

    if size == "tiny":
        return OmegaConf.merge(FashionFAE.config_for("base").model, TINY)
    return FashionFAE.config_for(size).model


def make_fashionfae(size: str):
    """Builds FashionFAE with random weights."""
    from fashionfae_lavis.models import FashionFAE

    return FashionFAE.build(model_config(size), make_tokenizer(), VOCABULARY)


def make_baseline(name: str, size: str):
    """Builds LAVIS's class from LAVIS's parts, except for the tokenizer, which LAVIS would download."""
    from lavis.models.albef_models.albef_pretrain import AlbefPretrain
    from lavis.models.blip_models.blip_pretrain import BlipPretrain
    from lavis.models.med import BertForMaskedLM, XBertEncoder, XBertLMHeadDecoder
    from lavis.models.vit import VisionTransformerEncoder
    from transformers import BertConfig

    cfg = model_config(size)
    image, text = cfg.image_encoder, cfg.fusion_encoder
    vit = VisionTransformerEncoder(
        img_size=cfg.image_size, patch_size=16, embed_dim=image.width, depth=image.depth, num_heads=image.heads
    )
    vit.vision_width = image.width
    tokenizer = make_tokenizer()
    if name == "blip_pretrain":
        tokenizer.add_special_tokens({"bos_token": "[DEC]", "additional_special_tokens": ["[ENC]"]})
        tokenizer.enc_token_id = tokenizer.additional_special_tokens_ids[0]
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=text.hidden_size,
        num_hidden_layers=text.num_hidden_layers,
        num_attention_heads=text.num_attention_heads,
        intermediate_size=text.intermediate_size,
        encoder_width=image.width,
        add_cross_attention=True,
        add_type_embeddings=False,
    )
    model_class = {"albef_pretrain": AlbefPretrain, "blip_pretrain": BlipPretrain}[name]
    model_class.init_tokenizer = classmethod(lambda cls: tokenizer)
    if name == "albef_pretrain":
        config.fusion_layer = text.num_hidden_layers // 2
        return AlbefPretrain(vit, BertForMaskedLM(config), queue_size=65_536, max_txt_len=LENGTH)
    encoder = XBertEncoder(config, add_pooling_layer=False)
    return BlipPretrain(vit, encoder, XBertLMHeadDecoder(config), queue_size=57_600, max_txt_len=LENGTH)


def matrix_rate(dtype) -> float:
    """Returns the FLOP/s of a product of the size of a layer of BERT-base at batch 8."""
    import torch

    states, weight = torch.randn(8 * LENGTH, 3072).to(dtype), torch.randn(768, 3072).to(dtype)
    seconds = []
    for _ in range(12):
        clock = time.perf_counter()
        states @ weight.T
        seconds.append(time.perf_counter() - clock)
    return 2 * states.numel() * len(weight) / statistics.median(seconds)


def measure(row: str, args) -> dict:
    """Measures one row.

    Returns:
        "seconds" (median of a step), "memory" (peak of this process in GB), "flops" of a step and the "rate" of matrix
        products in FLOP/s.
    """
    import torch
    from omegaconf import OmegaConf
    from torch.utils.flop_counter import FlopCounterMode

    from fashionfae_lavis.runners.optimizers import build_optimizer

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = make_baseline(row, args.size) if row in BASELINES else make_fashionfae(args.size)
    model.train(row != EMBED)
    dtype = torch.bfloat16 if args.formats == ["bf16"] else torch.float32
    rate = matrix_rate(dtype)
    optimizer = build_optimizer(model, OmegaConf.create({"init_lr": 1e-5, "weight_decay": 1e-4}))
    batch = make_batch(args.batch, model_config(args.size).image_size)
    autocast = partial(torch.autocast, "cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)

    def run(step: int) -> None:
        batch.update(iters=step, mask_seed=(0, step))
        if row in STEPS:
            batch["objectives"] = STEPS[row]
        with autocast():
            loss = model(batch)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        assert torch.isfinite(loss), row

    def embed(step: int) -> None:
        with autocast(), torch.no_grad():
            model.extract_features(batch, mode="image")
            model.extract_features(batch, mode="text")

    work = embed if row == EMBED else run
    with FlopCounterMode(display=False) as counter:
        work(0)
    seconds = []
    for step in range(args.steps):
        clock = time.perf_counter()
        work(1 + step)
        seconds.append(time.perf_counter() - clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "seconds": statistics.median(seconds),
        "memory": peak,
        "flops": counter.get_total_flops(),
        "rate": max(rate, matrix_rate(dtype)),
    }


def in_a_process(row: str, number_format: str, args) -> dict:
    """Runs `measure` in a new process."""
    options = {"--size": args.size, "--batch": args.batch, "--threads": args.threads, "--steps": args.steps}
    command = [sys.executable, "-W", "ignore", __file__, "--row", row, "--formats", number_format]
    command += [str(part) for pair in options.items() for part in pair]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def multiplies_bf16() -> bool:
    """Returns whether the processor has bf16 instructions; timings of emulated bf16 are meaningless."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))


def weighted_mean(rows: dict[str, dict]) -> dict:
    """Averages FashionFAE's steps by the authors' ratios; the memory is the largest."""
    from fashionfae_lavis.objectives.sampling import DEFAULT_STEPS

    ratios = {"+".join(step["objectives"]): step["ratio"] for step in DEFAULT_STEPS}

    def mean(key: str) -> float:
        return sum(ratio * rows[name][key] for name, ratio in ratios.items()) / sum(ratios.values())

    largest = max(rows[name]["memory"] for name in ratios)
    return {**{key: mean(key) for key in rows["itc"].keys() & {"seconds", "flops", "rate"}}, "memory": largest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--formats", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--row", choices=(*STEPS, *BASELINES, EMBED), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        print(json.dumps(measure(args.row, args)))
        return
    formats = [name for name in args.formats if name == "fp32" or multiplies_bf16() or args.size == "tiny"]
    if len(formats) < len(args.formats):
        print("bf16 is skipped: this processor has no bf16 instructions.")
    results: dict[str, dict[str, dict]] = {}
    print(f"{'':>24} {'seconds':>9} {'of ALBEF fp32':>14} {'memory, GB':>11} {'of the rate':>12}")
    for number_format in formats:
        rows = {}
        for row in (*BASELINES, *STEPS, EMBED):
            rows[row] = in_a_process(row, number_format, args)
            show(row, number_format, rows[row], results.get("fp32", rows))
        rows["fashionfae mean"] = weighted_mean(rows)
        results[number_format] = rows
        show("fashionfae mean", number_format, rows["fashionfae mean"], results.get("fp32", rows))


def show(row: str, number_format: str, found: dict, reference: dict) -> None:
    ratio = found["seconds"] / reference["albef_pretrain"]["seconds"]
    share = found["flops"] / found["seconds"] / found["rate"]
    figures = f"{found['seconds']:>9.2f} {ratio:>14.2f} {found['memory']:>11.2f} {share:>12.2f}"
    print(f"{row:>18} {number_format:>5} {figures}", flush=True)


if __name__ == "__main__":
    main()
