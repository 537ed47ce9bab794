"""Measures the choices of CPU kernels in a training step, each next to what torch would do without it.

    python benchmarks/kernels.py                    # a few minutes
    python benchmarks/kernels.py --compile          # torch.compile on a layer, too; needs a C++ compiler

    stem, tokenizer    convolutions on channels-last images, next to channels-first ones
    AdamW              torch's fused implementation, next to its default
    attention          scaled_dot_product_attention, next to products and a softmax
    compiled           a transformer layer through torch.compile, next to the same layer

The stem, AdamW and the first rows of the others have the size of the model type `mini` at batch 32, those marked `base`
the paper's size at batch 4. Everything but the tokenizer and AdamW counts the gradients. The variants take turns in one
process. Shows the median time of the alternative in milliseconds, and that of ours as a share of it (lowest and highest
of the repetitions).
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from step_time import make_fashionfae
from torch import Tensor, nn

from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.models.image_tokenizer import ImageTokenizer

Run = Callable[[], Tensor | None]


def make_mini() -> FashionFAE:
    """Builds the mini model with its shipped weights."""
    return FashionFAE.from_pretrained("mini").train()


def tokenize_channels_first(tokenizer: ImageTokenizer, images: Tensor) -> None:
    with torch.no_grad():
        tokenizer.quant_conv(tokenizer.encoder(images))


def tokenize(tokenizer: ImageTokenizer, images: Tensor) -> None:
    with torch.no_grad():
        tokenizer.features(images)


def adamw(model: nn.Module, fused: bool) -> Run:
    """Returns a function that updates copies of the model's trained parameters."""
    parameters = [nn.Parameter(p.detach().clone()) for p in model.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return torch.optim.AdamW(parameters, lr=1e-5, fused=fused).step


def plain_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    return scores.softmax(-1) @ value


def attention(
    compute: Callable[[Tensor, Tensor, Tensor], Tensor], batch: int, heads: int, length: int, width: int
) -> Run:
    """Returns a function that attends among random states."""
    states = torch.randn(batch, length, 3, heads, width, requires_grad=True)
    return lambda: compute(*states.permute(2, 0, 3, 1, 4).unbind(0))


def cases(compiled: bool) -> Iterator[tuple[str, Run, Run]]:
    """Yields the name, the alternative and our choice of each row."""
    mini, images = make_mini(), torch.randn(32, 3, 112, 112)
    stem = mini.image_encoder.patch_embed
    yield "stem", lambda: stem.proj(images).flatten(2).transpose(1, 2), lambda: stem(images)
    base, large = make_fashionfae("base").train(), torch.randn(4, 3, 224, 224)
    for name, model, batch in (("mini", mini, images), ("base", base, large)):
        tokenizer = model.image_tokenizer
        yield (
            f"tokenizer, {name}",
            lambda tokenizer=tokenizer, batch=batch: tokenize_channels_first(tokenizer, batch),
            lambda tokenizer=tokenizer, batch=batch: tokenize(tokenizer, batch),
        )
        yield f"AdamW, {name}", adamw(model, fused=False), adamw(model, fused=True)
    for name, shape in (("mini", (32, 4, 170, 32)), ("base", (4, 12, 197, 64))):
        fused = attention(F.scaled_dot_product_attention, *shape)
        yield f"attention, {name}", attention(plain_attention, *shape), fused
    if compiled:
        states = torch.randn(4, 197, 768, requires_grad=True)
        block = base.image_encoder.blocks[0]
        faster = torch.compile(block, dynamic=False)
        yield "compiled, base", lambda: block(states), lambda: faster(states)


def seconds(run: Run) -> float:
    """Measures a call, with the gradients of a tensor that it returns."""
    clock = time.perf_counter()
    result = run()
    if isinstance(result, Tensor) and result.requires_grad:
        result.backward(torch.ones_like(result))
    return time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="repetitions after the first (default 7)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"{args.threads} thread(s)\n{'':<18} {'ms':>8} {'ours':>6} {'lowest':>7} {'highest':>8}")
    for name, alternative, ours in cases(args.compile):
        seconds(alternative), seconds(ours)
        pairs = [(seconds(alternative), seconds(ours)) for _ in range(args.repeats)]
        before = statistics.median(first for first, _ in pairs)
        ratios = sorted(second / first for first, second in pairs)
        median = statistics.median(second for _, second in pairs) / before
        print(f"{name:<18} {1000 * before:>8.1f} {median:>6.2f} {ratios[0]:>7.2f} {ratios[-1]:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
