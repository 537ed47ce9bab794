import torch
from tiny import tiny_model

from fashionfae_lavis.models.attention_init import mimetic_attention_


def relation(matrix):
    """Mean of the diagonal, and size of the rest relative to it."""
    diagonal = matrix.diagonal().mean()
    return diagonal.item(), ((matrix - diagonal * torch.eye(len(matrix))).std() / diagonal.abs()).item()


def test_products_are_near_multiples_of_the_identity():
    torch.manual_seed(0)
    query, key, value, output = torch.empty(4, 128, 128)
    mimetic_attention_(query, key, value, output)
    mean, noise = relation(query.T @ key)
    assert 0.75 < mean < 0.87 and noise < 0.15
    mean, noise = relation(output @ value)
    assert -0.43 < mean < -0.37 and noise < 0.15


def test_both_encoders_start_so():
    model = tiny_model()
    query, key, value = model.image_encoder.blocks[0].attn.qkv.weight.chunk(3)
    assert torch.equal(query, key)
    assert torch.equal(model.image_encoder.blocks[0].attn.proj.weight, -value.T)
    attention = model.fusion_encoder.encoder.layer[-1].attention
    assert torch.equal(attention.self.query.weight, attention.self.key.weight)
    assert torch.equal(attention.output.dense.weight, -attention.self.value.weight.T)
