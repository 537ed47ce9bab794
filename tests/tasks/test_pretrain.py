import json
import pickle
import re

import pytest
import torch
from authors import tiny_of
from baselines import tiny_baseline
from tiny import tiny_model, tiny_samples
from torch.utils.data import DataLoader

from fashionfae_lavis.datasets.builders.fashiongen import VALIDATION_FILE
from fashionfae_lavis.datasets.datasets.fashiongen_file import FashionGenFile
from fashionfae_lavis.datasets.datasets.products import ProductEvalDataset
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.grounding import aetp_grounding
from fashionfae_lavis.mini.fashiongen import prepare
from fashionfae_lavis.models import FashionRetrieval
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.processors import FashionImageEvalProcessor, FashionTextProcessor
from fashionfae_lavis.tasks.pretrain import AETPTask, APIRTask, FashionFAEPretrainTask
from fashionfae_lavis.tasks.retrieval import FashionPretrainTask


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    prepare(folder, train_products=10, validation_products=21, image_size=64)
    processors = FashionImageEvalProcessor(image_size=32, resize=32), FashionTextProcessor()
    return ProductEvalDataset(FashionGenFile(folder / VALIDATION_FILE), *processors)


def test_the_end_of_a_run_measures_the_grounding_of_what_was_trained(dataset):
    model = tiny_model().eval()
    steps = [{"objectives": ["itc"], "ratio": 1}, {"objectives": ["aetp"], "ratio": 1}]
    task = FashionFAEPretrainTask({"steps": steps})
    before = task.evaluation(model, DataLoader(dataset, batch_size=8, collate_fn=dataset.collater))
    assert "aetp" not in before
    result = task.finish(model, before)
    assert result["aetp"] == aetp_grounding(model, dataset) and "apir" not in result
    assert {**result, "aetp": None} == {**before, "aetp": None}
    json.dumps(result.to_json())
    assert "season" in result.table() and "APIR" not in result.table()
    assert APIRTask({}).finish(model, before)["apir"]["places"] == 21 * 8


def test_pretraining_step_draws_objectives_and_seeds_by_iteration():
    task = FashionFAEPretrainTask({"seed": 3})
    seen = {}

    def model(samples):
        seen.update(samples)
        return {"loss": torch.zeros(())}

    task.train_step(model, {"iters": 7, "micro_step": 1})
    assert seen["objectives"] == task.sampler.at(7) and seen["mask_seed"] == (3, 0, 7, 1)


ALL = ["itc", "itm", "mlm", "aetp", "apir"]


@pytest.mark.parametrize("objectives", [["itc"], ["itm"], ["mlm", "aetp"], ["apir"], ALL])
def test_a_batch_prepared_by_a_worker_gives_the_losses_of_an_unprepared_one(objectives):
    run = {"seed": 3, "steps": [{"objectives": objectives}], "texts": {"full": 1, "title": 1}}
    model, task = tiny_model().eval(), FashionFAEPretrainTask(run)
    preparation = pickle.loads(pickle.dumps(task.preparation(model)))
    for iteration in range(3):
        samples = tiny_samples()
        prepared = preparation(samples, iteration, 1)
        assert "prepared" in prepared and "prepared" not in samples
        place = {"iters": iteration, "micro_step": 1}
        assert task.train_step(model, {**prepared, **place}) == task.train_step(model, {**samples, **place})


def test_joined_batches_and_batches_without_fields_are_prepared_by_the_model():
    run = {"grad_cache": True, "steps": [{"objectives": ["itc"]}, {"objectives": ["apir"]}]}
    task = FashionFAEPretrainTask(run)
    preparation = task.preparation(tiny_model())
    for iteration in range(8):
        samples = tiny_samples()
        assert (preparation(samples, iteration, 0) is samples) == task.joins_batches(iteration)
    assert {task.joins_batches(iteration) for iteration in range(8)} == {True, False}
    with pytest.raises(UserError, match="'fields' has 3 entries, but must have one for each of 4 images"):
        AETPTask({}).preparation(tiny_model())({**samples, "fields": samples["fields"][:3]}, 0, 0)
    samples.pop("fields")
    assert AETPTask({}).preparation(tiny_model())(samples, 0, 0) is samples
    with pytest.raises(UserError, match="no 'fields', which MLM or AETP needs"):
        AETPTask({}).train_step(tiny_model(), {**samples, "iters": 0, "micro_step": 0})


def test_a_batch_prepared_for_other_objectives_is_prepared_again():
    model = tiny_model().eval()
    aetp = AETPTask({}).preparation(model)(tiny_samples(), 0, 0)
    for objectives in (["itm"], ["mlm", "apir"], ["apir"]):
        changed = {**aetp, "objectives": objectives}
        unprepared = {key: value for key, value in changed.items() if key != "prepared"}
        assert model(changed) == model(unprepared)


def test_a_model_without_masks_has_nothing_to_prepare():
    task = FashionFAEPretrainTask({"steps": [{"objectives": ["itc"]}]})
    assert task.preparation(tiny_of(FashionRetrieval)) is None


@pytest.mark.parametrize("task_class", [FashionFAEPretrainTask, FashionPretrainTask])
def test_each_update_reads_one_kind_of_text(task_class):
    task = task_class({"seed": 3, "texts": {"query": 1, "prompt": 1}})
    fields = [{"title": "Wool Coat", "colour": "Navy Blue"}, {"title": "Silk Scarf", "colour": "Red"}]
    texts, seen = set(), {}

    def model(samples):
        seen.update(samples)
        return {"loss": torch.zeros(())}

    for iteration in range(8):
        batch = {"iters": iteration, "micro_step": 0, "fields": fields, "text_input": ["whole", "whole"]}
        task.train_step(model, {**batch, "product_id": torch.arange(2)})
        texts.add(tuple(seen["text_input"]))
        if task.views.kind_at(iteration) == "prompt":
            assert seen["fields"] == [{"colour": "Navy Blue"}, {"colour": "Red"}]
    prompts = ("the image colour is navy blue", "the image colour is red")
    assert texts == {prompts, ("the image description is navy blue", "the image description is red")}
    assert fields[0]["title"] == "Wool Coat"


def test_without_kinds_the_texts_of_the_dataset_stay():
    samples = {"iters": 0, "micro_step": 0, "text_input": ["whole"]}
    assert FashionPretrainTask({"texts": None}).with_views(samples, 0, 0, 0) is samples


def test_aetp_and_apir_train_alone():
    assert AETPTask({}).sampler.objectives == AETPTask({"steps": None}).sampler.objectives == ["aetp"]
    assert APIRTask({}).sampler.objectives == ["apir"]
    with pytest.raises(UserError, match="aetp trains aetp alone, but run.steps names mlm, aetp: set run.steps to null"):
        AETPTask({"steps": [{"objectives": ["mlm", "aetp"], "ratio": 1}]})


def test_gradient_caching_joins_the_batches_of_itc_updates_alone():
    steps = [{"objectives": ["itc"], "ratio": 1}, {"objectives": ["itm"], "ratio": 1}]
    task = FashionFAEPretrainTask({"seed": 3, "steps": steps, "grad_cache": True})
    joined = [task.joins_batches(iteration) for iteration in range(8)]
    assert joined == [task.sampler.at(iteration) == ("itc",) for iteration in range(8)] and 0 < sum(joined) < 8
    assert not any(FashionFAEPretrainTask({"seed": 3}).joins_batches(iteration) for iteration in range(8))
    assert FashionPretrainTask({"grad_cache": True}).joins_batches(0) and not FashionPretrainTask({}).joins_batches(0)


@pytest.mark.parametrize("objectives", [["itc", "itm"], ["aetp"]])
def test_gradient_caching_needs_itc_in_a_step_of_its_own(objectives):
    with pytest.raises(UserError, match=rf"run.steps trains {re.escape('+'.join(objectives))}, which needs more than"):
        FashionFAEPretrainTask({"steps": [{"objectives": objectives}], "grad_cache": True})


def test_gradient_caching_needs_a_loss_of_embeddings():
    task = FashionPretrainTask({"grad_cache": True})
    with pytest.raises(UserError, match="run.grad_cache is true, but the loss of fashion_blip needs more than the emb"):
        task.check_model(adapt(tiny_baseline("fashion_blip")), "fashion_blip")
