"""Training of the encoders that FashionFAE-mini starts from.

They play the part of the ViT and the BERT that the paper's encoders start from.
"""

from fashionfae_lavis.mini.encoders.make import make_mini_encoders

__all__ = ["make_mini_encoders"]
