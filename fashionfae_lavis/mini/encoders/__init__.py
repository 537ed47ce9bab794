"""Training of the encoders that FashionFAE-mini starts from.

They replace the pre-trained ViT and BERT that the paper's encoders start from.
"""

from fashionfae_lavis.mini.encoders.make import add_photographs, make_mini_encoders, make_unlabelled_encoders

__all__ = ["add_photographs", "make_mini_encoders", "make_unlabelled_encoders"]
