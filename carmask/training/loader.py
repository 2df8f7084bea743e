"""How training examples come to a process: from rows at hand, or from a stream for more than the disk holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from carmask.data.rows import first_line, read_pair, shrink
from carmask.data.streams import endless, is_stream, share_of
from carmask.files.pictures import DECODE_ERRORS
from carmask.tasks.auto import MaskTask
from carmask.tasks.dots_task import DotsTask
from carmask.training.config import TrainConfig
from carmask.training.examples import OUTSIDE, Examples, Pair, random_light
from carmask.training.signals import leave_signals

BUFFER = 1000  # rows of a stream among which the next one is drawn


class Rows(NamedTuple):
    """What to learn from: pairs at hand and what people know them by, or a stream, whose rows bring their names."""

    pairs: Sequence[Pair] | datasets.IterableDataset
    names: list[str]


def make_examples(config: TrainConfig, task: MaskTask | DotsTask, rows: Rows, numbers: range) -> Examples:
    """The examples of these numbers."""
    kind = StreamedExamples if is_stream(rows.pairs) else Examples
    return kind(
        rows.pairs,
        task,
        config.crop,
        config.seed,
        numbers,
        config.largest_zoom,
        config.paste,
        rows.names,
        config.square,
    )


def make_loader(examples: Examples, config: TrainConfig, accelerator: Accelerator | None = None) -> DataLoader:
    """The batches of this process, or without an accelerator those of all."""
    share = (accelerator.process_index, accelerator.num_processes) if accelerator else ()
    order = examples.order(config.batch_size, *share)
    return DataLoader(
        examples, config.batch_size, sampler=order, num_workers=config.workers, worker_init_fn=leave_signals
    )


@dataclass(frozen=True)
class StreamedExamples(Examples):
    """As `Examples`, from rows that can only be read one after the other.

    Each process reads a share of the rows, in each epoch in another order, and its workers decode them: so nothing is
    read twice, and nothing depends on the number of workers. A run goes on by counting the rows that it has had.
    """

    rows: datasets.IterableDataset

    def order(self, batch: int, process: int = 0, processes: int = 1) -> Iterator[tuple[int, dict]]:
        """The places of the examples for one of several processes, each with its row, not decoded."""
        stream = share_of(self.rows, process, processes).shuffle(self.seed, buffer_size=BUFFER)
        rows = endless(stream, self.numbers.start // processes)
        return zip(super().order(batch, process, processes), rows, strict=False)

    def __getitem__(self, placed: tuple[int, dict]) -> dict[str, Tensor | str]:
        """One example, as those of `Examples`; it has a fault if the row cannot be used."""
        place, row = placed
        name = Path((row["image"] or {}).get("path") or "").name or "A row without a file"
        rng = np.random.default_rng((self.seed, self.numbers[place]))
        try:
            decoded = {key: row[key] and datasets.Image().decode_example(row[key]) for key in ("image", "mask")}
            pair = shrink(read_pair(decoded), int(self.crop * self.largest_zoom))
        except DECODE_ERRORS as error:
            nothing = np.full((self.crop, self.crop), OUTSIDE, np.uint8)
            return self.finished(nothing, nothing, name, f"{name} of the stream cannot be used: {first_line(error)}")
        grey, truth = self.crop_of(pair, rng)
        return self.finished(random_light(grey, rng), truth, name)
