import json
import pickle
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import drawn_car, tiny_config, tiny_network
from PIL import Image, ImageOps
from transformers import SegformerForSemanticSegmentation, SegformerImageProcessorPil, pipeline

import app
from carmask import ModelError, Predictor, open_picture
from carmask.files.pictures import grey_rgb
from carmask.inference.preprocessing import network_size
from carmask.tasks.dots_task import DotsTask


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (64, 96), (77, 33), (5, 2000), (2000, 1)])
def test_a_mask_has_the_picture_s_size_and_only_0_and_255(any_model, size):
    mask = Predictor.from_pretrained(any_model)(drawn_car()[0].resize(size[::-1]))
    assert mask.shape == size
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}


def test_colour_and_grey_of_the_same_luminance_give_the_same_mask(any_model):
    colours = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    predictor = Predictor.from_pretrained(any_model)
    assert np.array_equal(predictor(colours), predictor(colours.convert("L")))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photo_gives_the_mask_of_the_upright_one(tiny_mask_model, tmp_path, orientation):
    upright = drawn_car()[0]
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.transpose(back).save(tmp_path / "turned.png", exif=exif)
    predictor = Predictor.from_pretrained(tiny_mask_model)
    wanted = predictor(upright)
    assert np.array_equal(predictor(Image.open(tmp_path / "turned.png")), wanted)
    assert np.array_equal(predictor(open_picture(tmp_path / "turned.png")), wanted)


@pytest.mark.parametrize("size", [(64, 96), (77, 33), (300, 500)])
def test_the_network_sees_the_grey_picture_as_the_processor_itself_would_resize_it(tiny_mask_model, size):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    predictor = Predictor.from_pretrained(tiny_mask_model)
    height, width = network_size(size, {"max_height": 64, "max_width": 64})
    processor = SegformerImageProcessorPil.from_pretrained(tiny_mask_model)
    wanted = processor(grey_rgb(picture), size={"height": height, "width": width}, return_tensors="np")
    assert np.array_equal(predictor.pixel_values(picture), wanted.pixel_values)


def test_the_picture_given_stays_as_it_was(tiny_mask_model):
    picture = drawn_car()[0]
    before = picture.tobytes()
    Predictor.from_pretrained(tiny_mask_model)(picture)
    assert picture.tobytes() == before


def test_with_the_mirror_image_a_mirrored_picture_gives_the_mirrored_mask(any_model):
    predictor = Predictor.from_pretrained(any_model)
    predictor = replace(predictor, task=replace(predictor.task, mirror=1.0))
    picture, _ = drawn_car((64, 96))
    margin, mirrored = (predictor.margin(one) for one in (picture, ImageOps.mirror(picture)))
    assert np.allclose(margin, mirrored[:, ::-1], atol=1e-4)


def test_the_mirror_image_is_seen_at_its_own_size(tiny_mask_model):
    predictor = Predictor.from_pretrained(tiny_mask_model)
    seen = []

    def network(pixel_values):
        seen.append(tuple(pixel_values.shape[-2:]))
        return predictor.network(pixel_values)

    both = replace(predictor, network=network, task=replace(predictor.task, mirror=0.5, multiple=32))
    picture, _ = drawn_car((128, 256))
    values, mirrored = (predictor.pixel_values(one).shape[-2:] for one in (picture, ImageOps.mirror(picture)))
    assert both.margin(picture).shape == predictor.margin(picture).shape
    assert seen == [tuple(values), (32, 32)]
    assert values == mirrored


def test_mirrored_maps_say_left_where_they_said_right():
    task = DotsTask.from_entries(["left_spot", "right_spot", "hole"], pairs=(("left_spot", "right_spot"),))
    maps = np.random.default_rng(0).random((2, 3, 5, 7))
    mirrored = task.flip_maps(maps)
    assert np.array_equal(mirrored[:, 0], maps[:, 1, :, ::-1])
    assert np.array_equal(mirrored[:, 2], maps[:, 2, :, ::-1])
    assert np.array_equal(task.flip_maps(mirrored), maps)


def test_a_higher_threshold_gives_a_smaller_mask(tiny_mask_model):
    predictor = Predictor.from_pretrained(tiny_mask_model)
    shares = [predictor.with_threshold(value)(drawn_car()[0]).mean() for value in (0.01, 0.3, 0.7, 0.99)]
    assert shares[0] > shares[-1]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((300, 600), (128, 256)), ((600, 300), (256, 128)), ((4, 20000), (32, 256)), ((1, 1), (256, 256))],
)
def test_a_picture_keeps_its_shape_before_the_network_but_no_side_is_too_small(size, expected):
    assert network_size(size, {"max_height": 256, "max_width": 256}) == expected


def test_the_stock_pipeline_opens_our_folder_and_draws_the_same_mask(tiny_mask_model):
    picture = drawn_car()[0].convert("L")
    stock = pipeline("image-segmentation", str(tiny_mask_model), subtask="semantic")
    car = next(np.array(part["mask"]) for part in stock(picture.convert("RGB")) if part["label"] == "car")
    assert (car == Predictor.from_pretrained(tiny_mask_model)(picture)).mean() >= 0.99


def test_a_network_of_many_labels_works_if_one_is_called_car(tmp_path):
    network = tiny_network(labels=[f"thing {k}" for k in range(13)] + ["car"] + [f"more {k}" for k in range(5)])
    network.save_pretrained(tmp_path)
    SegformerImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    mask = Predictor.from_pretrained(tmp_path)(drawn_car()[0])
    assert mask.shape == (64, 96)


TRAP = "from pathlib import Path; Path(__file__).parent.with_name('sprung').touch()"


class Trap:
    """An object that leaves a file beside the model folder when it is unpickled."""

    def __init__(self, folder):
        self.sprung = folder.with_name("sprung")

    def __reduce__(self):
        return self.sprung.touch, ()


def broken(kind, folder):
    weights, config = folder / "model.safetensors", folder / "config.json"
    if kind == "no folder":
        shutil.rmtree(folder)
    elif kind == "no config":
        config.unlink()
    elif kind == "config is no JSON":
        config.write_text("{")
    elif kind == "no weights":
        weights.unlink()
    elif kind == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif kind == "empty weights":
        weights.write_bytes(b"")
    elif kind == "pointer to weights":
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n")
    elif kind == "pickle":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif kind == "pickle with code":
        weights.unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(folder)))
    elif kind == "custom network":
        (folder / "trap.py").write_text(TRAP)
        names = {"AutoConfig": "trap.Config", "AutoModelForSemanticSegmentation": "trap.Network"}
        config.write_text(json.dumps({"model_type": "trap", "auto_map": names}))
    elif kind == "custom processor":
        (folder / "trap.py").write_text(TRAP)
        processor = {"image_processor_type": "Processor", "auto_map": {"AutoImageProcessor": "trap.Processor"}}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    elif kind == "150 labels":
        labels = [f"thing {index}" for index in range(150)]
        SegformerForSemanticSegmentation(tiny_config(labels=labels)).save_pretrained(folder)
    elif kind == "other task":
        config.write_text(
            json.dumps(json.loads(config.read_text()) | {"architectures": ["Bert"], "model_type": "bert"})
        )
    elif kind == "no decode head":
        SegformerForSemanticSegmentation.from_pretrained(folder).segformer.save_pretrained(folder)
        changed = json.loads(config.read_text()) | {"id2label": {"0": "background", "1": "car"}}
        config.write_text(json.dumps(changed))
    elif kind == "not a number":
        network = SegformerForSemanticSegmentation.from_pretrained(folder)
        network.decode_head.classifier.bias.data.fill_(float("nan"))
        network.save_pretrained(folder)
    elif kind == "no car":
        changed = json.loads(config.read_text())
        config.write_text(
            json.dumps(changed | {"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}})
        )
    elif kind == "unknown network":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "nothing-known"}))
    elif kind == "other sizes":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"decoder_hidden_size": 24}))
    elif kind in ("threshold 1", "threshold x"):
        threshold = 1 if kind.endswith("1") else "x"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"threshold": threshold}))
    elif kind == "only car":
        SegformerForSemanticSegmentation(tiny_config(labels=["car"])).save_pretrained(folder)
    elif kind == "odd size":
        SegformerImageProcessorPil(size={"shortest_edge": 64}).save_pretrained(folder)
    elif kind == "no processor":
        (folder / "preprocessor_config.json").unlink()


BROKEN = [
    "no folder", "no config", "config is no JSON", "no weights", "cut weights", "empty weights",
    "pointer to weights", "pickle", "pickle with code", "custom network", "custom processor", "150 labels",
    "other task", "no decode head", "not a number", "no car", "unknown network", "other sizes", "no processor",
    "threshold 1", "threshold x", "only car", "odd size",
]  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_or_hostile_model_folder_ends_the_demo_in_one_sentence_and_none_of_its_code_runs(
    tiny_mask_model, tmp_path, monkeypatch, kind
):
    folder = tmp_path / "model"
    shutil.copytree(tiny_mask_model, folder)
    broken(kind, folder)
    monkeypatch.setenv("CARMASK_MODEL", str(folder))
    began = time.monotonic()
    with pytest.raises(SystemExit) as end:
        app.main()
    assert time.monotonic() - began < 10
    sentence = end.value.code  # a text: Python writes it to stderr and exits with 1
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert not (tmp_path / "sprung").exists()


def test_a_hub_name_without_a_connection_is_refused_in_one_sentence():
    with pytest.raises(ModelError):
        Predictor.from_pretrained("nobody/no-such-model")


@pytest.mark.parametrize("size", [(1448, 1000), (3000, 1448), (1352, 4000)])
def test_a_picture_opened_smaller_is_seen_at_the_size_of_the_full_one(size, tiny_mask_model, dots_model):
    for model in (tiny_mask_model, dots_model):
        predictor = Predictor.from_pretrained(model)
        for factor in (2, 4, 8):
            smaller = Image.new("RGB", (size[1] // factor, size[0] // factor))
            assert predictor.pixel_values(smaller, size).shape[2:] == predictor.window_size(size)
