import pytest
import torch
from transformers import BertConfig, BertModel

from fashionfae_lavis.models.fusion_encoder import CLS, FusionEncoder
from fashionfae_lavis.text.word_pieces import Text

CONFIG = BertConfig(
    vocab_size=50, hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64,
    max_position_embeddings=40,
)  # fmt: skip


@pytest.fixture
def bert():
    torch.manual_seed(0)
    return FusionEncoder(CONFIG, visual_width=24, split=1).eval()


@pytest.fixture
def text():
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
    return Text(torch.randint(1, 50, (2, 6), generator=torch.Generator().manual_seed(1)) * mask, mask)


def test_text_states_equal_transformers_with_the_same_weights(bert, text):
    reference = BertModel(CONFIG).eval()
    reference.load_state_dict({k: v for k, v in bert.state_dict().items() if not k.startswith("visual_")})
    segments = torch.tensor([[0, 0, 1, 1, 1, 1]] * 2)
    text = text._replace(segments=segments)
    output = reference(text.input_ids, text.mask, segments, output_hidden_states=True)
    real = text.mask.bool()
    torch.testing.assert_close(bert.encode_text(text)[real], output.last_hidden_state[real], atol=1e-5, rtol=0)
    torch.testing.assert_close(bert.encode_text(text, layers=1)[real], output.hidden_states[1][real], atol=1e-5, rtol=0)


def test_padding_changes_nothing(bert, text):
    images = torch.randn(2, 5, 24)
    alone = Text(text.input_ids[1:, :3], text.mask[1:, :3])
    torch.testing.assert_close(bert.encode_text(text)[1:, :3], bert.encode_text(alone), atol=1e-5, rtol=0)
    joint, joint_alone = bert.encode_joint(text, images), bert.encode_joint(alone, images[1:])
    torch.testing.assert_close(joint[1:, :3], joint_alone[:, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(joint[1:, 6:], joint_alone[:, 3:], atol=1e-5, rtol=0)


def test_text_reads_the_image_in_fusion(bert, text):
    images = torch.randn(2, 5, 24)
    difference = bert.encode_joint(text, images)[:, 0] - bert.encode_joint(text, images.flip(0))[:, 0]
    assert difference.abs().max() > 1e-3


def test_upper_layers_start_above_the_split(bert, text):
    low, images = torch.randn(2, 6, 32), torch.randn(2, 5, 24)
    states = bert.encode_upper(low, text.mask, images)
    joint = torch.cat((low, bert.visual_embeddings(images)), 1)
    mask = torch.cat((text.mask, torch.ones(2, 5, dtype=torch.long)), 1)
    expected = bert.embeddings.LayerNorm(joint)
    for layer in bert.encoder.layer[1:]:
        expected = layer(expected, mask[:, None, None].bool())[0]
    torch.testing.assert_close(states, expected)


def test_masked_mean(bert):
    states = torch.arange(12.0).view(1, 4, 3)
    assert bert.masked_mean(states, torch.tensor([[1, 1, 0, 0]])).tolist() == [[1.5, 2.5, 3.5]]


def test_rows_of_a_text(text):
    assert text.rows(torch.tensor([1, 1])).mask.sum(1).tolist() == [3, 3]


@pytest.mark.parametrize("wanted", [CLS, slice(6), slice(-5, None)])
def test_wanted_states_and_their_gradients_equal_those_of_the_whole_sequence(bert, text, wanted):
    images = torch.randn(2, 5, 24)
    whole, some = bert.encode_joint(text, images)[:, wanted], bert.encode_joint(text, images, wanted)
    torch.testing.assert_close(some, whole)
    top = bert.encoder.layer[-1].attention.self
    for weight in (top.query.weight, top.key.weight, bert.embeddings.word_embeddings.weight):
        gradient, expected = (
            torch.autograd.grad(states.square().sum(), weight, retain_graph=True)[0] for states in (some, whole)
        )
        torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-4)


def test_wanted_upper_states_equal_those_of_the_whole_sequence(bert, text):
    low, images = torch.randn(2, 6, 32), torch.randn(2, 5, 24)
    whole = bert.encode_upper(low, text.mask, images)
    torch.testing.assert_close(bert.encode_upper(low, text.mask, images, slice(-5, None)), whole[:, 6:])
