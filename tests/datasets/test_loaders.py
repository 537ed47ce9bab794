import numpy as np
import torch
from runner_toy import ToyDataset
from toy_products import ToyProducts

from fashionfae_lavis.datasets.loaders import evaluation_loader, loader_of_rows, share_of_loader, training_loader


def images(loader):
    return [batch["image"][:, 0, 0, 0].tolist() for batch in loader]


def test_an_evaluation_loader_visits_the_whole_split_in_order():
    loader = evaluation_loader(ToyProducts(5), batch_size=4, workers=0, pin=False)
    assert images(loader) == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4]]


def test_a_loader_of_rows_keeps_all_else_of_the_loader():
    dataset = ToyProducts(5)
    loader = evaluation_loader(dataset, batch_size=2, workers=0, pin=False)
    chosen = loader_of_rows(loader, [8, 0, 2])
    assert images(chosen) == [[4, 0], [1]]
    assert (chosen.batch_size, chosen.num_workers, chosen.pin_memory) == (2, 0, False)
    assert chosen.collate_fn == loader.collate_fn == dataset.collater
    assert images(loader_of_rows(chosen, [1, 2])) == [[0, 1]]  # rows of the rows
    assert not hasattr(dataset, "rows") and images(loader_of_rows(loader, [])) == []


def test_a_single_process_has_all_of_a_loader():
    loader = evaluation_loader(ToyProducts(3), batch_size=2, workers=0, pin=False)
    assert share_of_loader(loader) is loader


def test_loaders_leave_torch_s_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    list(evaluation_loader(ToyProducts(3), batch_size=2, workers=0, pin=False))
    next(iter(training_loader(ToyDataset(), [[(0, 1), (2, 3)]], seed=0, workers=0, pin=False)))
    assert torch.equal(torch.rand(3), expected)


def test_batches_are_prepared_with_their_numbers():
    def prepare(batch, number):
        return {"x": batch["x"], "number": number}

    batches = [[(0, 1), (0, 2)], [(1, 1)]]
    for workers in (0, 1):
        loader = training_loader(ToyDataset(), batches, 0, workers, pin=False, prepare=prepare, first=5)
        assert [(len(batch["x"]), batch["number"]) for batch in loader] == [(2, 5), (1, 6)]


def test_a_batch_stays_as_it_was_collated_and_prepared():
    def prepare(batch, number):
        return {"seed": (1, number), "array": np.zeros(2)}

    (batch,) = training_loader(ToyDataset(), [[(0, 1)]], 0, workers=0, pin=False, prepare=prepare)
    assert batch["seed"] == (1, 0) and isinstance(batch["array"], np.ndarray)


def test_training_items_are_drawn_under_a_seed_of_their_own():
    def draw(seed, *batches):
        loader = training_loader(ToyDataset(), list(batches), seed=seed, workers=0, pin=False)
        return torch.cat([batch["x"] for batch in loader])

    together = draw(0, [(0, 1), (0, 2)], [(1, 1)])
    assert torch.equal(draw(0, [(0, 2)])[0], together[1])
    assert not torch.equal(together[0], together[2])  # another epoch
    assert not torch.equal(draw(1, [(0, 2)])[0], together[1])
