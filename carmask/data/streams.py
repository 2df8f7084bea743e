"""Data sets larger than the disk: their rows pass by one after the other."""

import errno
from collections.abc import Iterator

import datasets
from datasets.distributed import split_dataset_by_node
from huggingface_hub.errors import HTTPError

from carmask.errors import DataError

MOST_SHARDS = 64  # parts of a table that is read as a stream


def is_stream(split: datasets.Dataset | datasets.IterableDataset) -> bool:
    """Whether the rows of a split can only be read one after the other."""
    return isinstance(split, datasets.IterableDataset)


def to_stream(split: datasets.Dataset | datasets.IterableDataset) -> datasets.IterableDataset:
    """A split whose rows pass by one after the other, their pictures not decoded."""
    stream = split if is_stream(split) else split.to_iterable_dataset(num_shards=min(len(split), MOST_SHARDS))
    return stream.decode(False)


def to_table(split: datasets.Dataset | datasets.IterableDataset) -> datasets.Dataset:
    """A split whose rows are at hand, their pictures in memory as the files that they are."""
    if not is_stream(split):
        return split
    files = split.decode(False)
    return datasets.Dataset.from_list(list(files), features=files.features, split=split.split).cast(split.features)


def share_of(stream: datasets.IterableDataset, process: int, processes: int) -> datasets.IterableDataset:
    """The rows of a stream that one of several processes reads; in an epoch no two processes read the same one.

    They are whole files, the same in each epoch, if these can be dealt out evenly; else every so manieth row, while
    each process reads all.
    """
    if stream.num_shards % processes == 0:
        return stream.shard(processes, process)
    return split_dataset_by_node(stream, process, processes)


def endless(stream: datasets.IterableDataset, start: int) -> Iterator[dict]:
    """The rows of a stream from number `start` on, epoch after epoch, each in another order.

    The rows before are read as well; but once the length of the first epoch is known, whole epochs are left out.

    Raises:
        DataError: there are none.
        OSError: the stream breaks off.
    """
    epoch = 0
    while True:
        stream.set_epoch(epoch)
        length = 0
        try:
            for row in stream:
                length += 1
                if start:
                    start -= 1
                else:
                    yield row
        except (OSError, ValueError, HTTPError, datasets.exceptions.DatasetsError) as error:
            raise OSError(errno.EIO, f"it breaks off: {error}", "The stream") from error
        if not length:
            raise DataError("There are fewer training pictures than processes; use fewer processes.")
        skipped, start = divmod(start, length)
        epoch += 1 + skipped
