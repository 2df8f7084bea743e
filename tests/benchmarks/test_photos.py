import subprocess
import sys

import pytest
from PIL import Image
from serving import ROOT
from transformers import pipeline

from benchmarks import photos
from carmask import Predictor


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "DRAWN", (64, 96))
    photos.save_photo(tmp_path / "photo.jpg", 0.1)
    return tmp_path / "photo.jpg"


def test_a_photo_has_the_size_that_is_asked_for_and_no_part_of_a_block_over(photo):
    size = Image.open(photo).size
    assert size[0] * size[1] == pytest.approx(1e5, rel=0.05)
    assert all(side % 8 == 0 for side in size)


def test_the_parts_of_our_way_add_up_to_the_whole(photo, tiny_mask_model):
    seconds = photos.ours(Predictor.from_pretrained(tiny_mask_model), photo)
    assert seconds.pop("total") == pytest.approx(sum(seconds.values()))
    assert all(value > 0 for value in seconds.values())


def test_a_row_has_a_cell_for_each_column(photo, tiny_mask_model):
    row = photos.measure(
        Predictor.from_pretrained(tiny_mask_model), pipeline("image-segmentation", str(tiny_mask_model)), photo, 1
    )
    assert len(row.split(" | ")) == len(photos.COLUMNS)


def test_peak_memory_is_what_a_call_holds_at_once():
    program = (
        "from benchmarks.photos import peak_megabytes;"
        "print(peak_megabytes(lambda: len(b'a' * 100_000_000 + b'b' * 50_000_000)))"
    )  # a process of its own holds no memory that the call could use again
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    peak = float(done.stdout)
    assert peak != peak or 250 < peak < 400
