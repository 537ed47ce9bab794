"""The authors' layout: every key of their four models, both ways; tests/golden compares values at full size."""

import pytest
import torch
from authors import FAMILY, authors_checkpoint
from tiny import tiny_model

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.golden.golden_weights import read_manifest, weights_of
from fashionfae_lavis.models.authors_layout import KINDS, authors_state, check, kind_of, left_out, our_state


@pytest.mark.parametrize("kind", FAMILY)
def test_the_layout_has_every_key_of_the_authors_model(kind):
    """The names at base size equal the tiny model's except for the numbers of layers and levels."""

    def general(names):
        return {"".join("#" if part.isdigit() else part for part in name.split(".")) for name in names}

    manifest = read_manifest()
    names = weights_of(dict.fromkeys(manifest["keys"]), manifest, kind)
    assert general(authors_checkpoint(kind)) == general(names)


@pytest.mark.parametrize("kind", [*FAMILY, "image_tokenizer"])
def test_there_and_back_gives_identical_tensors(kind):
    model = FAMILY.get(kind, lambda: tiny_model(image_tokenizer__decoder=False).image_tokenizer)()
    state = model.state_dict()
    back = our_state(authors_state(state, kind), kind)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("kind", [*FAMILY, "image_tokenizer"])
def test_the_kind_shows_in_the_keys(kind):
    assert kind_of(authors_checkpoint(kind), "x.pth") == kind


def test_what_is_left_out_has_a_reason():
    state = authors_checkpoint("classification")
    reasons = left_out(state, "classification")
    assert reasons["model.catemap_layer.1.weight"] == "the category logits are the classifier's"
    assert reasons["image_encoder.embeddings.cls_token"].startswith("the same values as image_encoder.module.")
    assert reasons["model.bert.contrastive_norm.norm_s"] == "recognition compares no embeddings"
    assert len(our_state(state, "classification")) < len(state) - len(reasons)  # query, key and value are one of ours


def test_every_key_is_used_or_left_out():
    for kind in FAMILY:
        state = authors_checkpoint(kind)
        dropped = left_out(state, kind)
        for name in state:
            changed = {k: v + 1 if k == name and v.is_floating_point() else v for k, v in state.items()}
            a, b = our_state(state, kind), our_state(changed, kind)
            same = all(torch.equal(a[key], b[key]) for key in a)
            assert same == (name in dropped or not state[name].is_floating_point()), name


def test_keys_that_do_not_fit_are_named():
    state = authors_checkpoint("pretraining")
    expected = dict(state)
    check(state, expected, "pretraining", "x.pth")
    start = "^x.pth does not fit the authors' pretraining model: 1 tensors differ "
    missing = {k: v for k, v in state.items() if k != "model.fusion.LN.bias"}
    with pytest.raises(UserError, match=start + r"\(model.fusion.LN.bias is missing\)"):
        check(missing, expected, "pretraining", "x.pth")
    with pytest.raises(UserError, match=start + r"\(model.heads.mpfr.weight is unknown\)"):
        check({**state, "model.heads.mpfr.weight": torch.zeros(1)}, expected, "pretraining", "x.pth")
    with pytest.raises(UserError, match=start + r"\(model.heads.mlm.bias is \(3,\) instead of"):
        wrong = {k: v for k, v in state.items() if not k.startswith("model.heads.mlm.decoder")}
        check({**wrong, "model.heads.mlm.bias": torch.zeros(3)}, expected, "pretraining", "x.pth")
    untied = {**state, "model.heads.mlm.decoder.weight": state["model.heads.mlm.decoder.weight"] + 1}
    with pytest.raises(UserError, match=r"decoder.weight differs from model.bert.embeddings.word_embeddings"):
        check(untied, expected, "pretraining", "x.pth")


def test_keys_that_nothing_reads_may_be_absent():
    state = authors_checkpoint("classification")
    used = {k: v for k, v in state.items() if k not in left_out(state, "classification")}
    check(used, state, "classification", "x.pth")


def test_other_state_dicts_are_not_taken_for_the_authors():
    with pytest.raises(UserError, match="x.pth is already a checkpoint of this package"):
        kind_of(tiny_model().state_dict(), "x.pth")
    with pytest.raises(UserError, match=r"x.pth is not a checkpoint of the authors' code \(it holds embeddings.a, b\)"):
        kind_of(["embeddings.a", "b"], "x.pth")


def test_a_scale_goes_to_its_own_key():
    model = FAMILY["composition"]()
    model.scale.data.fill_(7.0)
    state = authors_state(model.state_dict(), "composition")
    assert state["model.norm_layer.norm_s"].item() == 7.0
    assert state["model.bert.contrastive_norm.norm_s"].item() == 4.0
    assert [facts.scale for facts in KINDS.values()].count("model.norm_layer.norm_s") == 1


def test_a_parameter_that_only_ours_has_is_named():
    with pytest.raises(UserError, match="category_head.weight has no counterpart in the authors' layout"):
        authors_state({**tiny_model().state_dict(), "category_head.weight": torch.zeros(2, 2)}, "pretraining")
