"""Which numbers of the masks of a set are the object: how each of them becomes 0, 128 and 255."""

from dataclasses import dataclass, field

import numpy as np

from carmask.errors import PictureError
from carmask.files.mask_levels import GREY, HALF, Levels, brightness, distinct
from carmask.files.mask_questions import in_words


@dataclass(frozen=True)
class MaskRule:
    """Which numbers of the masks of a set are the object, and which are not judged; only `known` ones may occur.

    The numbers are `by_colour`, else a palette's indices if they are `by_index`; those of `cut_outs` are 255 where
    they are not transparent.
    """

    objects: frozenset[int]
    not_judged: frozenset[int]
    known: frozenset[int]
    by_colour: bool = False
    by_index: bool = True
    cut_outs: bool = False
    threshold: int | None = None
    white: dict[tuple[str, int], int] = field(default_factory=dict)  # of each kind and depth, for the threshold
    invert: bool = False
    words: str = ""  # says it to a person, where it is not plain

    @property
    def is_native(self) -> bool:
        """Whether it is that of the sets that we write."""
        plain = not (self.by_colour or self.by_index or self.cut_outs or self.invert or self.threshold)
        return plain and self.objects <= {255} and self.not_judged <= {128} and self.known <= NATIVE.known

    def numbers(self, levels: Levels) -> np.ndarray:
        """The numbers of a mask that count, int32 (height, width)."""
        if self.cut_outs and levels.alpha is not None:
            return (levels.alpha >= HALF) * np.int32(255 * GREY if self.by_colour else 255)
        if self.by_colour:
            return levels.colours
        if levels.palette is not None and not self.by_index:
            return levels.colours & 255
        return levels.numbers

    def mask(self, levels: Levels) -> np.ndarray:
        """The mask, uint8 (height, width) of 0, 128 (not judged) and 255 (object).

        Raises:
            PictureError: it holds a value that the others do not, or, where a threshold is given, colours or another
                white.
        """
        numbers = self.numbers(levels)
        if self.threshold is None:
            strange = distinct(numbers) - self.known
            if strange:
                raise PictureError(f"it has the value {min(strange)}; the others have {in_words(self.known)}")
            is_object = np.isin(numbers, list(self.objects))
        else:
            white = self.white.get((levels.kind, levels.depth))
            if white == 65535 and distinct(numbers) == {0, 255}:
                raise PictureError("it has the values 0 and 255, but others have up to 65535: save it as 8-bit PNG")
            is_object = brightness(levels, white) * 255 >= self.threshold
        mask = np.where(is_object ^ self.invert, np.uint8(255), np.uint8(0))
        mask[np.isin(numbers, list(self.not_judged))] = 128
        return mask


NATIVE = MaskRule(frozenset({255}), frozenset({128}), frozenset({0, 128, 255}), by_index=False)  # of what we write
