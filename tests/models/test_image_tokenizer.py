import torch

from fashionfae_lavis.models.image_tokenizer import EmaCodebook, ImageTokenizer, _norm

SIZES = {"channels": 8, "multipliers": [1, 1, 2, 2], "blocks": 1, "codes": 16, "code_dim": 8}


def test_codes_are_the_nearest_entries_row_by_row():
    torch.manual_seed(0)
    model = ImageTokenizer(**SIZES).eval()
    images = torch.randn(2, 3, 32, 32)
    codes = model.encode(images)
    assert codes.shape == (2, 16) and codes.dtype == torch.long
    features, entries = model.features(images), model.quantize.embedding.weight
    for row in range(4):
        for column in range(4):
            distances = [(features[1, row, column] - entry).square().sum().item() for entry in entries]
            assert codes[1, row * 4 + column].item() == min(range(16), key=distances.__getitem__)
    assert features.grad_fn is not None and not codes.requires_grad
    assert model.decode(codes).shape == images.shape


def test_entries_move_to_the_mean_of_their_features():
    codebook = EmaCodebook(2, 1, decay=0.0, revive_below=0.0)
    features = torch.tensor([[1.0], [3.0], [10.0]])
    codebook.update(features, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(codebook.weight, torch.tensor([[2.0], [10.0]]))


def test_moving_average_follows_its_formula():
    codebook = EmaCodebook(1, 1, decay=0.9, revive_below=0.0)
    codebook.cluster_size.fill_(2.0)
    codebook.embed_avg.fill_(4.0)
    codebook.update(torch.tensor([[5.0]]), torch.tensor([0]))
    size, total = 0.9 * 2 + 0.1 * 1, 0.9 * 4 + 0.1 * 5
    torch.testing.assert_close(codebook.weight, torch.tensor([[total / size]]))


def test_dead_entries_are_moved_to_features():
    torch.manual_seed(0)
    codebook = EmaCodebook(8, 2)
    features = torch.tensor([[5.0, 5.0], [-5.0, 5.0], [0.0, -5.0], [5.0, -5.0]])
    for _ in range(20):
        codebook.update(features, codebook.nearest(features))
    distance = torch.cdist(codebook.weight, features).min(1).values
    assert distance.max() < 1e-4


def test_a_background_that_fills_half_of_the_image_gets_few_entries():
    torch.manual_seed(0)
    codebook = EmaCodebook(32, 4)
    for _ in range(100):
        features = torch.cat((1.0 + 0.01 * torch.randn(200, 4), 3.0 * torch.randn(200, 4)))
        codebook.update(features, codebook.nearest(features))
    on_background = (codebook.weight - 1.0).norm(dim=1) < 0.1
    assert on_background.sum() <= 4
    assert codebook.nearest(features).unique().numel() >= 28


def test_training_reconstructs_and_uses_many_codes():
    torch.manual_seed(0)
    model = ImageTokenizer(**SIZES).train()
    images = torch.nn.functional.interpolate(torch.randn(8, 3, 4, 4), scale_factor=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        output = model({"image": images})
        optimizer.zero_grad()
        output["loss"].backward()
        optimizer.step()
        losses.append(output["loss_reconstruction"].item())
    assert losses[-1] < 0.6 * losses[0]
    assert output["codes_used"] > 0.5


def test_a_plain_autoencoder_while_not_quantised():
    torch.manual_seed(0)
    model = ImageTokenizer(**SIZES).train()
    images = torch.randn(2, 3, 32, 32)
    before = model.quantize.embedding.weight.clone()
    output = model({"image": images, "quantize": False})
    features = model.features(images)
    plain = model.decoder(model.post_quant_conv(features.permute(0, 3, 1, 2)))
    torch.testing.assert_close(output["loss"], torch.nn.functional.mse_loss(plain, images))
    assert not torch.equal(model.quantize.embedding.weight, before)  # the codebook follows the features


def test_normalising_leaves_differences_between_channels():
    """In groups of one channel a map of one colour would become zero, whatever the colour."""
    for channels in (8, 32, 128):
        flat = torch.arange(channels, dtype=torch.float)[None, :, None, None].expand(1, channels, 4, 4)
        assert _norm(channels)(flat).std() > 0.9
    assert _norm(128).num_groups == 32  # as in the files of FashionViL


def test_without_a_decoder_it_still_encodes_alike():
    model = ImageTokenizer(**SIZES).eval()
    encoder = ImageTokenizer(**SIZES, decoder=False).eval()
    encoder.load_state_dict({k: v for k, v in model.state_dict().items() if k in encoder.state_dict()})
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.encode(images), encoder.encode(images))
