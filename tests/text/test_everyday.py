"""Queries in everyday language."""

from fashionfae_lavis.text.everyday import everyday_order, is_colour, is_noun, is_unseen, query_text


def test_what_a_product_is_comes_last_and_its_colour_before():
    names = ["article type", "fabric", "base color", "usage", "gender"]
    assert everyday_order(names) == ["usage", "gender", "base color", "fabric", "article type"]
    assert everyday_order(["category", "sub category"]) == ["category", "sub category"]


def test_kinds_follow_from_the_last_word_of_a_name():
    assert is_noun("sub category") and is_noun("product type") and not is_noun("type of fit")
    assert is_unseen("season") and is_unseen("year") and is_unseen("release year") and is_unseen("price in dollars")
    assert not is_unseen("colour") and not is_unseen("sleeve length") and not is_unseen("seasonal")
    assert is_colour("primary colour") and is_colour("colour family") and not is_colour("size")


def test_words_of_the_last_value_are_not_repeated():
    assert query_text(["men", "navy blue", "blue jeans"]) == "men navy blue jeans"
    assert query_text(["shirts"]) == "shirts"
