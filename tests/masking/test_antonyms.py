from fashionfae_lavis.masking.antonyms import ANTONYMS
from fashionfae_lavis.text.product_text import normalise


def test_words_are_single_normalised_words():
    for word, opposite in ANTONYMS.items():
        assert word != opposite
        assert normalise(word) == word and " " not in word


def test_every_opposite_has_an_opposite():
    assert set(ANTONYMS.values()) <= set(ANTONYMS)
    assert (ANTONYMS["long"], ANTONYMS["short"]) == ("short", "long")
