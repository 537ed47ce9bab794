"""What the attribute probe asks: the values of each attribute, prompts, and texts that differ in one attribute.

The data set says what its products are like. From `product_fields` come the attributes of its texts, and from these,
where it has them:
    extra_attributes: mapping from the name of a further attribute to its value for each product, in words, "" where
        it has none. If it also has a method `changed_fields(product, name, fields, rng)`, this rewrites the
        product's fields for another value, or gives None where they do not mention the attribute.
    attribute_words: attribute -> all the single words that name its values in titles and descriptions.
    unseen_attributes: the names of those that a picture does not show.
"""

from collections.abc import Mapping

import numpy as np

from fashionfae_lavis.evaluation.grounding import telling_words
from fashionfae_lavis.metrics.attribute_probe import swap_partners
from fashionfae_lavis.text.product_text import FREE_TEXT, attribute_names, field_words, normalise, prompt_template

# A sub category is of one category: the one tells the other, in other words.
TELLS = {"category": "sub category", "sub category": "category"}

Pairs = tuple[np.ndarray, list[str], list[str]]


def attribute_values(dataset) -> dict[str, list[str]]:
    """Attribute -> its normalised value for each product of the data set, "" where it has none."""
    fields = [dataset.product_fields(product) for product in range(len(dataset.product_ids))]
    values = {name: [" ".join(field_words(field, name)) for field in fields] for name in attribute_names(fields[0])}
    extra = getattr(dataset, "extra_attributes", {})
    return values | {name: [normalise(value) for value in extra[name]] for name in extra}


def prompt(name: str, value: str) -> str:
    """`the image <name> is <value>`."""
    return " ".join([*prompt_template(name), value])


def hidden_words(dataset, fields: Mapping[str, str], name: str, values: list[str]) -> set[str]:
    """The words that would tell, elsewhere in a product's text, that the attribute has one of these values.

    Beside those that `attribute_words` lists for it, the words of the values, in singular and plural. Words that tell
    it in another way, and how many words are hidden where, stay: what is read off the image alone is asked without
    the description.
    """
    words = set(" ".join(values).split()) | set(field_words(fields, TELLS.get(name, "")))
    words |= telling_words(name, words, getattr(dataset, "attribute_words", {}))
    stems = {word[: -len(end)] for word in words for end in ("s", "es") if word.endswith(end)}
    return words | stems | {word + end for word in words | stems for end in ("s", "es")}


def pair_texts(dataset, name: str, values: list[str], products: np.ndarray, rng: np.random.Generator) -> Pairs:
    """The products asked (their places in `products`), their texts, and these with the attribute changed.

    If the data set can rewrite its texts, it does. Else two products are drawn whose values differ, and each is
    asked with its own and with the other's: see `swap_partners`. The value stands in the attribute's prompt; what else
    in the text would tell it (hidden_words, the category beside the sub category) is left out of both texts, or the
    wrong one would contradict itself.
    """
    extra = getattr(dataset, "extra_attributes", {})
    questions = []
    if name in extra and hasattr(extra, "changed_fields"):
        for place, product in enumerate(products):
            fields = dataset.product_fields(product)
            changed = extra.changed_fields(product, name, fields, rng)
            if changed is not None:
                questions.append((place, dataset.text_processor(fields), dataset.text_processor(changed)))
        questions = [(place, true, false) for place, true, false in questions if true != false]
    else:
        having = [place for place, product in enumerate(products) if values[product]]
        partners = swap_partners([values[products[place]] for place in having], rng)
        for one, other in [*partners, *((other, one) for one, other in partners)]:
            place, both = having[one], [values[products[having[i]]] for i in (one, other)]
            questions.append((place, *_prompted(dataset, products[place], name, both)))
    places, true, false = zip(*sorted(questions), strict=True) if questions else ((), (), ())
    return np.array(places, dtype=int), list(true), list(false)


def _prompted(dataset, product: int, name: str, values: list[str]) -> list[str]:
    """The product's text for each value, in its prompt. Where the data set's text has no prompts, this one is added."""
    fields = dataset.product_fields(product)
    hidden = hidden_words(dataset, fields, name, values)
    kept = {part: " ".join(w for w in field_words(fields, part) if w not in hidden) for part in FREE_TEXT}
    kept = {**fields, **kept, TELLS.get(name, name): ""}
    texts = [dataset.text_processor({**kept, name: value}) for value in values]
    return texts if texts[0] != texts[1] else [f"{texts[0]} {prompt(name, value)}" for value in values]
