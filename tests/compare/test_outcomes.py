import copy
import json

import pytest
from toy_runs import config, probe, recognition, retrieval

from fashionfae_lavis.compare.outcomes import check_agreement, outcome, planned_outcome
from fashionfae_lavis.errors import UserError


def test_retrieval():
    found = outcome(config("fashion_retrieval"), {"val": retrieval()})
    assert found.kind == "retrieval"
    assert found.figures["retrieval.description.full.t2i_r10"] == 6
    assert found.figures["retrieval.description+attributes.sub.mean"] == 40
    assert found.figures["retrieval.description+attributes.reranked_16.i2t_r1"] == 9
    assert "retrieval.description.reranked_16.i2t_r1" not in found.figures
    # 400 products: 1, 5 and 10 of them in either direction.
    assert found.chance["retrieval.description.full.i2t_r10"] == 2.5
    assert found.chance["retrieval.description.full.mean"] == pytest.approx((0.25 + 1.25 + 2.5) / 3)
    assert found.protocol["number of products"] == "400"


@pytest.mark.parametrize("value", ["1e999", [], True, None])
def test_a_result_that_is_no_number_is_one_sentence(value):
    measured = copy.deepcopy(retrieval())
    measured["description"]["full"]["t2i_r10"] = value
    with pytest.raises(UserError, match=r"The results of val are not those of retrieval \(.*t2i_r10 is "):
        outcome(config("fashion_retrieval"), {"val": measured})


def test_a_configuration_of_no_evaluation_is_one_sentence():
    made = config("fashion_retrieval")
    (data,) = made["datasets"].values()
    data["build_info"] = [{}]
    with pytest.raises(UserError, match="config.yaml is not the configuration of an evaluation"):
        outcome(made, {"val": retrieval()})


def test_recognition():
    found = outcome(config("fashion_recognition"), {"val": recognition()})
    assert found.figures == {"recognition.accuracy": 90, "recognition.macro_f1": 80}
    assert found.chance == {"recognition.accuracy": 10, "recognition.macro_f1": 2}
    assert (found.protocol["text mode"], found.protocol["label"]) == ("recognition", "category")
    image_only = planned_outcome(config("fashion_recognition", use_text=False))
    assert image_only.protocol["text mode"] == "no text"


def test_a_catalogue_s_folder_is_its_root():
    made = config("fashion_recognition")
    (data,) = made["datasets"].values()
    del data["build_info"]
    made["datasets"] = {"catalogue_recognition": {**data, "root": "shop"}}
    assert planned_outcome(made).protocol["data's folder"] == "shop"


@pytest.mark.parametrize(("products", "split"), [({"val": 2}, "val"), ({"val": 2, "test": 2}, "test")])
def test_auto_is_the_split_that_a_catalogue_has(tmp_path, products, split):
    made = config("fashion_recognition", test_splits=["auto"])
    (data,) = made["datasets"].values()
    made["datasets"] = {"catalogue_recognition": {**data, "root": str(tmp_path)}}
    assert planned_outcome(made).protocol["split"] == "auto"  # nothing is prepared yet
    head = {"format": 1, "images": "photos", "attributes": [], "products": {"train": 4, **products, "x": 0}}
    (tmp_path / "catalogue.jsonl").write_text(json.dumps(head) + "\n")
    assert planned_outcome(made).protocol["split"] == split
    made["run"]["test_splits"] = ["val"]
    assert planned_outcome(made).protocol["split"] == "val"
    assert planned_outcome(config("fashion_recognition", test_splits=["auto"])).protocol["split"] == "val"  # FashionGen


def test_the_probe_s_means_leave_out_what_no_picture_shows():
    found = outcome(config("attribute_probe"), {"val": probe()})
    assert found.figures == {"probe.values": 40, "probe.pairs": 90}
    assert found.chance == {"probe.values": 20, "probe.pairs": 50}
    assert found.protocol["attributes (products/values/pairs)"] == "colour 50/4/7, trim 50/4/0"
    measured = probe()
    for name, row in measured["attributes"].items():
        row |= {"photo_only": {"accuracy": 50.0}, "linear_probe": {"accuracy": 60.0 if name == "colour" else 70.0}}
    found = outcome(config("attribute_probe"), {"val": measured})
    assert found.figures == {"probe.values": 40, "probe.pairs": 90, "probe.photo_only": 50, "probe.linear": 65}
    assert found.chance["probe.photo_only"] == found.chance["probe.linear"] == 20


def test_a_run_that_measured_nothing_and_one_that_measured_too_much():
    assert outcome(config("image_text_pretrain"), {}) is None
    assert planned_outcome(config("image_text_pretrain")) is None
    with pytest.raises(UserError, match="Results of the task fashion_composition cannot be compared"):
        outcome(config("fashion_composition"), {"val": {}})
    with pytest.raises(UserError, match="must test one split, not val, train"):
        outcome(config("fashion_retrieval"), {"val": retrieval(), "train": retrieval()})


@pytest.mark.parametrize(
    ("task", "changes", "change_results", "what"),
    [
        (
            "fashion_retrieval",
            {"build_info": {"images": {"storage": "/other"}}},
            None,
            "data's folder .*mini, and /oth",
        ),
        ("fashion_retrieval", {"test_splits": ["train"]}, None, "split differs .val, and train"),
        ("fashion_retrieval", {}, lambda r: r.update(chance=0.5), "number of products differs .400, and 200"),
        ("fashion_retrieval", {}, lambda r: r.update(sub_test_lists="x"), "lists of the sub-test differs .abc, and x"),
        ("fashion_retrieval", {}, lambda r: r.pop("description"), "text mode differs .description, description.attr"),
        ("fashion_recognition", {"label": "sub category"}, None, "label differs .category, and sub category"),
        ("fashion_recognition", {"use_text": False}, None, "text mode differs .recognition, and no text"),
        ("fashion_recognition", {}, lambda r: r.update(images=29), "number of images differs .30, and 29"),
        ("attribute_probe", {"probe_products": 9}, None, "probe_products differs .50, and 9"),
        ("attribute_probe", {"seed": 1}, None, "seed of the pairs differs .42, and 1"),
        ("attribute_probe", {}, lambda r: r["attributes"].pop("trim"), "attributes .* differs"),
    ],
)
def test_what_differs_is_said(task, changes, change_results, what):
    results = {"fashion_retrieval": retrieval, "fashion_recognition": recognition, "attribute_probe": probe}[task]()
    first = outcome(config(task), {"val": results})
    changed = copy.deepcopy(results)
    if change_results:
        change_results(changed)
    split = changes.get("test_splits", ["val"])[0]
    second = outcome(config(task, **changes), {split: changed})
    check_agreement([("A", first), ("B", outcome(config(task), {"val": results}))])
    with pytest.raises(UserError, match=f"of A and of B cannot be compared: their {what}"):
        check_agreement([("A", first), ("B", second)])


def test_different_kinds_need_not_agree():
    kinds = (("attribute_probe", probe()), ("fashion_recognition", recognition()), ("fashion_retrieval", retrieval()))
    check_agreement(("A", outcome(config(task), {"val": results})) for task, results in kinds)
