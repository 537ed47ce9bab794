import pytest
import torch
from tiny import tiny_model, tiny_samples
from two_processes import run_in_two_processes

from fashionfae_lavis.objectives.itc import contrastive_loss


def slow_contrastive_loss(a, b):
    """Row by row, with plain exponentials."""
    total = 0.0
    for i in range(len(a)):
        row = [torch.exp(a[i] @ b[j]) for j in range(len(b))]
        column = [torch.exp(a[j] @ b[i]) for j in range(len(a))]
        total = total - torch.log(row[i] / sum(row)) - torch.log(column[i] / sum(column))
    return total / (2 * len(a))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_loss_equals_the_slow_reference(size):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    torch.testing.assert_close(contrastive_loss(a, b).double(), slow_contrastive_loss(a, b), atol=1e-6, rtol=0)


def test_two_views_add_a_term_each():
    model, samples = tiny_model().eval(), {**tiny_samples(), "objectives": ["itc"]}
    other = torch.randn(4, 3, 32, 32)
    both = model({**samples, "image_2": other})["loss_itc"]
    single = model(samples)["loss_itc"] + model({**samples, "image": other})["loss_itc"]
    torch.testing.assert_close(both, single)


def test_accuracy_counts_images_whose_own_text_wins():
    model, samples = tiny_model().eval(), {**tiny_samples(), "objectives": ["itc"]}
    image = model.image_embedding(model.image_encoder(samples["image"]))
    text = model.text_embedding(model.tokenize(samples["text_input"]))
    expected = ((image @ text.T).argmax(1) == torch.arange(4)).float().mean()
    assert model(samples)["acc_itc"] == expected


RANK = """
import sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tiny import tiny_model, tiny_samples

def main():
    rank = dist.get_rank()
    model = DistributedDataParallel(tiny_model().eval(), find_unused_parameters=True)
    samples = tiny_samples(8)
    half = slice(4 * rank, 4 * rank + 4)
    samples = {k: v[half] if k != "mask_seed" else v for k, v in samples.items()}
    loss = model({**samples, "objectives": ["itc"]})["loss_itc"]
    loss.backward()
    losses = [torch.zeros(()) for _ in range(2)]
    dist.all_gather(losses, loss.detach())
    if rank == 0:
        grads = {n: p.grad for n, p in model.module.named_parameters() if p.grad is not None}
        torch.save({"loss": sum(losses) / 2, "grads": grads}, sys.argv[1])

dist.init_process_group("gloo")
main()  # its model holds on to the group, which aborts the process where it outlives the group's end
dist.destroy_process_group()
"""


def test_two_processes_equal_one_of_twice_the_batch(tmp_path):
    out = tmp_path / "out.pt"
    run_in_two_processes(RANK, tmp_path, out)
    two = torch.load(out, weights_only=True)
    model = tiny_model().eval()
    loss = model({**tiny_samples(8), "objectives": ["itc"]})["loss_itc"]
    loss.backward()
    torch.testing.assert_close(two["loss"], loss.detach(), atol=1e-5, rtol=0)
    one = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert {n for n, g in one.items() if g.any()} <= set(two["grads"])
    for name, gradient in one.items():
        if gradient.any():
            torch.testing.assert_close(two["grads"][name], gradient, atol=1e-5, rtol=0, msg=name)
