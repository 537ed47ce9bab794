"""The encoders that FashionFAE-mini starts from, as the paper's start from ImageNet and from books."""
