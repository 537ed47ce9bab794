"""Masks of pre-training, for words of a text and patches of an image; all are pure functions of a random generator."""
