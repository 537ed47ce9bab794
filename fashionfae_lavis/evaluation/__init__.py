"""Evaluation: embedding, re-ranking, candidate lists, grounding, and the questions of the attribute probe."""
