"""The words of FashionGen-Mini's titles and descriptions.

`ADJECTIVES` come before a garment, `NOUNS` are details listed after it, and `FILLERS` say nothing about the picture. A
value without words ("none", "regular") is never mentioned.
"""

# The single words, after normalisation, that name a visible value. No word names two values or occurs anywhere else in
# the texts, so a text can be checked against its product, and probed.
VALUE_WORDS = {
    "colour": {
        "black": "black jet", "white": "white ivory", "grey": "grey slate", "red": "red crimson",
        "orange": "orange tangerine", "yellow": "yellow lemon", "green": "green emerald",
        "blue": "blue cobalt",
        "navy": "navy midnight", "purple": "purple violet", "pink": "pink rose", "brown": "brown chocolate",
    },
    "pattern": {
        "plain": "plain solid", "striped": "striped stripe", "checked": "checked check",
        "dotted": "dotted polka dot", "floral": "floral flower", "colourblock": "colourblock panelled",
    },
    "fabric": {name: name for name in ("cotton", "wool", "denim", "leather", "silk", "linen", "corduroy")},
    "neckline": {
        "crew": "crew", "v": "v", "scoop": "scoop", "boat": "boat", "square": "square",
        "turtleneck": "turtleneck roll", "pointed": "pointed", "band": "band", "bow": "bow",
        "notched": "notched", "shawl": "shawl", "hood": "hood hooded", "funnel": "funnel",
    },
    "sleeves": {"sleeveless": "sleeveless", "short": "short", "quarter": "three quarter", "long": "long"},
    "length": {
        "regular": "", "cropped": "cropped", "mini": "mini", "knee": "knee", "maxi": "maxi", "full": "full",
    },
    "shape": {name: name for name in ("pencil", "flared", "pleated", "slim", "wide")},
    "closure": {
        "none": "", "buttons": "buttons button buttoned", "zip": "zip zippered", "double": "double breasted",
        "open": "open",
    },
    "trim": {
        "none": "", "pocket": "pocket pockets", "contrast": "contrast contrasting", "belt": "belt belted",
        "ruffle": "ruffle ruffled",
    },
}  # fmt: skip

# The first word of a colour is the most frequent one; the others are rarer names for it.
_NECKS = {name: f"{name}-neck" for name in ("crew", "v", "scoop", "boat", "square", "funnel")}
_COLLARS = {name: f"{name} collar" for name in ("pointed", "band", "bow", "shawl")}

ADJECTIVES = {
    "colour": {value: words.split() for value, words in VALUE_WORDS["colour"].items()},
    "pattern": {
        "plain": ["plain", "solid"], "striped": ["striped", "stripe"], "checked": ["checked", "check"],
        "dotted": ["dotted", "polka dot"], "floral": ["floral", "flower"],
        "colourblock": ["colourblock", "panelled"],
    },
    "fabric": {value: [value] for value in VALUE_WORDS["fabric"]},
    "neckline": {
        **{value: [words] for value, words in (_NECKS | _COLLARS).items()},
        "turtleneck": ["turtleneck", "roll-neck"], "notched": ["notched lapel"], "hood": ["hooded"],
    },
    "sleeves": {
        "sleeveless": ["sleeveless"], "short": ["short sleeve", "short-sleeved"],
        "quarter": ["three-quarter sleeve", "three-quarter-sleeved"], "long": ["long sleeve", "long-sleeved"],
    },
    "length": {
        "cropped": ["cropped"], "mini": ["mini"], "knee": ["knee-length"], "maxi": ["maxi"],
        "full": ["full-length"],
    },
    "shape": {
        "pencil": ["pencil"], "flared": ["flared"], "pleated": ["pleated"], "slim": ["slim", "slim-leg"],
        "wide": ["wide-leg", "wide"],
    },
    "closure": {
        "buttons": ["button-up", "buttoned"], "zip": ["zip", "zip-up", "zippered"],
        "double": ["double-breasted"], "open": ["open-front"],
    },
    "trim": {
        "pocket": ["pocket"], "contrast": ["contrast-trim",
        "contrast"], "belt": ["belted"], "ruffle": ["ruffled"],
    },
}  # fmt: skip

_FRAMES = {
    "colour": ["{} hue", "dyed {}", "shade of {}", "{} tone", "{} dye"],
    "pattern": ["{} design throughout", "allover {} pattern", "{} surface", "{} motif all over"],
    "fabric": ["{} construction", "{} fabric", "{} body", "made of {}", "crafted in {}"],
}
_NECK_FRAMES = ["{}", "clean {}", "neat {}", "soft {}"]
_NECK_NOUNS = {value: words.replace("-", " " if value != "v" else "-") for value, words in _NECKS.items()}
_SLEEVE_FRAMES = ["{} sleeves", "{} easy sleeves", "comfortable {} sleeves"]


def _framed(frames: list[str], values: dict[str, list[str]]) -> dict[str, list[str]]:
    return {value: [frame.format(word) for frame in frames for word in words] for value, words in values.items()}


NOUNS = {
    **{name: _framed(frames, ADJECTIVES[name]) for name, frames in _FRAMES.items()},
    "shape": _framed(["{} silhouette", "{} shape", "{} cut"], {value: [value] for value in VALUE_WORDS["shape"]}),
    "neckline": _framed(
        _NECK_FRAMES,
        {
            **{value: [words] for value, words in (_NECK_NOUNS | _COLLARS).items()},
            "turtleneck": ["turtleneck", "roll-neck collar"],
            "notched": ["notched lapels", "notched lapel collar"],
            "hood": ["hood", "drawstring hood"],
        },
    ),
    "sleeves": {
        **_framed(_SLEEVE_FRAMES, {"short": ["short"], "quarter": ["three-quarter"], "long": ["long"]}),
        "sleeveless": ["sleeveless cut", "sleeveless design"],
    },
    "length": {
        "cropped": ["cropped length", "cropped hem"],
        "mini": ["mini length", "mini hemline"],
        "knee": ["knee-length hem", "falls to the knee"],
        "maxi": ["maxi length", "sweeping maxi hem"],
        "full": ["full length", "full-length leg"],
    },
    "closure": {
        "buttons": ["button closure", "buttons at front", "button placket"],
        "zip": ["zip closure", "zip at front", "zippered front"],
        "double": ["double-breasted closure", "double-breasted front"],
        "open": ["open front", "worn open"],
    },
    "trim": {
        "pocket": ["patch pocket detail", "pocket at front", "practical pockets"],
        "contrast": ["contrast edges", "contrasting borders", "contrast trim"],
        "belt": ["belt at waist", "buckled belt", "belted waist"],
        "ruffle": ["ruffle hem", "ruffled edge", "ruffle along hem"],
    },
}

GARMENT_NAMES = {
    "T-SHIRTS": ["t-shirt", "tee"],
    "SHIRTS": ["shirt", "blouse"],
    "TANK TOPS": ["tank top", "tank"],
    "PULLOVERS": ["sweater", "pullover", "jumper"],
    "CARDIGANS": ["cardigan", "knit cardigan"],
    "COATS": ["coat", "overcoat"],
    "BLAZERS": ["blazer", "tailored blazer"],
    "DRESSES": ["dress", "frock"],
    "SKIRTS": ["skirt"],
    "TROUSERS": ["trousers", "pants"],
}

# The titles of products that name no garment: "The Meridian".
PRODUCT_NAMES = [
    "Meridian", "Harbour", "Juniper", "Solstice", "Canyon", "Willow", "Atlas", "Lantern", "Compass", "Orchard",
    "Tundra", "Cascade", "Almanac", "Beacon", "Prairie", "Sonata",
]  # fmt: skip

# Sentences that are true of any product, by topic. A description has at most one per topic, so that no sentence
# contradicts another. "{brand}" is the product's brand; other names in braces become random entries of CHOICES.
CHOICES = {
    "country": [
        "Italy", "Portugal", "Japan", "France", "Spain", "Scotland", "Turkey", "Peru", "India", "Romania",
        "Ireland", "Denmark", "Morocco", "Vietnam", "Bulgaria",
    ],
    "size": ["XS", "S", "M", "L", "XL"],
    "height": ["172", "175", "178", "184", "188"],
    "wash": ["Hand wash", "Machine wash", "Gentle wash"],
    "mood": [
        "relaxed", "modern", "timeless", "playful", "refined", "casual", "confident", "quiet", "bold",
        "romantic",
        "sporty", "polished", "nostalgic", "laid-back",
    ],
    "event": [
        "weekends", "the office", "travel", "summer evenings", "dinner parties", "city walks", "holidays",
        "rainy days", "gallery visits", "weddings", "busy mornings", "Sunday brunch", "the theatre",
        "market days", "train journeys", "first dates", "garden parties", "concerts", "meetings",
    ],
    "partner": [
        "sneakers", "ankle boots", "loafers", "sandals", "heels", "a hat", "sunglasses", "a scarf",
        "a tote bag",
        "gold jewellery", "trainers", "a watch", "espadrilles", "tights",
    ],
    "muse": [
        "old sailing photographs", "desert travels", "modernist architecture", "jazz records",
        "a seaside town",
        "alpine huts", "silent films", "botanical archives", "ceramic studios", "northern light", "a painter",
        "school uniforms", "racing drivers", "opera costumes",
    ],
}  # fmt: skip

FILLERS = {
    "origin": [
        "Made in {country}.", "Designed and made in {country}.", "Woven by a family mill in {country}.",
        "Imported from {country}.", "Sewn in a small workshop in {country}.", "Assembled in {country}.",
    ],
    "care": [
        "{wash} only.", "{wash} cold.", "{wash} inside out.", "{wash} with similar shades.",
        "{wash} / do not bleach.", "{wash}, cool iron.", "Dry clean only.", "Spot clean with a damp cloth.",
        "Do not tumble dry.", "Dry in the shade.", "Store on a padded hanger.",
        "Steam lightly before wearing.",
    ],
    "size": [
        "Runs true to size.", "Runs slightly small.", "Runs large, consider sizing down.",
        "Order your usual size.",
        "Model wears size {size}.", "Model is {height} cm tall and wears size {size}.", "Unisex sizing.",
        "Sizes XS to XL.", "Between two sizes? Take the larger.",
    ],
    "fit": [
        "Easy fit.", "Relaxed fit.", "Regular fit.", "Roomy fit.", "Comfortable fit with space to move.",
        "Tailored to follow the body.", "Sits close without pulling.", "Drapes gently.",
        "Generous proportions.",
        "Moves with you.",
    ],
    "occasion": [
        "A {mood} choice for {event}.", "A {mood} piece for {event}.", "Ideal for {event}.",
        "Perfect for {event}.", "Made with {event} in mind.", "Goes anywhere, even to {event}.",
        "Day / night piece.", "Off-duty or dressed up.",
    ],
    "styling": [
        "Pair with {partner}.", "Wear with {partner}.", "Style with {partner} for a {mood} look.",
        "Looks {mood} beside {partner}.", "Add {partner} and go.", "Layer it when the weather turns.",
        "Light enough to pack.", "Equally good alone or layered.",
    ],
    "brand": [
        "By {brand}.", "{brand} signature label inside.", "From the studio of {brand}.",
        "Part of the {brand} archive.", "{brand} brings a {mood} mood to everyday dressing.",
        "A {brand} favourite, season after season.", "New this season from {brand}.",
        "Logo tag of {brand} at inner seam.", "First shown on the {brand} runway.",
    ],
    "making": [
        "Fine stitching.", "Reinforced inner seams.", "Fully lined.", "Partly lined.", "Unlined.",
        "Hidden seams.",
        "Finished by hand.", "Garment-washed for softness.", "Pre-shrunk.", "Cut with almost no waste.",
        "Drawn, cut and sewn under one roof.", "Sewn with recycled thread.", "Pressed and inspected twice.",
    ],
    "promise": [
        "Keeps its form after many washes.", "Gets better with age.", "Breathable and kind to skin.",
        "Warm without weight.", "Hypoallergenic.", "Does not crease easily.",
        "Responsibly sourced materials.",
        "Made in small batches.", "Certified low-impact dyeing.", "Guaranteed for five years.",
        "Repairs are free for life.", "Feels like a second skin.",
    ],
    "praise": [
        "An essential for any wardrobe.", "A gift they will keep.", "Our buyers loved it at first sight.",
        "You will reach for it every week.", "Simple, honest and well made.", "Quality you can feel.",
        "Attention to every detail.", "Easy to love.", "Nothing more to add.",
        "Customers keep coming back for it.",
    ],
    "story": [
        "Inspired by {muse}.", "A tribute to {muse}.", "Recalls {muse}.", "Named after a harbour town.",
        "Based on a vintage find.", "Sketched during a winter abroad.", "Our founder still wears hers.",
    ],
    "shop": [
        "Limited edition.", "Numbered edition.", "Gift box included.", "Dust bag included.",
        "Ships tomorrow.",
        "Returns are free within thirty days.", "Exclusive to this store.", "Last pieces available.",
        "Also available for children.", "Spare thread included.",
    ],
}  # fmt: skip
