"""A small table of antonyms in fashion texts: common opposites of cut, colour, fabric and wear.

The paper takes antonyms from WordNet, whose data cannot be installed by pip. Only 0.75 % of word pieces are affected.
"""

_PAIRS = """
long-short longer-shorter longline-cropped light-dark lighter-darker bright-dull black-white pale-deep
warm-cool wide-narrow wider-narrower broad-slim loose-tight loose-fitted oversized-slim baggy-skinny
relaxed-fitted high-low higher-lower tall-short upper-lower top-bottom front-back left-right inner-outer
inside-outside interior-exterior internal-external inward-outward up-down over-under above-below thick-thin
heavy-light heavyweight-lightweight soft-hard soft-rough smooth-rough sleek-textured matte-glossy dull-shiny
stiff-flexible rigid-stretch elastic-stiff crisp-soft opaque-sheer dense-sheer solid-patterned
plain-patterned plain-printed full-empty large-small larger-smaller big-little maximum-minimum open-closed
opened-closed zipped-unzipped buttoned-unbuttoned lined-unlined padded-unpadded structured-unstructured
sleeved-sleeveless collared-collarless hooded-hoodless laced-laceless strapped-strapless seamed-seamless
belted-beltless washed-unwashed treated-untreated finished-raw distressed-clean faded-saturated
straight-curved flat-raised round-square pointed-rounded sharp-blunt symmetric-asymmetric
symmetrical-asymmetrical even-uneven regular-irregular single-double same-different new-old modern-vintage
modern-classic contemporary-traditional natural-synthetic real-faux genuine-faux formal-casual dressy-casual
simple-ornate minimal-ornate subtle-bold delicate-robust feminine-masculine men-women mens-womens man-woman
male-female boy-girl boys-girls summer-winter spring-fall dry-wet hot-cold day-night with-without
detachable-fixed removable-fixed adjustable-fixed reversible-irreversible tonal-contrast tonal-contrasting
monochrome-multicolor monochrome-colorful visible-hidden exposed-concealed exposed-covered first-last
"""


def _both_ways(pairs: str) -> dict[str, str]:
    """Maps each word to the first antonym listed for it."""
    table: dict[str, str] = {}
    for pair in pairs.split():
        left, right = pair.split("-")
        table.setdefault(left, right)
        table.setdefault(right, left)
    return table


ANTONYMS = _both_ways(_PAIRS)
