"""BLIP, ALBEF and CLIP at any size, without a download: built, saved, loaded, and started from each other."""

import pytest
import torch
from baselines import CLASSES, tiny_baseline, tiny_config
from lavis.common.registry import registry
from lavis.models import load_model, model_zoo
from lavis.models.albef_models.albef_pretrain import AlbefPretrain
from lavis.models.blip_models.blip_classification import BlipClassification
from lavis.models.blip_models.blip_pretrain import BlipPretrain
from lavis.models.clip_models.model import CLIP
from lavis.tasks.multimodal_classification import MultimodalClassificationTask
from omegaconf import OmegaConf
from tiny import tiny_samples

from fashionfae_lavis.checkpoints import save_atomically, save_safetensors
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models import FashionFAE
from fashionfae_lavis.models.adapters import adapt
from fashionfae_lavis.models.encoders import ENCODERS

PRETRAINING = ("fashion_blip", "fashion_albef", "fashion_clip")


def samples(size=4):
    batch = tiny_samples(size)
    batch.update(epoch=0, iters=1, num_iters_per_epoch=4, image_id=batch["product_id"], label=torch.arange(size) % 6)
    return batch


def save(model, path, **changes):
    """Writes a checkpoint as a run does, including tied weights."""
    config = OmegaConf.to_container(tiny_config(model.ARCH, **changes))
    save_atomically({"model": model.state_dict(), "config": {"model": config}}, path)
    return str(path)


@pytest.mark.parametrize("arch", list(CLASSES))
def test_each_is_registered_and_its_loss_reaches_its_parts(arch):
    assert registry.get_model_class(arch) is CLASSES[arch] and "mini" in model_zoo.model_zoo[arch]
    model = tiny_baseline(arch).train()
    output = model(samples())
    output["loss"].backward()
    reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"visual"} <= reached or {"visual_encoder"} <= reached
    assert {"text_encoder", "text_decoder", "transformer"} & reached


@pytest.mark.parametrize(("arch", "theirs"), list(zip(PRETRAINING, (BlipPretrain, AlbefPretrain, CLIP), strict=True)))
def test_the_loss_is_lavis_s_own_code(arch, theirs):
    assert CLASSES[arch].forward is theirs.forward


@pytest.mark.parametrize("arch", PRETRAINING)
def test_sizes_images_and_vocabulary_are_fashionfae_mini_s(arch):
    ours = OmegaConf.load(FashionFAE.default_config_path("mini"))
    theirs = CLASSES[arch].config_for("mini")
    assert theirs.preprocess == ours.preprocess
    for key in ("vocabulary", "image_size", "image_encoder"):
        assert theirs.model[key] == ours.model[key], key
    text = theirs.model.text_encoder
    if arch == "fashion_clip":
        assert (text.width, text.heads, text.layers) == (128, 4, 3)
    else:
        assert {key: ours.model.fusion_encoder[key] for key in text if key != "fusion_layer"} == {
            key: value for key, value in text.items() if key != "fusion_layer"
        }


@pytest.mark.parametrize("arch", PRETRAINING)
def test_a_checkpoint_is_loaded_whole_by_its_path(arch, tmp_path):
    model = tiny_baseline(arch, embed_dim=24)
    path = save(model, tmp_path / "model.pth", embed_dim=24)
    again = load_model(arch, path)
    assert again.is_whole
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    other = next(name for name in PRETRAINING if name != arch)
    with pytest.raises(UserError, match=f"holds the model {arch}, not {other}"):
        load_model(other, path)


@pytest.mark.parametrize(
    ("source", "target", "new"),
    [
        ("fashion_blip", "fashion_blip_retrieval", "queue"),
        ("fashion_blip", "fashion_blip_caption", "nothing"),
        ("fashion_blip", "fashion_blip_recognition", "cls_head"),
        ("fashion_albef", "fashion_albef_retrieval", "queue"),
        ("fashion_albef", "fashion_albef_recognition", "cls_head"),
    ],
)
def test_the_family_starts_from_pre_training(source, target, new, tmp_path):
    pretrained = tiny_baseline(source)
    for parameter in pretrained.parameters():
        parameter.data += 1
    path = save(pretrained, tmp_path / "pretrained.pth")
    model = tiny_baseline(target, pretrained=path)
    fresh = tiny_baseline(target).state_dict()
    assert not model.is_whole
    theirs = pretrained.state_dict()
    if source == "fashion_albef":
        theirs = {name.replace(".bert.", "."): tensor for name, tensor in theirs.items()}
    for name, tensor in model.state_dict().items():
        if new in name:
            # Queues are drawn after all other weights, so only their shape equals a new model's.
            assert "queue" in name or torch.equal(tensor, fresh[name]), name
        else:
            assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("arch", PRETRAINING)
def test_the_image_encoder_alone_can_be_pre_trained(arch, tmp_path):
    encoder = tiny_baseline("fashion_blip").visual_encoder
    weights = {f"image_encoder.{name}": tensor + 1 for name, tensor in encoder.state_dict().items()}
    path = str(tmp_path / "vit.safetensors")
    save_safetensors(weights, {"model": {"arch": ENCODERS}}, path)
    model, fresh = tiny_baseline(arch, pretrained=path), tiny_baseline(arch)
    names = {prefix for prefix in ("visual_encoder.", "visual_encoder_m.", "visual.encoder.")}
    for name, tensor in model.state_dict().items():
        prefix = next((prefix for prefix in names if name.startswith(prefix)), None)
        if prefix:
            assert torch.equal(tensor, weights[f"image_encoder.{name.removeprefix(prefix)}"]), name
        else:
            assert torch.equal(tensor, fresh.state_dict()[name]), name


def test_other_families_share_nothing(tmp_path):
    path = save(tiny_baseline("fashion_albef"), tmp_path / "albef.pth")
    with pytest.raises(UserError, match="holds the model fashion_albef, which shares no weights with fashion_blip"):
        tiny_baseline("fashion_blip", pretrained=path)


def test_a_new_classifier_is_told_from_a_trained_one(tmp_path):
    model = tiny_baseline("fashion_blip_recognition")
    assert model.head_is_new
    path = save(model, tmp_path / "recognition.pth")
    assert not tiny_baseline("fashion_blip_recognition", pretrained=path).head_is_new
    pretrained = save(tiny_baseline("fashion_blip"), tmp_path / "pretrained.pth")
    assert tiny_baseline("fashion_blip_recognition", pretrained=pretrained).head_is_new


def test_why_blip_s_recognition_has_albef_s_step():
    """LAVIS 1.0.2 names a field that its output class lacks. If this test fails, LAVIS has fixed it."""
    model = tiny_baseline("fashion_blip_recognition").train()
    with pytest.raises(TypeError, match="encoder_output_m"):
        BlipClassification.forward(model, samples())


@pytest.mark.parametrize("arch", ["fashion_blip", "fashion_blip_retrieval", "fashion_albef", "fashion_albef_retrieval"])
def test_models_without_feature_extraction_embed_by_their_parts(arch):
    model, batch = tiny_baseline(arch).eval(), samples()
    image = adapt(model).embed_images(batch["image"])
    text = adapt(model).embed_texts(batch["text_input"])
    bert = model.text_encoder.bert if arch == "fashion_albef" else model.text_encoder
    with torch.no_grad():
        for row in range(4):  # one by one, without padding
            ids = model.tokenizer([batch["text_input"][row]], return_tensors="pt").input_ids[:, : model.max_txt_len]
            states = bert(ids, return_dict=True, mode="text").last_hidden_state
            for found, expected in (
                (text[row], model.text_proj(states[0, 0])),
                (image[row], model.vision_proj(model.visual_encoder(batch["image"][row : row + 1])[0, 0])),
            ):
                torch.testing.assert_close(found, expected / expected.norm(), atol=1e-5, rtol=0)


def test_clip_reads_word_pieces_to_an_end_of_its_own():
    model = tiny_baseline("fashion_clip").eval()
    pieces = model.tokenizer
    ids = pieces(["a red shirt [SEP] the image category is tops", "a red shirt"])
    assert ids.shape == (2, 72) and ids.max() == pieces.end == model.vocab_size - 1
    words = pieces.tokenizer.convert_ids_to_tokens(ids[1][:4].tolist())
    assert words == ["[CLS]", "a", "red", "shirt"] and ids[1].argmax() == 4 and not ids[1][5:].any()
    assert pieces.tokenizer.sep_token_id in ids[0].tolist()  # between the parts it stays
    with torch.no_grad():
        changed = ids.clone()
        changed[1, 10] = 30  # behind the end: not read
        torch.testing.assert_close(model.encode_text(ids), model.encode_text(changed))


def test_clip_names_classes_by_our_prompts():
    model = tiny_baseline("fashion_clip").eval()
    assert [template("TANK TOPS") for template in model.prompt_templates] == [
        "the image category is tank tops",
        "the image sub category is tank tops",
    ]


@pytest.mark.parametrize("arch", ["fashion_blip_recognition", "fashion_albef_recognition"])
def test_recognition_without_text_reads_the_image_alone(arch):
    batch = samples()
    alone, reads = (tiny_baseline(arch, use_text=use_text).eval() for use_text in (False, True))
    logits = alone.predict(batch)["predictions"]
    assert torch.equal(alone.predict({**batch, "text_input": ["a dress"] * 4})["predictions"], logits)
    assert not torch.allclose(logits[0], logits[1], atol=1e-5)
    # the same weights read the text if `use_text` is set
    assert not torch.allclose(reads.predict(batch)["predictions"], logits, atol=1e-5)
    assert torch.allclose(reads.predict({**batch, "text_input": [""] * 4})["predictions"], logits, atol=1e-6)
    assert batch["text_input"][0].startswith("the image")


def test_clip_s_prompts_name_the_label_of_the_dataset():
    class Labelled:
        classnames = ("loose", "slim")
        label_field = "fit"

    model = tiny_baseline("fashion_clip").eval()
    model.before_evaluation(Labelled(), MultimodalClassificationTask)
    prompts = adapt(model).embed_texts([f"the image fit is {name}" for name in Labelled.classnames])
    assert torch.allclose(model.classifier.T, prompts, atol=1e-6)


def test_a_classifier_of_other_classes_or_inputs_is_refused(tmp_path):
    arch, names = "fashion_albef_recognition", list("abcdef")
    path = save(tiny_baseline(arch, classes=names), tmp_path / "model.pth", classes=names)
    assert tiny_baseline(arch, classes=names, pretrained=path).is_whole
    with pytest.raises(UserError, match="`model.pretrained` distinguishes 6 classes, the dataset has 6, and 2 are not"):
        tiny_baseline(arch, classes=[*names[:5], "g"], pretrained=path)
    with pytest.raises(UserError, match="was trained with model.use_text=True: set model.use_text to True"):
        tiny_baseline(arch, classes=names, use_text=False, pretrained=path)
