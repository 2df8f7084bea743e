"""Masks of any kind → 0, 128 and 255: which of their values is the object is decided once, for a whole set."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from carmask.errors import DataError, PictureError
from carmask.files.mask_levels import GREY, Levels, distinct
from carmask.files.words import DEFAULT_OBJECT

MOST_CLASSES = 12  # in one mask that nobody has explained; more values are soft edges
WHITE = {1, 255, 65535, 255 * GREY}  # values that a mask without background may have all over


class Values(NamedTuple):
    """What a mask holds: its kind, which numbers, and which colours those are."""

    kind: str
    numbers: frozenset[int]
    colours: frozenset[int]


@dataclass(frozen=True)
class MaskOptions:
    """What a person says of the masks of a set.

    `objects` and `not_judged` are grey values or indices, every number `above` one is the object as well; `colours`
    are 0xRRGGBB, the `listed_colours` those that a list of classes gives the object, for masks that have colours; from
    `threshold` on, of 255, a soft mask is the object; `invert` exchanges object and background.
    """

    objects: frozenset[int] = frozenset()
    above: int | None = None
    not_judged: frozenset[int] = frozenset()
    colours: frozenset[int] = frozenset()
    listed_colours: frozenset[int] = frozenset()
    threshold: int | None = None
    invert: bool = False


@dataclass(frozen=True)
class MaskRule:
    """Which numbers of the masks of a set are the object, and which are not judged; only `known` ones may occur."""

    objects: frozenset[int]
    not_judged: frozenset[int]
    known: frozenset[int]
    by_colour: bool = False
    threshold: int | None = None
    invert: bool = False
    words: str = ""  # says it to a person, where it is not plain

    @property
    def is_native(self) -> bool:
        """Whether it is that of the sets that we write."""
        plain = not (self.by_colour or self.invert or self.threshold)
        return plain and self.objects <= {255} and self.not_judged <= {128} and self.known <= NATIVE.known

    def mask(self, levels: Levels) -> np.ndarray:
        """The mask, uint8 (height, width) of 0, 128 (not judged) and 255 (object).

        Raises:
            PictureError: it holds a value that the others do not.
        """
        if self.threshold is None:
            numbers = levels.hard.colours if self.by_colour else levels.hard.numbers
            strange = distinct(numbers) - self.known
            if strange:
                raise PictureError(f"it has the value {min(strange)}; the others have {listed(self.known)}")
            is_object = np.isin(numbers, list(self.objects))
        else:
            numbers, top = levels.brightness, 65535 if max(self.known, default=0) > 255 else 255
            is_object = numbers * 255.0 >= self.threshold * top
        mask = np.where(is_object ^ self.invert, np.uint8(255), np.uint8(0))
        mask[np.isin(numbers, list(self.not_judged))] = 128
        return mask


NATIVE = MaskRule(frozenset({255}), frozenset({128}), frozenset({0, 128, 255}))  # of the sets that we write


def values_of(levels: Levels) -> Values:
    """What a mask holds, for `decide`."""
    return Values(levels.kind, distinct(levels.hard.numbers), distinct(levels.hard.colours))


def soft_reason(levels: Levels, options: MaskOptions) -> str | None:
    """Why nobody can tell object and background apart in one mask by itself; None if that is possible."""
    if options.threshold is not None:
        return None
    if levels.lossy:
        return (
            "JPEG mask: JPEG blurs edges into values between; --threshold 128 makes it black and white again, and "
            "classes have to be exported as PNG"
        )
    by_colour = levels.kind == "colour" and (options.colours or options.listed_colours)
    explained = options.objects or options.above is not None or by_colour
    number = len(distinct(levels.hard.numbers))
    if number > MOST_CLASSES and not explained:
        remedies = "--threshold 128 makes soft edges black and white, --object 13 picks a class"
        return f"more than two values: it has {number}; {remedies}"
    return None


def decide(masks: Iterable[Values], options: MaskOptions, name: str, native: bool = False) -> MaskRule:
    """Which values are the object in all the masks of a set, `name` being what it is called.

    A `native` set may be one of ours, in which 128 is not judged.

    Raises:
        DataError: nobody can tell, or the values that a person names are not there; the sentence says what to do.
    """
    masks = list(masks)
    kinds = {mask.kind for mask in masks if mask.numbers - {0}}
    by_colour = bool(options.colours) or "colour" in kinds or {"red", "grey"} <= kinds
    known = frozenset[int]().union(*(mask.colours if by_colour else mask.numbers for mask in masks))
    if options.threshold is not None:
        known = frozenset[int]().union(*(mask.numbers for mask in masks if mask.kind != "colour"))
        words = (
            f"In the masks what is {'below' if options.invert else 'at least'} {options.threshold} of 255 is {name}."
        )
        return MaskRule(frozenset(), options.not_judged, known, False, options.threshold, options.invert, words)
    not_judged = options.not_judged
    if native and not not_judged and known == {0, 128, 255}:
        not_judged = NATIVE.not_judged
    if by_colour:
        not_judged = frozenset(number * GREY for number in not_judged)
    objects = named_object(known, by_colour, options, name) or plain_object(known - not_judged, masks, native)
    if objects is None:
        raise DataError(question(known - not_judged, by_colour, name))
    plain = known <= {0, 128, 255} and kinds <= {"grey"} and not options.invert
    cut_outs = "The masks are cut-outs: what is not transparent counts as white. " if "alpha" in kinds else ""
    words = "" if plain else cut_outs + spoken(objects, known - not_judged, by_colour, options.invert, name)
    return MaskRule(objects, not_judged, known, by_colour, None, options.invert, words)


def named_object(known: frozenset[int], by_colour: bool, options: MaskOptions, name: str) -> frozenset[int]:
    """The values that a person says are the object; none if nothing is said.

    Raises:
        DataError: they are not there.
    """
    if by_colour and (options.objects or options.above is not None):
        raise DataError(
            f"The masks have colours, {listed(known, True)}: say which is the {name} by its red, green and blue with "
            "--object-colour, not by a number."
        )
    above = {number for number in known if options.above is not None and number > options.above}
    wanted = (options.colours or options.listed_colours) if by_colour else options.objects | above
    if (wanted or options.above is not None) and not wanted & known:
        option = "--object-colour" if by_colour else "--object"
        asked = listed(wanted, by_colour) if wanted else f"a value above {options.above}"
        raise DataError(
            f"No mask has {asked}; they have {listed(known, by_colour)}: say with {option} which is the {name}. A set "
            "that shows none is imported with the word none in place of its masks."
        )
    return wanted & known


def plain_object(judged: frozenset[int], masks: list[Values], native: bool) -> frozenset[int] | None:
    """The values that can only be the object; None where there is a choice."""
    bright = judged - {0}
    if native and judged == {0, 128}:
        return None
    if len(bright) <= 1 and (0 in judged or bright <= WHITE):
        return bright
    in_each = all(len(mask.numbers) <= 2 and 0 in mask.numbers for mask in masks)
    sixteen_bits = 255 < max(bright, default=0) < 2**16 and all(mask.kind == "grey" for mask in masks)
    return bright if in_each and sixteen_bits else None  # brightness of 16 bits, not numbers of classes


def question(judged: frozenset[int], by_colour: bool, name: str) -> str:
    """Asks which of several values is the object, with the options that say it."""
    order = sorted(judged - {0}) if 0 in judged else sorted(judged)[1:]
    values = listed(judged, by_colour)
    if by_colour:
        example = text(order[0], by_colour)
        return f"The masks have the colours {values}: say which is the {name}, as in --object-colour {example}."
    if len(judged) > MOST_CLASSES:
        return (
            f"The masks have the values {values}: soft edges become black and white with --threshold 128, and of the "
            "numbers of classes --object 13 picks one."
        )
    border = next((number for number in (255, 128) if number in order and len(order) > 1), None)
    first = next((number for number in order if number != border), order[0] if order else 1)
    choice = first if name == DEFAULT_OBJECT else f"{name}={first}"
    void = f", and if {border} is not judged, such as a border, --not-judged {border}" if border else ""
    return (
        f"The masks have the values {values}, and nobody can tell which is the {name}: say it, as in --object {choice}"
        f"{void}; soft edges become black and white with --threshold 128."
    )


def spoken(objects: frozenset[int], judged: frozenset[int], by_colour: bool, invert: bool, name: str) -> str:
    """Says which values are the object."""
    values, rest = listed(objects, by_colour), judged - objects
    if invert:
        return f"What is not {values} in the masks is {name}."
    return f"In the masks {values} is {name}" + (f", {listed(rest, by_colour)} background." if rest else ".")


def listed(numbers: Iterable[int], by_colour: bool = False) -> str:
    """Values in words; of many only the ends."""
    texts = [text(number, by_colour) for number in sorted(numbers)]
    if len(texts) > MOST_CLASSES:
        return f"{texts[0]} to {texts[-1]} ({len(texts)} values)"
    return " and ".join(filter(None, ("; ".join(texts[:-1]) if by_colour else ", ".join(texts[:-1]), *texts[-1:])))


def text(number: int, by_colour: bool) -> str:
    """A value in words: 13, or 250,50,83 for a colour."""
    return f"{number >> 16},{number >> 8 & 255},{number & 255}" if by_colour else str(number)
