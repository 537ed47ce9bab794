import numpy as np
import pytest
import torch
from authors import tiny_of
from baselines import tiny_baseline
from omegaconf import OmegaConf
from PIL import Image
from tiny import CONFIG, tiny_fields, tiny_model
from toy_shop import ToyShop, encoder_of, photograph

from fashionfae_lavis.checkpoints import save_atomically
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.attribute_probe import score_values
from fashionfae_lavis.evaluation.attribute_questions import prompt
from fashionfae_lavis.models import FashionComposition, FashionRecognition
from fashionfae_lavis.processors.images import FashionImageEvalProcessor
from fashionfae_lavis.search.labels import Labeller
from fashionfae_lavis.search.value_scores import LOWEST, Recogniser, ValueScorer, value_words
from fashionfae_lavis.text.product_text import fashion_text

VALUES = ["wool", "100 cotton", "silk blend", "wool " * 90]


def picture(number):
    return Image.fromarray(np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8))


def as_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="module")
def encoder():
    return encoder_of(tiny_model(), as_tensor)


def seen_by(scorer, count=3):
    return scorer.see([picture(i) for i in range(count)], [tiny_fields(i) for i in range(count)])


def test_words_of_values():
    assert [value_words("season", "SS2017"), value_words("colour", " Off-White ")] == [
        "spring summer 2017",
        "off white",
    ]


def test_scores_are_those_of_the_attribute_probe(encoder):
    scorer = ValueScorer(encoder)
    assert scorer.ways("composition") == ["ITC", "AETP", "AETP with text"]
    seen, adapter = seen_by(scorer), encoder.adapter
    images = torch.stack([as_tensor(picture(i)) for i in range(3)])
    texts = adapter.embed_texts([prompt("composition", value) for value in VALUES])
    assert scorer.scores(seen, "ITC", "composition", VALUES) == pytest.approx(
        (adapter.embed_images(images) @ texts.T).numpy(), abs=1e-6
    )
    with torch.no_grad():
        tokens = adapter.image_tokens(images)
    fields = [tiny_fields(i) for i in range(3)]
    for way, shown in (("AETP", [{}] * 3), ("AETP with text", fields)):
        expected = score_values(adapter, tokens, shown, [set()] * 3, "composition", VALUES).numpy()
        found = scorer.scores(seen, way, "composition", VALUES)
        assert np.isneginf(expected[:, 3]).all() and (found[:, 3] == LOWEST).all()  # too long for the text
        assert found[:, :3] == pytest.approx(expected[:, :3], abs=1e-4)
    assert (
        scorer.scores(seen, "AETP", "composition", VALUES)
        != scorer.scores(seen, "AETP with text", "composition", VALUES)
    ).any()


def test_without_texts_nothing_depends_on_them(encoder):
    scorer = ValueScorer(encoder, text=False)
    assert scorer.ways("composition") == ["ITC", "AETP"]
    pictures = [picture(i) for i in range(3)]
    one, other = (scorer.see(pictures, [{"title": title}] * 3) for title in ("silk", "wool"))
    for way in scorer.ways("composition"):
        first, second = (scorer.scores(seen, way, "composition", VALUES) for seen in (one, other))
        assert (first == second).all(), way


@pytest.mark.parametrize("arch", ["fashion_clip", "fashion_blip_retrieval", "fashion_albef_retrieval", "composition"])
def test_other_families_rank_prompts(arch):
    shop = ToyShop(30)
    model = tiny_of(FashionComposition) if arch == "composition" else tiny_baseline(arch)
    labeller = Labeller.fit(ValueScorer(encoder_of(model, as_tensor)), shop, ["colour", "material"])
    assert [one.way for one in labeller.attributes.values()] == ["ITC", "ITC"]
    assert labeller.label([photograph(0)])[0]["material"].value in ("wool", "silk")


PROCESSING = {
    "vis_processor": {"eval": {"name": "fashionfae_image_eval", "resize": 32, "image_size": 32}},
    "text_processor": {"eval": {"name": "fashionfae_text", "mode": "description+attributes"}},
}
CLASSES = ["100% Cotton", "Wool", "silk-blend"]


def saved_head(path, **options):
    """Saves a recognition model of three classes, as a run does."""
    head = tiny_of(FashionRecognition, num_classes=3, **options)
    config = {**OmegaConf.to_container(OmegaConf.load(CONFIG).model), "arch": head.ARCH, "num_classes": 3, **options}
    config = {"model": config, "vocabulary": head.carried_vocabulary(), "preprocess": PROCESSING}
    save_atomically({"model": head.state_dict(), "config": config}, path)
    return head.eval()


def test_a_recogniser_scores_the_values_among_its_classes(tmp_path, encoder):
    head = saved_head(tmp_path / "head.pth", classes=CLASSES)
    scorer = ValueScorer(encoder, {"composition": Recogniser("composition", str(tmp_path / "head.pth"))})
    assert scorer.ways("composition") == ["ITC", "AETP", "AETP with text", "recognition"]
    assert scorer.ways("season") == ["ITC", "AETP", "AETP with text"]
    fields = [{**tiny_fields(i), "composition": ""} for i in range(3)]
    images = torch.stack([FashionImageEvalProcessor(32, 32)(picture(i)) for i in range(3)])
    samples = {"image": images, "text_input": [fashion_text(each, "description+attributes") for each in fields]}
    expected = head.predict(samples)["predictions"].log_softmax(-1)
    found = scorer.scores(seen_by(scorer), "recognition", "composition", ["wool", "linen", "100 cotton"])
    assert found[:, [0, 2]] == pytest.approx(expected[:, [1, 0]].numpy(), abs=1e-4)
    assert (found[:, 1] == LOWEST).all()  # none of its classes


def test_a_checkpoint_that_names_no_classes_is_no_recogniser(tmp_path):
    saved_head(tmp_path / "head.pth")
    with pytest.raises(UserError, match=r"--recogniser colour=.*head.pth: this checkpoint has no classes with names"):
        Recogniser("colour", str(tmp_path / "head.pth"))
