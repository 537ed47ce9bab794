import torch
from authors import tiny_of
from tiny import tiny_model, tiny_samples

from fashionfae_lavis.models import FashionRetrieval
from fashionfae_lavis.tasks.retrieval import FashionRetrievalTask


def test_fine_tuning_is_itc_alone_whatever_the_model_has():
    samples = {**tiny_samples(), "iters": 0, "micro_step": 0}
    whole = tiny_model().eval()
    output = FashionRetrievalTask({}).train_step(whole, samples)
    assert set(output) == {"loss", "loss_itc", "acc_itc"}
    retrieval = tiny_of(FashionRetrieval).eval()
    retrieval.load_state_dict({k: v for k, v in whole.state_dict().items() if k in retrieval.state_dict()})
    assert torch.equal(FashionRetrievalTask({}).train_step(retrieval, samples)["loss"], output["loss"])
