"""What is said of the values of masks, and asked where nobody can tell which of them is the object."""

from collections.abc import Iterable, Mapping

from carmask.files.words import DEFAULT_OBJECT, listed

MOST_LISTED = 12


def question(judged: frozenset[int], by_colour: bool, name: str, rare: Mapping[int, str]) -> str:
    """Asks which of the `judged` values is the object, with the options that say it.

    `rare` values are in few masks, each with the name of one.
    """
    order = sorted(judged - {0}) if 0 in judged else sorted(judged)[1:]
    values = in_words(judged, by_colour)
    stray = next(
        (f" ({text(number, by_colour)} in {rare[number]} and few others)" for number in order if rare.get(number)), ""
    )
    if by_colour:
        return (
            f"The masks have the colours {values}{stray}: say which is the {name}, as in --object-colour "
            f"{text(order[0], by_colour)}; all but black is it with --object-colour 0,0,0 --invert."
        )
    if len(judged) > MOST_LISTED:
        return (
            f"The masks have the values {values}: soft edges become black and white with --threshold 128, and of the "
            "numbers of classes --object 13 picks one, --object-above 0 all but 0."
        )
    voids = [number for number in order if number < 0] or [128 if order == [128, 255] else 255, 128]
    border = next((number for number in voids if number in order and len(order) > 1), None)
    first = next((number for number in order if number > 0 and number != border), 1)
    choice = first if name == DEFAULT_OBJECT else f"{name}={first}"
    void = f", and if {border} is not judged, such as a border, --not-judged {border}" if border else ""
    rest = "; --object-above 0 if all but 0 is" if min(judged) == 0 else ""
    return (
        f"The masks have the values {values}{stray}, and nobody can tell which is the {name}: say it, as in --object "
        f"{choice}{void}{rest}; soft edges become black and white with --threshold 128."
    )


def spoken(
    objects: frozenset[int],
    known: frozenset[int],
    not_judged: frozenset[int],
    by_colour: bool,
    invert: bool,
    name: str,
) -> str:
    """Says which values are the object, the background, and not judged."""
    rest = known - objects - not_judged
    void = f", {in_words(not_judged, by_colour)} not judged" if not_judged else ""
    absent = f" No mask has {in_words(not_judged - known, by_colour)}." if not_judged - known else ""
    if invert:
        return f"In the masks what is not {in_words(objects, by_colour)} is {name}{void}.{absent}"
    background = f", {in_words(rest, by_colour)} background" if rest else ", and nothing is background"
    return f"In the masks {in_words(objects, by_colour)} is {name}{void}{background}.{absent}"


def in_words(numbers: Iterable[int], by_colour: bool = False) -> str:
    """Values in words; of many only the ends."""
    texts = [text(number, by_colour) for number in sorted(numbers)]
    if len(texts) > MOST_LISTED:
        return f"{texts[0]} to {texts[-1]} ({len(texts)} values)"
    return listed(texts, "; " if by_colour else ", ")


def text(number: int, by_colour: bool) -> str:
    """A value in words: 13, or 250,50,83 for a colour."""
    return f"{number >> 16},{number >> 8 & 255},{number & 255}" if by_colour else str(number)
