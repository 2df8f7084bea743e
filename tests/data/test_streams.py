import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import datasets
import pytest
from conftest import write_data
from datasets.table import embed_table_storage
from training_runs import options, run

from carmask import Predictor
from carmask.data.sources import open_data
from carmask.data.streams import endless, share_of
from carmask.evaluation.validation import validate
from carmask.training import loop

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def epochs_of(shards, process, processes, rows=10):
    """The first two epochs of a process, and a function that gives the rows from a number on."""
    table = datasets.Dataset.from_list([{"number": number} for number in range(rows)])
    stream = share_of(table.to_iterable_dataset(num_shards=shards), process, processes).shuffle(7, buffer_size=4)
    lengths = []
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        lengths.append(len(list(stream)))

    def numbers(start, stop):
        return [row["number"] for row in islice(endless(stream, start), stop - start)]

    assert lengths[0] == lengths[1]
    return numbers(0, lengths[0]), numbers(lengths[0], 2 * lengths[0]), numbers


@pytest.mark.parametrize(("shards", "processes"), [(1, 1), (4, 2), (5, 2), (1, 3)])
def test_in_an_epoch_each_row_is_read_once_and_by_one_process_in_a_new_order(shards, processes):
    shares = [epochs_of(shards, process, processes) for process in range(processes)]
    for epoch in (0, 1):
        assert sorted(number for share in shares for number in share[epoch]) == list(range(10))
    assert any(first != second for first, second, _ in shares)


@pytest.mark.parametrize(("shards", "processes"), [(4, 2), (5, 2)])
def test_a_stream_goes_on_from_any_row_as_if_it_had_been_read_up_to_there(shards, processes):
    numbers = epochs_of(shards, 1, processes)[2]
    whole = numbers(0, 30)
    for start in (1, 4, 5, 9, 21):
        assert numbers(start, 30) == whole[start:]


def to_parquet(folder, out):
    """The data set in `folder` as files of parquet, two for train."""
    (out / "data").mkdir(parents=True)
    for name, split in open_data(str(folder)).items():
        parts = 2 if name == "train" else 1
        for part in range(parts):
            file = out / f"data/{name}-{part:05d}-of-{parts:05d}.parquet"
            table = split.shard(parts, part).with_format("arrow").map(embed_table_storage, batched=True)
            table.with_format(None).to_parquet(file)
    return out


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_a_streamed_run_killed_and_resumed_equals_an_uninterrupted_one_with_any_number_of_workers(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, kind
):
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    data = tiny_data if kind == "folder" else to_parquet(tiny_data, tmp_path / "parquet")
    runs = [(tmp_path / "whole", 0), (tmp_path / "parts", 2)]
    whole, parts = ([*options(data, tiny_mask_model, path, workers=count), "--streaming"] for path, count in runs)
    assert run(monkeypatch, *whole) == 0
    keep = loop.keep_best
    with monkeypatch.context() as killed:
        killed.setattr(loop, "keep_best", lambda *given: sys.exit(keep(*given)))
        with pytest.raises(SystemExit):
            run(killed, *parts)
    assert run(monkeypatch, *parts, "--resume") == 0
    for name in ("model.safetensors", "scores.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_validation_of_a_streamed_run_counts_each_picture_once(tmp_path, tiny_mask_model, tiny_data, monkeypatch):
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    streamed = open_data(str(to_parquet(tiny_data, tmp_path / "parquet")), streaming=True)
    predictor = Predictor.from_pretrained(tiny_mask_model)
    for split in ("validation", "test"):
        assert validate(predictor, streamed[split])[0] == validate(predictor, open_data(str(tiny_data))[split])[0]


def test_a_bad_picture_of_one_process_stops_all_with_its_name_in_one_sentence(tmp_path, tiny_mask_model):
    data = tmp_path / "data"
    write_data(data, {"train": 8, "validation": 1})
    (data / "train/images/5.png").write_bytes(b"no picture")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", ROOT / "train_segformer.py"]
    changes = {"validate_every": 1, "batch_size": 2, "seed": 1}
    command += [*options(data, tiny_mask_model, tmp_path / "model", **changes), "--streaming"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, check=False)
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("train_segformer: ")]
    assert "5.png of the stream cannot be used" in sentence
    assert "goes on from checkpoint-" in sentence
    assert "Error" not in sentence


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--paste", "0.5"], "--paste needs all pictures"),
        (["--unlabelled", "x", "--teacher", "anna/y"], "--unlabelled needs all pictures"),
        (["--task", "dots"], "--streaming is for masks"),
    ],
)
def test_what_needs_all_pictures_is_refused_with_a_stream(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys, flags, sentence
):
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model"), "--streaming", *flags) == 1
    assert sentence in capsys.readouterr().err


def test_a_stream_needs_a_validation_split(tmp_path, tiny_mask_model, monkeypatch, capsys):
    write_data(tmp_path / "data", {"train": 4})
    assert run(monkeypatch, *options(tmp_path / "data", tiny_mask_model, tmp_path / "model"), "--streaming") == 1
    assert "no split named validation" in capsys.readouterr().err
