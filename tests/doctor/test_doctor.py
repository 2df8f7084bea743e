"""The doctor finds one planted fault of each kind, and nothing in data that is as it should be."""

import io
import json
import shutil
import sys

import numpy as np
import pytest
from conftest import drawn_car, write_data, write_dots
from datasets import load_dataset
from made_up import huge_png
from PIL import Image, ImageChops
from training_runs import options
from training_runs import run as run_training

from carmask.data.splits.look_alikes import FARTHEST, perceptual_hash
from carmask.doctor.findings import KINDS
from data_scripts import doctor, draw_cars
from data_scripts.drawn_cars.scene import draw_picture

TABLE, TEST_TABLE = "train/metadata.jsonl", "test/metadata.jsonl"


@pytest.fixture
def data(tiny_data, tmp_path):
    """A sound data set of twelve drawn pictures, to plant a fault in."""
    return shutil.copytree(tiny_data, tmp_path / "data")


def run(data, *options):
    return doctor.main([str(data), *map(str, options)])


def found_in(data):
    """The kinds of finding, and the files that they name."""
    out = data.parent / "findings"
    run(data, "--out", out)
    table = json.loads((out / "findings.json").read_text())
    return {one["kind"] for one in table}, {file for one in table for file in one["files"]}


def change_mask(data, change, name="1"):
    path = data / f"train/masks/{name}.png"
    Image.fromarray(change(np.array(Image.open(path)))).save(path)


def change_row(data, change, table=TABLE):
    lines = [json.loads(line) for line in (data / table).read_text().splitlines()]
    change(lines[1])
    (data / table).write_text("\n".join(map(json.dumps, lines)))


def test_sound_data_has_no_finding_and_exit_code_0(data, capsys):
    assert run(data) == 0
    assert "0 faults, 0 worth a look" in capsys.readouterr().out


def test_drawn_data_has_no_fault_and_no_look_alikes(tmp_path):
    draw_cars.main([str(tmp_path / "drawn"), "--count", "24", "--size", "96x64"])
    assert run(tmp_path / "drawn") == 0
    assert found_in(tmp_path / "drawn")[0] <= {"empty mask"}


def jpeg_mask(data):
    Image.open(data / "train/masks/1.png").save(data / "train/masks/1.jpg", quality=60)
    (data / "train/masks/1.png").unlink()
    change_row(data, lambda row: row.update(mask_file_name="masks/1.jpg"))


def turned(data):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(data / "train/images/1.png").save(data / "train/images/1.png", exif=exif)


def copied(data, split):
    """The picture 1 of train once more in `split`, darker and as a JPEG."""
    picture = Image.open(data / "train/images/1.png")
    picture.point(lambda value: value * 3 // 4).save(data / split / "images/copy.jpg", quality=70)
    shutil.copy(data / "train/masks/1.png", data / split / "masks/copy.png")
    row = {"file_name": "images/copy.jpg", "mask_file_name": "masks/copy.png", "source": "boxes", "group": "copy"}
    with (data / split / "metadata.jsonl").open("a") as table:
        table.write("\n" + json.dumps(row) + "\n")


def tiny(data):
    for kind in ("images", "masks"):
        Image.open(data / f"train/{kind}/1.png").resize((50, 40), 0).save(data / f"train/{kind}/1.png")


def without_car(data):
    for index in range(2):
        change_mask_at = data / f"test/masks/{index}.png"
        Image.new("L", (96, 64)).save(change_mask_at)


def inverted(mask):
    return 255 - mask


PLANTED = {
    "missing file": lambda data: (data / "train/masks/1.png").unlink(),
    "file outside": lambda data: (data / "train/masks/1.png").rename(data.parent / "secret.png")
                                  and (data / "train/masks/1.png").symlink_to(data.parent / "secret.png"),
    "unlisted file": lambda data: drawn_car(seed=77)[0].save(data / "train/images/1-more.png"),
    "undecodable file": lambda data: (data / "train/masks/1.png").write_bytes(b"no picture"),
    "size mismatch": lambda data: change_mask(data, lambda mask: mask[:-1]),
    "EXIF-turned picture": turned,
    "JPEG mask": jpeg_mask,
    "grey mask": lambda data: change_mask(data, lambda mask: np.where(mask == 255, mask, np.arange(96) % 200)
                                          .astype(np.uint8)),
    "label numbers": lambda data: change_mask(data, lambda mask: mask // 255),
    "255 as not judged": lambda data: change_mask(data, lambda mask: np.where(mask, np.uint8(1), np.uint8(255))),
    "inverted mask": lambda data: change_mask(data, inverted),
    "all object": lambda data: change_mask(data, lambda mask: np.full_like(mask, 255)),
    "nothing judged": lambda data: change_mask(data, lambda mask: np.full_like(mask, 128)),
    "split without object": without_car,
    "tiny picture": tiny,
    "duplicate across splits": lambda data: copied(data, "test"),
    "group in two splits": lambda data: change_row(data, lambda row: row.update(group="train1"), TEST_TABLE),
    "duplicate": lambda data: copied(data, "train"),
    "empty mask": lambda data: change_mask(data, np.zeros_like),
    "dot outside": lambda data: change_row(data, lambda row: row.update(dots=[[0.5, 1.2], None, None])),
    "wrong number of dots": lambda data: change_row(data, lambda row: row.update(dots=[[0.5, 0.5]])),
}  # fmt: skip


def test_there_is_a_planted_fault_of_each_kind():
    assert PLANTED.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found_and_nothing_else(data, kind, capsys):
    (data / "dot_names.json").write_text('["a", "b", "c"]')
    PLANTED[kind](data)
    kinds, files = found_in(data)
    capsys.readouterr()
    assert kinds == {kind} | ({"empty mask"} if kind == "split without object" else set())
    assert any("1" in file or "copy" in file or "test" in file for file in files)
    assert run(data) == int(KINDS[kind].fault)
    assert KINDS[kind].remedy in capsys.readouterr().out


def test_an_undecodable_picture_is_named(data):
    (data / "train/images/1.png").write_bytes(b"no picture")
    assert found_in(data) == ({"undecodable file"}, {"train/images/1.png"})


def framed(mask, share=0.55):
    """Car all around, and none in a box of that share of the picture: what an inverted mask of a large car is like."""
    mask[:] = 255
    top, left = (int(side * (1 - share**0.5) / 2) for side in mask.shape)
    mask[top:-top, left:-left] = 0
    return mask


def test_a_mask_is_inverted_if_its_inside_out_is_more_like_the_others_of_its_source(data):
    change_mask(data, framed)
    assert (framed(np.zeros((64, 96), np.uint8)) == 255).mean() < 0.5
    assert found_in(data) == ({"inverted mask"}, {"train/images/1.png", "train/masks/1.png"})


def test_a_car_that_fills_its_picture_and_a_source_of_few_masks_are_not_taken_for_inverted(data):
    detail = np.full((64, 96), 255, np.uint8)
    detail[:40, :30] = 0
    detail[-3:] = detail[:3] = 0
    change_mask(data, lambda mask: detail)
    assert found_in(data)[0] == set()
    change_mask(data, framed, name="2")
    for line in range(3):
        table = (data / TABLE).read_text().replace('"source": "boxes"', f'"source": "few{line}"', 3)
        (data / TABLE).write_text(table)
    assert found_in(data)[0] == set()


def even(data, split, name, grey):
    Image.new("RGB", (96, 64), (grey, grey, grey)).save(data / f"{split}/images/{name}.png")


def test_pictures_of_even_grey_look_alike_only_if_they_are_the_same(data):
    even(data, "train", 1, 90)
    even(data, "train", 2, 91)
    even(data, "test", 1, 92)
    assert found_in(data)[0] == set()
    even(data, "test", 1, 90)
    assert found_in(data) == ({"duplicate across splits"}, {"train/images/1.png", "test/images/1.png"})


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_picture_or_mask_of_200_megapixels_is_found_and_the_page_written(data, kind):
    huge_png(data / f"train/{kind}/1.png")
    assert found_in(data) == ({"undecodable file"}, {f"train/{kind}/1.png"})


def test_dots_as_an_object_of_names_are_sound(tmp_path):
    data = write_dots(tmp_path / "dots", {"train": 6, "validation": 2})
    for split in ("train", "validation"):
        lines = [json.loads(line) for line in (data / split / "metadata.jsonl").read_text().splitlines()]
        named = [line | {"dots": dict(zip("abc", line["dots"], strict=True))} for line in lines]
        (data / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, named)))
    assert run(data) == 0


@pytest.fixture
def short_run(tiny_mask_model, data, tmp_path, monkeypatch):
    """Trains three steps on the data set, with more options."""
    arguments = options(data, tiny_mask_model, tmp_path / "model", steps=3)
    return lambda *more: run_training(monkeypatch, *arguments, *more)


def test_training_names_the_faults_before_the_first_step_and_goes_on(data, short_run, capsys):
    change_mask(data, inverted)
    assert short_run() == 0
    fault, rest = capsys.readouterr().out.split("\n", 1)
    assert (
        fault == f"Warning: inverted mask, 1 found, the first in train/images/1.png. {KINDS['inverted mask'].remedy}"
    )
    command, steps = rest.split("\n", 1)
    assert f"{sys.executable} data_scripts/doctor.py {data} --out findings".endswith(command.split(": ")[1])
    assert steps.startswith("step 3: ")


@pytest.mark.parametrize("remedy", [(), ("--invert",)])
def test_training_says_if_the_object_is_black_in_a_data_set_of_another_layout(
    data, remedy, tiny_mask_model, tmp_path, monkeypatch, capsys
):
    saved = load_dataset("imagefolder", data_dir=str(data)).select_columns(["image", "mask"])
    saved.map(lambda row: {"mask": ImageChops.invert(row["mask"])}).save_to_disk(tmp_path / "set")
    arguments = options(tmp_path / "set", tiny_mask_model, tmp_path / "model", steps=1)
    assert run_training(monkeypatch, *arguments, *remedy) == 0
    assert ("--invert exchanges object and background" in capsys.readouterr().out) is not bool(remedy)


def test_a_plan_names_the_faults_too_and_a_resumed_run_does_not_again(data, short_run, capsys, monkeypatch):
    change_mask(data, inverted)
    assert short_run("--plan") == 0
    assert "Warning: inverted mask" in capsys.readouterr().out
    monkeypatch.setattr("carmask.training.run.finish", lambda *given: None)
    assert short_run() == 0
    assert "Warning: " in capsys.readouterr().out
    assert short_run("--resume") == 0
    assert "Warning: " not in capsys.readouterr().out


def test_a_damaged_list_of_dot_names_does_not_stop_a_run_for_masks(data, short_run, capsys):
    (data / "dot_names.json").write_text("[")
    assert short_run("--plan") == 0
    assert "dot_names.json is no list of names" in capsys.readouterr().out


def test_sound_data_says_nothing_before_training(short_run, capsys):
    assert short_run() == 0
    assert capsys.readouterr().out.startswith("step 3: ")


def test_a_photo_resized_compressed_or_darkened_looks_alike_and_another_does_not():
    photo, other = (draw_picture(7, index, (128, 192)).picture for index in (0, 1))
    store = io.BytesIO()
    photo.save(store, "JPEG", quality=40)
    changed = [photo.resize((100, 66)), Image.open(store), photo.point(lambda value: value // 2)]
    distances = [np.count_nonzero(perceptual_hash(photo) != perceptual_hash(one)) for one in [*changed, other]]
    assert max(distances[:3]) <= FARTHEST < distances[3]


def test_a_close_up_whose_surroundings_are_not_judged_is_not_taken_for_inverted(data):
    def close_up(mask):
        mask[:], mask[:50, 5:90] = 128, 255
        mask[50, 50] = 0
        return mask

    change_mask(data, close_up)
    assert found_in(data)[0] == set()


def test_pictures_of_one_group_and_split_may_look_alike(data):
    copied(data, "train")
    lines = (data / TABLE).read_text().replace('"group": "copy"', '"group": "train1"')
    (data / TABLE).write_text(lines)
    assert found_in(data)[0] == set()


def test_dots_need_no_masks_and_their_grey_jpegs_are_sound(tmp_path):
    write_dots(tmp_path / "dots", {"train": 6, "validation": 2})
    assert run(tmp_path / "dots") == 0


def test_the_page_shows_the_picture_of_a_finding_and_needs_no_other_file(data):
    change_mask(data, inverted)
    run(data, "--out", data.parent / "findings")
    page = (data.parent / "findings/findings.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1
    assert "train/images/1.png" in page
    assert 'src="/' not in page


def test_text_in_file_names_and_groups_stays_text_on_the_page(data):
    change_row(data, lambda row: row.update(group="<script>"))
    change_row(data, lambda row: row.update(group="<script>"), TEST_TABLE)
    run(data, "--out", data.parent / "findings")
    assert "<script>" not in (data.parent / "findings/findings.html").read_text()


def test_long_lists_are_cut_in_the_text_but_not_in_the_table(tmp_path, capsys):
    write_data(tmp_path / "data", {"train": 14})
    for path in (tmp_path / "data/train/masks").iterdir():
        path.unlink()
    assert run(tmp_path / "data", "--out", tmp_path / "findings") == 1
    assert "… and 4 more; --out lists them all" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "findings/findings.json").read_text())) == 14


def test_a_folder_without_a_data_set_is_refused_in_one_sentence(tmp_path, capsys):
    assert run(tmp_path) == 1
    assert "has no train/metadata.jsonl" in capsys.readouterr().err
