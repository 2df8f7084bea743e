"""Training examples: augmented crops of the rows of a data set, each fixed by the seed and one number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from carmask.data.layout import NOT_JUDGED
from carmask.data.rows import TELLING_ERRORS, Example, read_row, shrink
from carmask.data.streams import endless, share_of
from carmask.errors import PictureError, first_line, refused_as
from carmask.files.refusals import DAMAGED
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training.augmentation import photometric_augmentation, random_crop
from carmask.training.config import LARGEST_SCALE

BUFFER = 1000  # rows of a stream among which the next one is drawn


@dataclass(frozen=True)
class Examples(Dataset):
    """A data set of numbered training examples, squares of `crop` pixels a side.

    Example n depends on `seed` and n alone, and every `len(rows)` examples use each row once, in a new order. So a run
    can stop after any example and go on with the next, with any number of workers, and n is all the state there is;
    `numbers` are those in this data set.

    Copy-paste augmentation: onto a share `paste` of the crops the object of another row's crop is pasted. A crop that
    is nowhere judged stays as it is, since only the pasted object would be judged there.
    Source: Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177.
    """

    rows: Sequence[Example]
    task: MaskTask | DotsTask
    crop: int
    seed: int
    numbers: range
    scale_jitter: float = LARGEST_SCALE
    paste: float = 0.0
    names: Sequence[str] = ()
    square: bool = False

    def order(self, batch: int, process: int = 0, processes: int = 1) -> Iterator[int]:
        """The places of the examples for one of several processes, which take batches in turns."""
        return (place for place in range(len(self)) if place // batch % processes == process)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> dict[str, Tensor | str]:
        """One example: `grey` uint8 (crop, crop), and its `target` as the task paints it.

        Also the `name` of its picture, and its `fault`, which is "" if it can be used.
        """
        number = self.numbers[place]
        rng = np.random.default_rng((self.seed, *divmod(number, len(self.rows))))
        row = self.row(number)
        grey, truth = self.crop_of(self.rows[row], rng)
        if self.paste and rng.random() < self.paste:
            other_grey, other_mask = self.crop_of(self.rows[int(rng.integers(len(self.rows)))], rng)
            if (truth != NOT_JUDGED).any():
                grey, truth = (
                    np.where(other_mask == 255, *both) for both in ((other_grey, grey), (other_mask, truth))
                )
        return self.finished(photometric_augmentation(grey, rng), truth, self.names[row] if self.names else "")

    def finished(self, grey: np.ndarray, truth: np.ndarray, name: str, fault: str = "") -> dict[str, Tensor | str]:
        """An example of a crop."""
        target = torch.from_numpy(self.task.target(truth, (self.crop, self.crop)))
        return {"grey": torch.from_numpy(grey), "target": target, "name": name, "fault": fault}

    def row(self, number: int) -> int:
        """The row that example `number` shows."""
        epoch, draw = divmod(number, len(self.rows))
        return int(np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))[draw])

    def crop_of(self, pair: Example, rng: np.random.Generator) -> Example:
        """A random crop of a row, mirrored half of the time."""
        grey, truth = pair
        if rng.random() < 0.5:
            grey, truth = grey[:, ::-1], self.task.flip(truth)
        return random_crop(grey, truth, self.crop, rng, self.scale_jitter, self.square)


@dataclass(frozen=True)
class StreamedExamples(Examples):
    """As `Examples`, from rows that can only be read one after the other.

    Each process reads its share of the rows, in another order in each epoch, and its workers decode them: nothing is
    read twice, and nothing depends on the number of workers. A resumed run skips the rows that it has used.
    """

    rows: datasets.IterableDataset

    def order(  # type: ignore[override]  # a place comes with its row
        self, batch: int, process: int = 0, processes: int = 1
    ) -> Iterator[tuple[int, dict]]:
        """The places of the examples for one of several processes, each with its row, not decoded."""
        stream = share_of(self.rows, process, processes).shuffle(self.seed, buffer_size=BUFFER)
        rows = endless(stream, self.numbers.start // processes)
        return zip(super().order(batch, process, processes), rows, strict=False)

    def __getitem__(self, placed: tuple[int, dict]) -> dict[str, Tensor | str]:  # type: ignore[override]  # so here
        """One example as in `Examples`; it has a fault if the row cannot be used."""
        place, row = placed
        name = Path((row["image"] or {}).get("path") or "").name or "A row without a file"
        rng = np.random.default_rng((self.seed, self.numbers[place]))
        try:
            with refused_as(PictureError, DAMAGED, *TELLING_ERRORS):
                decoded = {key: row[key] and datasets.Image().decode_example(row[key]) for key in ("image", "mask")}
                pair = shrink(read_row(decoded), int(self.crop * self.scale_jitter))
        except TELLING_ERRORS as error:
            nothing = np.full((self.crop, self.crop), NOT_JUDGED, np.uint8)
            return self.finished(nothing, nothing, name, f"{name} of the stream cannot be used: {first_line(error)}")
        grey, truth = self.crop_of(pair, rng)
        return self.finished(photometric_augmentation(grey, rng), truth, name)
