import pytest
import torch
from torch import nn

from fashionfae_lavis.objectives.gradient_cache import in_chunks


def network(dropout=0.3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 4))


def gradients(module):
    return [parameter.grad for parameter in module.parameters()]


def of_the_paper(embed, loss, size, *inputs):
    """Back-propagates as section 3.2 of the paper does, step by step."""
    chunks, states, cached = list(zip(*(rows.split(size) for rows in inputs), strict=True)), [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(torch.get_rng_state())
            cached.append(embed(*chunk))
    embeddings = torch.cat(cached).requires_grad_()
    loss(embeddings).backward()
    after = torch.get_rng_state()
    for chunk, state, gradient in zip(chunks, states, embeddings.grad.split(size), strict=True):
        torch.set_rng_state(state)
        embed(*chunk).backward(gradient)
    torch.set_rng_state(after)


def loss_of(embeddings):
    return (embeddings @ embeddings.T).logsumexp(1).sum()


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_gradients_are_those_of_one_batch(size):
    rows = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    one, many = network(dropout=0), network(dropout=0)
    loss_of(one(rows)).backward()
    loss_of(in_chunks(many, size, rows)).backward()
    for expected, found in zip(gradients(one), gradients(many), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_and_16_bits_agree_with_the_paper_s_steps(dtype):
    """The second computation must drop the same units, and chunks add up in 32 bits."""
    rows = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    paper, ours = network(), network()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        torch.manual_seed(2)

        def embed(chunk):
            with torch.autocast("cpu", torch.bfloat16, dtype == torch.bfloat16, cache_enabled=False):
                return paper(chunk)

        of_the_paper(embed, lambda embeddings: loss_of(embeddings.float()), 2, rows)
        random_after = torch.get_rng_state()
        torch.manual_seed(2)
        loss = loss_of(in_chunks(ours, 2, rows).float())
    loss.backward()
    assert torch.equal(torch.get_rng_state(), random_after)
    for expected, found in zip(gradients(paper), gradients(ours), strict=True):
        assert (found - expected).norm() <= 1e-5 * expected.norm()


def test_one_chunk_after_the_other_is_computed_again():
    log, weight = [], torch.ones((), requires_grad=True)

    def embed(rows):
        chunk = int(rows[0])
        log.append(f"compute {chunk}")
        squares = (rows * weight).square()
        squares.register_hook(lambda gradient: log.append(f"gradient {chunk}"))
        return squares.exp()

    total = in_chunks(embed, 1, torch.arange(3.0)).sum()
    assert log == ["compute 0", "compute 1", "compute 2"]
    log.clear()
    total.backward()
    assert log == ["compute 2", "gradient 2", "compute 1", "gradient 1", "compute 0", "gradient 0"]


def test_nothing_is_divided_without_need():
    sizes = []

    def embed(rows):
        sizes.append(len(rows))
        return rows.square()

    rows = torch.arange(4.0, requires_grad=True)
    in_chunks(embed, 4, rows).sum().backward()
    with torch.no_grad():
        in_chunks(embed, 2, rows)
    assert sizes == [4, 4]
