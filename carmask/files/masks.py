"""Masks of any kind → 0, 128 and 255: which of their values is the object is decided once, for a whole set."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from carmask.errors import DataError, PictureError
from carmask.files.mask_levels import GREY, HALF, Levels, Values, brightness, distinct, whites
from carmask.files.mask_questions import in_words, question, spoken
from carmask.files.mask_rule import NATIVE, MaskRule

MOST_CLASSES = 12  # in one mask that nobody has explained; more values are soft edges
MOST_SHAPES = 40  # colours on nothing that may be classes; more are those of a cut-out
WHITE = {1, 255, 65535, 255 * GREY}  # values that a mask without background may have all over


@dataclass(frozen=True)
class MaskOptions:
    """What a person says of the masks of a set.

    `objects` and `not_judged` are grey values or indices, every number `above` one is the object as well. `colours`
    and `not_judged_colours` are 0xRRGGBB, the `listed_colours` those that a list of classes gives the object, and the
    `class_colours` all that it has. From `threshold` on, of 255, a soft mask is the object; `invert` exchanges it and
    background.
    """

    objects: frozenset[int] = frozenset()
    above: int | None = None
    not_judged: frozenset[int] = frozenset()
    colours: frozenset[int] = frozenset()
    not_judged_colours: frozenset[int] = frozenset()
    listed_colours: frozenset[int] = frozenset()
    class_colours: frozenset[int] = frozenset()
    threshold: int | None = None
    invert: bool = False


def soft_reason(levels: Levels, options: MaskOptions) -> str | None:
    """Why nobody can tell object and background apart in one mask by itself; None if that is possible."""
    if options.threshold is not None:
        try:
            brightness(levels)
        except PictureError as error:
            return str(error)
        return None
    if levels.lossy:
        return (
            "JPEG mask: JPEG blurs edges into values between; --threshold 128 makes it black and white again, and "
            "classes or colours have to be exported as PNG"
        )
    number = len(distinct(levels.numbers if levels.palette is None else levels.colours))
    named = options.objects or options.above is not None or options.colours or options.listed_colours
    if named or levels.alpha is not None or number <= MOST_CLASSES:
        return None
    if like_a_photo(levels):
        remedies = "as photos have: see that pictures and masks have not changed places; --object 13 picks a class"
    else:
        remedies = (
            "--threshold 128 makes soft edges black and white, --object 13 picks a class, --object-above 0 takes all "
            "numbers but 0, as of single objects"
        )
    return f"more than two values: it has {number}; {remedies}"


def like_a_photo(levels: Levels) -> bool:
    """Whether most of a mask is neither black nor white."""
    try:
        return bool(np.mean(np.abs(brightness(levels) - 0.5) > 0.4) < 0.5)
    except PictureError:
        return True


def decide(masks: Iterable[Values], options: MaskOptions, name: str, native: bool = False) -> MaskRule:
    """Which values are the object in all the masks of a set, `name` being what it is called.

    A `native` set may be one of ours, in which 128 is not judged.

    Raises:
        DataError: nobody can tell, or the values that a person names are not there; the sentence says what to do.
    """
    masks = list(masks)
    if options.threshold is None:
        check_opacity(masks, name)
    cut_outs = are_cut_outs(masks, options)
    flat = [mask for mask in masks if not (cut_outs and mask.has_alpha)]
    by_index = may_be_indices(flat, options)
    kinds = {kind_of(mask, by_index) for mask in flat if mask.colours - {0}}
    by_colour = bool(options.colours) or is_listed(masks, options) or "colour" in kinds or {"red", "grey"} <= kinds
    rule = MaskRule(frozenset(), frozenset(), frozenset(), by_colour, by_index, cut_outs)
    seen = [seen_numbers(mask, rule) for mask in masks]
    known = frozenset[int]().union(*seen)
    not_judged = unjudged(known, by_colour, options, native)
    fixed = (known, by_colour, by_index, cut_outs, options.threshold, whites(masks), options.invert)
    if options.threshold is not None:
        side = "below" if options.invert else "at least"
        words = f"In the masks what is {side} {options.threshold} of 255 is {name}."
        return MaskRule(frozenset(), not_judged, *fixed, words)
    objects = named_object(known, by_colour, options, name) or plain_object(known - not_judged, masks, seen, native)
    if objects is None:
        names = {number: mask.name for numbers, mask in zip(seen, masks, strict=True) for number in numbers}
        counts = Counter(number for numbers in seen for number in numbers)
        rare = {number: names[number] for number, count in counts.items() if count * 10 <= len(masks)}
        raise DataError(question(known - not_judged, by_colour, name, rare))
    if objects & not_judged or (options.not_judged and not objects and not options.objects):
        raise DataError(f"{in_words(not_judged, by_colour)} cannot be not judged: no value is left to be the {name}.")
    plain = {0, 255} <= known <= {0, 128, 255} and kinds <= {"grey", "float"} and not (options.invert or cut_outs)
    told = "" if plain else spoken(objects, known, not_judged, by_colour, options.invert, name)
    if cut_outs:
        told = f"The masks are cut-outs: what is not transparent counts as white. {told}"
    elif told and not named_object(known, by_colour, options, name):
        told += f" Another value is chosen with {'--object-colour' if by_colour else '--object'}."
    return MaskRule(objects, not_judged, *fixed, told)


def are_cut_outs(masks: list[Values], options: MaskOptions) -> bool:
    """Whether it is their alpha that counts: one colour on nothing, or those of a photo, and nobody names one."""
    opaque = frozenset[int]().union(*(mask.colours - {0} for mask in masks if mask.has_alpha))
    named = options.objects - {255} or options.colours or options.listed_colours
    alpha = any(mask.has_alpha for mask in masks)
    return alpha and not named and (len(opaque) <= 1 or len(opaque) > MOST_SHAPES)


def is_listed(masks: list[Values], options: MaskOptions) -> bool:
    """Whether a list of classes has the colours of these masks, be they greys, and nobody gives a number."""
    by_number = options.objects or options.above is not None or options.not_judged
    return not by_number and any((options.class_colours - {0}) & mask.colours for mask in masks)


def check_opacity(masks: list[Values], name: str) -> None:
    """Asks from where on paint is the object if none of it is opaque; DataError."""
    most = max((255 if mask.opacity is None else mask.opacity for mask in masks), default=0)
    if 0 < most < HALF:
        raise DataError(
            f"The masks are drawn half transparent, at most {most} of 255: say from where on it is the {name}, as in "
            f"--threshold {(most + 1) // 2}."
        )


def may_be_indices(masks: list[Values], options: MaskOptions) -> bool:
    """Whether the indices of palettes count: all masks have one palette, and its first colour is black.

    A class of VOC is its index 7, not its grey of 128. But tools that reduce colours number them by how often they
    occur, differently from file to file; and black, white and the greys of soft edges are what they look like. Nor do
    they count where a person or a list of classes names colours.
    """
    by_number = options.objects or options.above is not None or options.not_judged
    if options.colours or (options.listed_colours and not by_number):
        return False
    pairs = frozenset[tuple[int, int]]().union(*(mask.of_index for mask in masks))
    colours = dict(pairs)
    if not pairs or len(colours) != len(pairs):
        return False
    if options.objects or options.above is not None:
        return True
    greys = all(colour % GREY == 0 for colour in colours.values())
    told_apart = len(set(colours.values())) == len(colours)
    as_it_looks = told_apart and greys and (len(colours) > MOST_CLASSES or {*colours.values()} <= {0, 255 * GREY})
    return (colours.get(0, 0) == 0 or not told_apart) and not as_it_looks


def kind_of(mask: Values, by_index: bool) -> str:
    """The kind of a mask; that of a palette's is what its colours are, unless its indices count."""
    if mask.kind != "palette":
        return mask.kind
    return "grey" if by_index or all(colour % GREY == 0 for colour in mask.colours) else "colour"


def seen_numbers(mask: Values, rule: MaskRule) -> frozenset[int]:
    """The numbers of a mask that count, as `MaskRule.numbers` gives them."""
    if rule.cut_outs and mask.has_alpha:
        return frozenset({0, 255 * GREY if rule.by_colour else 255})
    if rule.by_colour:
        return mask.colours
    palette_greys = mask.kind == "palette" and not rule.by_index
    return frozenset(colour & 255 for colour in mask.colours) if palette_greys else mask.numbers


def unjudged(known: frozenset[int], by_colour: bool, options: MaskOptions, native: bool) -> frozenset[int]:
    """The values that are not judged; DataError if a person names numbers where there are colours."""
    if by_colour and options.not_judged:
        raise DataError("The masks have colours: say with --not-judged-colour R,G,B which is not judged.")
    if native and not options.not_judged and known == {0, 128, 255}:
        return NATIVE.not_judged
    return options.not_judged_colours if by_colour else options.not_judged


def named_object(known: frozenset[int], by_colour: bool, options: MaskOptions, name: str) -> frozenset[int]:
    """The values that a person says are the object; none if nothing is said.

    Raises:
        DataError: they are not there.
    """
    if by_colour and (options.objects or options.above is not None):
        raise DataError(
            f"The masks have colours, {in_words(known, True)}: say which is the {name} by its red, green and blue "
            "with --object-colour, not by a number."
        )
    above = {number for number in known if options.above is not None and number > options.above}
    wanted = (options.colours or options.listed_colours) if by_colour else options.objects | above
    if (wanted or options.above is not None) and not wanted & known:
        option = "--object-colour" if by_colour else "--object"
        asked = in_words(wanted, by_colour) if wanted else f"a value above {options.above}"
        raise DataError(
            f"No mask has {asked}; they have {in_words(known, by_colour)}: say with {option} which is the {name}. A "
            "set that shows none is imported with the word none in place of its masks."
        )
    return wanted & known


def plain_object(
    judged: frozenset[int], masks: list[Values], seen: list[frozenset[int]], native: bool
) -> frozenset[int] | None:
    """The values that can only be the object; None where there is a choice."""
    bright = judged - {0}
    if native and judged == {0, 128}:
        return None
    if len(bright) <= 1 and (0 in judged or bright <= WHITE):
        return bright
    in_each = all(len(numbers) <= 2 and 0 in numbers for numbers in seen)
    sixteen_bits = 255 < max(bright, default=0) < 2**16 and all(mask.kind == "grey" for mask in masks)
    return bright if in_each and sixteen_bits else None  # brightness of 16 bits, not numbers of classes
