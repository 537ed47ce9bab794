import numpy as np
import torch
from PIL import Image
from tiny import tiny_model
from torchvision.transforms.functional import pil_to_tensor

from fashionfae_lavis.search.encoder import Encoder
from fashionfae_lavis.search.opening import OpenedModel


def test_scores_add_the_log_odds_of_a_match_to_the_itc_logit():
    model = tiny_model().eval()

    def tensor(image):
        return pil_to_tensor(image).float() / 255

    encoder = Encoder(OpenedModel("tiny", model, tensor, str.lower, "0" * 16))
    noise = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    images = [Image.fromarray(picture) for picture in noise]
    cosines = (encoder.embed_images(images) @ encoder.embed_texts(["Red shirt"])[0]).tolist()
    probabilities, scores = encoder.rerank(images, "Red shirt", cosines)
    np.testing.assert_allclose(probabilities, encoder.match(images, "red shirt"), atol=1e-6)
    with torch.no_grad():
        scale = float(model.scale**2)
    expected = np.log(probabilities / (1 - probabilities)) + scale * np.array(cosines)
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    assert len(set(scores.round(3))) > 1
