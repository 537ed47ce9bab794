"""The losses of FashionFAE (arXiv 2412.19997), one file each.

Every loss is a function of tensors: embeddings, logits, labels and masks. `models/fashionfae.py` runs the network and
calls them.
"""

OBJECTIVES = ("itc", "itm", "mlm", "aetp", "apir")
