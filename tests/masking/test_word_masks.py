import numpy as np
import pytest
import torch

from fashionfae_lavis.masking.word_masks import NO_LABEL, mask_text, mask_value, mask_words, pad_masked
from fashionfae_lavis.text.product_text import ATTRIBUTES, fashion_text
from fashionfae_lavis.text.word_pieces import tokenize_texts

LONG = 200


def rng(seed=0):
    return np.random.default_rng(seed)


def restored(masked):
    """Returns the unmasked pieces, with the labels put back at their positions."""
    return [i if label == NO_LABEL else label for i, label in zip(masked.input_ids, masked.labels, strict=True)]


def words(tokenizer, ids):
    return tokenizer.decode(ids).split()


def asked(masked, tokenizer, prompts):
    """The labelled pieces of one part, in order."""
    pairs = zip(masked.labels, masked.is_prompt, strict=True)
    return tokenizer.convert_ids_to_tokens([i for i, prompt in pairs if i != NO_LABEL and prompt == prompts])


def prompts_of(text):
    """{name: value} of the prompts in a decoded text."""
    parts = text.split("[SEP]")[1].strip().split("the image ")[1:]
    return {name: value.strip() for name, _, value in (part.partition(" is") for part in parts)}


@pytest.mark.parametrize("seed", range(5))
def test_labels_put_back_give_the_clear_text(tokenizer, fields, seed):
    masked = mask_text(fields, tokenizer, rng(seed), LONG)
    clear = tokenizer.decode(restored(masked))
    assert clear.startswith("[CLS] " + fashion_text(fields, "description") + " [SEP] the image title is long wool")
    assert clear.endswith(" [SEP]") and "[MASK]" not in clear
    assert sorted(prompts_of(clear)) == sorted(("title", *ATTRIBUTES))
    assert prompts_of(clear)["season"] == "fall winter 2016"
    assert len(masked.input_ids) == len(masked.labels) == len(masked.is_prompt)


def test_prompt_positions_are_those_between_the_separators(tokenizer, fields):
    masked = mask_text(fields, tokenizer, rng(), LONG)
    first, second = (i for i, piece in enumerate(masked.input_ids) if piece == tokenizer.sep_token_id)
    assert [i for i, prompt in enumerate(masked.is_prompt) if prompt] == list(range(first + 1, second))


def test_share_of_the_description_that_is_masked_and_replaced(tokenizer, fields):
    fields["description"] = "soft dark dress with long black sleeve and a belt in red wool " * 8
    clear = tokenize_texts([fashion_text(fields, "description")], tokenizer, 500)[0][0]
    count = len(clear) - 2 - 4  # without [CLS], [SEP] and the template
    replaced = 0
    for seed in range(60):
        masked = mask_text(fields, tokenizer, rng(seed), 500, prompts=False)
        ids, labels = np.array(masked.input_ids), np.array(masked.labels)
        hidden = ids == tokenizer.mask_token_id
        assert hidden.sum() == round(0.12 * count)
        assert (labels[hidden] != NO_LABEL).all()
        assert (labels[:5] == NO_LABEL).all()  # the template is never asked
        replaced += ((labels != NO_LABEL) & ~hidden).sum()
    assert replaced / 60 == pytest.approx(0.015 * count, rel=0.25)


def test_replaced_words_are_antonyms_half_of_the_time(tokenizer):
    fields = {"description": "long dark black soft " * 10}
    antonyms = {
        "long": "short",
        "dark": "light",
        "black": "white",
        "soft": "sleeveless",
    }  # the last: two pieces
    single = dict(list(antonyms.items())[:3])
    same = other = 0
    for seed in range(300):
        masked = mask_text(fields, tokenizer, rng(seed), LONG, antonyms=antonyms)
        for new, old in zip(masked.input_ids, masked.labels, strict=True):
            if old == NO_LABEL or new == tokenizer.mask_token_id:
                continue
            new, old = tokenizer.convert_ids_to_tokens([new, old])
            assert not new.startswith("[")
            if old in single:
                same, other = same + (new == single[old]), other + (new != single[old])
    assert same / (same + other) == pytest.approx(0.5, abs=0.12)


def test_an_antonym_replaces_the_whole_word(tokenizer):
    """`sleeveless` and `sleeved` have two pieces each; both pieces change and get labels."""
    fields = {"description": "sleeveless " * 30}
    old_pieces, new_pieces = tokenizer(["sleeveless", "sleeved"], add_special_tokens=False)["input_ids"]
    assert len(old_pieces) == len(new_pieces) == 2
    found = 0
    for seed in range(60):
        masked = mask_text(fields, tokenizer, rng(seed), LONG, antonyms={"sleeveless": "sleeved"})
        for position, (new, old) in enumerate(zip(masked.input_ids, masked.labels, strict=True)):
            if (old, new) == (old_pieces[1], new_pieces[1]):
                assert masked.labels[position - 1] == old_pieces[0]
                found += 1
    assert found > 5


@pytest.mark.parametrize(
    ("title", "hidden"),
    [("dress", 0), ("wool dress", 1), ("long wool dress", 2), ("a soft red wool dress", 2), ("", 0)],
)
def test_title_keeps_a_word_of_context(tokenizer, title, hidden):
    for seed in range(10):
        masked = mask_text({"title": title}, tokenizer, rng(seed), LONG, description=False)
        assert sum(label != NO_LABEL for label in masked.labels) == hidden
        assert (tokenizer.decode(masked.input_ids).count("[SEP]") == 2) == bool(title)


def test_hidden_title_words_are_whole(tokenizer):
    for seed in range(10):
        masked = mask_text({"title": "sleeveless dress"}, tokenizer, rng(seed), LONG, description=False)
        assert asked(masked, tokenizer, prompts=True) in (["sleeve", "##less"], ["dress"])


def test_the_whole_value_of_one_attribute_is_hidden(tokenizer, fields):
    del fields["title"], fields["gender"]
    seen, orders = set(), set()
    for seed in range(60):
        masked = mask_text(fields, tokenizer, rng(seed), LONG, description=False)
        values = prompts_of(tokenizer.decode(masked.input_ids))
        clear = prompts_of(tokenizer.decode(restored(masked)))
        hidden = [name for name, value in values.items() if "[MASK]" in value]
        assert len(hidden) == 1 and set(values[hidden[0]].split()) == {"[MASK]"}
        assert values.keys() == {"category", "sub category", "season", "composition"}
        assert all(values[name] == clear[name] for name in values if name not in hidden)
        assert len(asked(masked, tokenizer, prompts=True)) == values[hidden[0]].count("[MASK]")
        seen.add(hidden[0])
        orders.add(tuple(values))
    assert seen == {"category", "sub category", "season", "composition"}
    assert len(orders) > 12


@pytest.mark.parametrize("part", ["description", "prompts"])
def test_a_part_that_is_not_asked_stays_in_the_clear(tokenizer, fields, part):
    masked = mask_text(fields, tokenizer, rng(), LONG, **{part: False})
    assert not asked(masked, tokenizer, prompts=part == "prompts")
    assert asked(masked, tokenizer, prompts=part != "prompts")
    both = mask_text(fields, tokenizer, rng(), LONG)
    assert len(masked.input_ids) == len(both.input_ids)


def test_masks_are_seeded(tokenizer, fields):
    assert mask_text(fields, tokenizer, rng(5), LONG) == mask_text(fields, tokenizer, rng(5), LONG)
    assert mask_text(fields, tokenizer, rng(5), LONG) != mask_text(fields, tokenizer, rng(6), LONG)


def test_the_description_is_cut_and_the_prompts_stay(tokenizer, fields):
    whole = mask_text(fields, tokenizer, rng(), LONG)
    cut = mask_text(fields, tokenizer, rng(), len(whole.input_ids) - 10)
    assert len(cut.input_ids) == len(cut.labels) == len(cut.is_prompt) == len(whole.input_ids) - 10
    assert sum(cut.is_prompt) == sum(whole.is_prompt)
    clear = restored(whole)
    start = whole.is_prompt.index(True) - 1
    assert restored(cut) == clear[: start - 10] + clear[start:]
    assert asked(cut, tokenizer, prompts=False)


@pytest.mark.parametrize("length", [8, 20, 33])
def test_too_little_room_for_the_prompts(tokenizer, fields, length):
    masked = mask_text(fields, tokenizer, rng(), length)
    assert len(masked.input_ids) == length
    assert masked.input_ids[-1] == tokenizer.sep_token_id


def test_a_product_without_texts(tokenizer):
    masked = mask_text({}, tokenizer, rng(), LONG)
    assert tokenizer.decode(masked.input_ids) == "[CLS] the image description is [SEP]"
    assert set(masked.labels) == {NO_LABEL}


def test_a_short_description_has_one_hidden_piece(tokenizer):
    masked = mask_text({"description": "red dress"}, tokenizer, rng(2), LONG)
    assert masked.input_ids.count(tokenizer.mask_token_id) == 1


def test_mask_words_hides_every_occurrence_and_asks_in_one_prompt(tokenizer, fields):
    masked = mask_words(fields, tokenizer, {"wool", "dress", "is", "sleeveless"}, "title", LONG)
    assert tokenizer.decode(masked.input_ids) == (
        "[CLS] the image description is long [MASK] [MASK] [MASK] [MASK] maxi [MASK] in red [MASK] crew neck"
        " with belt and zip pocket [SEP] the image title is long [MASK] [MASK] the image category is dresses"
        " the image sub category is maxi dresses the image gender is women"
        " the image season is fall winter 2016 the image composition is 100 [MASK] [SEP]"
    )
    assert asked(masked, tokenizer, prompts=True) == ["wool", "dress"]
    assert asked(masked, tokenizer, prompts=False) == []
    other = mask_words(fields, tokenizer, {"wool", "dress", "is", "sleeveless"}, "composition", LONG)
    assert other.input_ids == masked.input_ids
    assert asked(other, tokenizer, prompts=True) == ["wool"]


def test_pad_masked(tokenizer, fields):
    texts = [mask_text(fields, tokenizer, rng(), LONG), mask_text({"title": "dress"}, tokenizer, rng(), LONG)]
    ids, mask, labels, is_prompt = pad_masked(texts, tokenizer)
    lengths = [len(text.input_ids) for text in texts]
    assert ids.shape == mask.shape == labels.shape == is_prompt.shape == (2, max(lengths))
    assert [ids.dtype, mask.dtype, labels.dtype, is_prompt.dtype] == [torch.int64] * 3 + [torch.bool]
    assert mask.sum(1).tolist() == lengths
    short = slice(lengths[1], None)
    assert (ids[1, short] == tokenizer.pad_token_id).all() and (labels[1, short] == NO_LABEL).all()
    assert not is_prompt[1, short].any()
    assert ids[0].tolist() == texts[0].input_ids and labels[0].tolist() == texts[0].labels


def labelled_positions(masked, tokenizer):
    """The positions with a label, which all hold [MASK]."""
    positions = [i for i, label in enumerate(masked.labels) if label != NO_LABEL]
    assert all(masked.input_ids[i] == masked.labels[i] == tokenizer.mask_token_id for i in positions)
    return positions


@pytest.mark.parametrize(("asked", "pieces"), [("composition", 3), ("season", 1), ("neckline", 2)])
def test_a_question_for_values_of_some_length(tokenizer, fields, asked, pieces):
    masked = mask_value(fields, tokenizer, {"wool", "red"}, asked, pieces, LONG)
    shown = tokenizer.decode(masked.input_ids)
    positions = labelled_positions(masked, tokenizer)
    assert len(positions) == pieces and positions == list(range(positions[0], positions[0] + pieces))
    assert shown.count(f"the image {asked} is") == 1
    before = tokenizer.decode(masked.input_ids[: positions[0]])
    assert before.endswith(f"the image {asked} is") and "category" not in before
    assert not {"wool", "red"} & set(shown.split())
    assert {"category", "gender"} <= prompts_of(shown).keys()
    assert "100 wool" not in shown and ("spring" in shown or "fall" in shown) == (asked != "season")


def test_a_question_with_nothing_but_its_prompt(tokenizer):
    masked = mask_value({}, tokenizer, (), "season", 3, LONG)
    assert tokenizer.decode(masked.input_ids) == (
        "[CLS] the image description is [SEP] the image season is [MASK] [MASK] [MASK] [SEP]"
    )


def test_a_long_text_loses_other_things_than_the_question(tokenizer, fields):
    fields["description"] = "soft dark dress " * 60
    full = mask_value(fields, tokenizer, (), "season", 3, LONG * 2)
    cut = mask_value(fields, tokenizer, (), "season", 3, 40)
    assert len(cut.input_ids) == 40 < len(full.input_ids)
    assert len(labelled_positions(cut, tokenizer)) == 3
    assert len(labelled_positions(mask_value(fields, tokenizer, (), "season", 30, 40), tokenizer)) < 30
