"""Masks of words and image patches for pre-training; all are pure functions of a random generator."""
