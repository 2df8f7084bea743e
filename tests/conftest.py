"""Tiny networks and drawn pictures, so that every law can be tested in a moment and without a network connection."""

import io
import json
import math
import os

os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # the programs that are tried sum up as the tests do

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessorPil

import carmask.networks.auto  # noqa: F401 (registers the networks)
from carmask.files import progress
from carmask.inference.predictor import Predictor
from carmask.networks.efficientnet import EfficientNetLiteConfig
from carmask.networks.fcn import FcnConfig, FcnForSemanticSegmentation
from carmask.networks.segformer import fold
from carmask.networks.unet import UnetConfig, UnetForSemanticSegmentation

progress.FIRST = math.inf  # what a program says must not depend on how fast it is

NETWORKS = ["segformer", "fcn", "unet"]
LABELS = ("background", "car")


def tiny_config(labels=LABELS, **settings):
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    sizes = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
    return SegformerConfig(**sizes, num_attention_heads=[1, 1, 2, 2], **names, **settings)


def tiny_network(name="segformer", labels=LABELS, seed=0, **settings):
    torch.manual_seed(seed)
    if name == "segformer":
        return fold(SegformerForSemanticSegmentation(tiny_config(labels, **settings))).eval()
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    if name == "unet":
        return UnetForSemanticSegmentation(UnetConfig(depth=3, first_width=8, **names, **settings)).eval()
    config = FcnConfig(backbone_config=EfficientNetLiteConfig(), head_channels=8, **names, **settings)
    return FcnForSemanticSegmentation(config).eval()


def drawn_car(size=(64, 96), seed=0):
    """A grey picture of a dark box on wheels, and its mask."""
    rng = np.random.default_rng(seed)
    height, width = size
    noise = Image.fromarray(rng.integers(150, 256, size, dtype=np.uint8))
    picture, mask = noise, Image.new("L", (width, height))
    left, top = rng.integers(2, width // 4), rng.integers(2, height // 4)
    box = [left, top, left + width // 2, top + height // 2]
    for image, ink in ((picture, int(rng.integers(0, 80))), (mask, 255)):
        ImageDraw.Draw(image).rectangle(box, fill=ink)
    return picture.convert("RGB"), np.array(mask)


def png(seed=0):
    """The content of a PNG file of a drawn car."""
    store = io.BytesIO()
    drawn_car(seed=seed)[0].save(store, "PNG")
    return store.getvalue()


DOT_NAMES = ["left_spot", "right_spot", "hole"]
DOT_INKS = [230, 230, 20]


def drawn_dots(size=(64, 96), seed=0):
    """A grey picture, uint8 (H, W), of a bright spot in each half and a dark one, and where they are; some are not."""
    rng = np.random.default_rng(seed)
    height, width = size
    picture = Image.fromarray(rng.integers(100, 140, size, dtype=np.uint8))
    truth = np.full((3, 2), np.nan)
    for index, (low, high) in enumerate([(0.1, 0.4), (0.6, 0.9), (0.1, 0.9)]):
        if rng.random() < 0.75 or index == seed % 3:
            truth[index] = rng.uniform(low, high), rng.uniform(0.15, 0.4) + 0.4 * (index == 2)
            x, y = truth[index] * [width, height]
            ImageDraw.Draw(picture).ellipse([x - 5, y - 5, x + 4, y + 4], fill=DOT_INKS[index])
    return np.array(picture), truth


def write_dots(folder, counts):
    """A data set as someone else might write it: grey JPEGs, dots, their names, and nothing more."""
    folder.mkdir(parents=True)
    (folder / "dot_names.json").write_text(json.dumps(DOT_NAMES))
    for split, count in counts.items():
        (folder / split).mkdir()
        rows = []
        for index in range(count):
            grey, truth = drawn_dots(seed=len(split) * 100 + index)
            Image.fromarray(grey).save(folder / split / f"{index}.jpg", quality=95)
            dots = [None if np.isnan(x) else [x, y] for x, y in truth.tolist()]
            rows.append(json.dumps({"file_name": f"{index}.jpg", "dots": dots}))
        (folder / split / "metadata.jsonl").write_text("\n".join(rows))
    return folder


def save_balanced(network, folder, side=64):
    """Saves a model folder whose random network calls about half of a drawn picture car."""
    processor = SegformerImageProcessorPil(size={"max_height": side, "max_width": side})
    predictor = Predictor.from_network(network, processor)
    margin = predictor.task.margin(predictor.logits(drawn_car()[0]))
    head = network.decode_head.classifier if network.config.model_type == "segformer" else network.classifier
    head.bias.data[1] -= float(np.median(margin))
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


CAR_DOTS = ("wheel", "left_light", "right_light", "horn")


def save_dots_model(folder):
    """Saves a model for dots: three names that it finds somewhere, one of them twice, and one that it never finds."""
    network = tiny_network(labels=CAR_DOTS, task="dots", peaks={"wheel": 2}, threshold=0.5)
    with torch.no_grad():
        network.decode_head.classifier.bias.copy_(torch.tensor([3.0, 3.0, 3.0, -30.0]))
    network.save_pretrained(folder)
    SegformerImageProcessorPil(size={"max_height": 64, "max_width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_mask_model(tmp_path_factory):
    """A model folder with a tiny random SegFormer."""
    return save_balanced(tiny_network(), tmp_path_factory.mktemp("models") / "tiny-mask")


@pytest.fixture(scope="session", params=NETWORKS)
def any_model(request, tmp_path_factory):
    """A model folder of each network."""
    return save_balanced(tiny_network(request.param), tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """A data set folder of twelve drawn pictures in the project's layout."""
    folder = tmp_path_factory.mktemp("data") / "boxes"
    write_data(folder, {"train": 8, "validation": 2, "test": 2})
    return folder


@pytest.fixture(scope="session")
def dots_model(tmp_path_factory):
    """A model folder with a tiny network for dots."""
    return save_dots_model(tmp_path_factory.mktemp("models") / "tiny-dots")


@pytest.fixture(autouse=True)
def full_precision():
    """Undoes what a training run in this process sets for good: later tests compare it with other processes."""
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.fixture(scope="module")
def demo(tiny_mask_model):
    """The address of a demo."""
    from serving import served_demo  # which few tests need

    with served_demo(tiny_mask_model) as address:
        yield address


@pytest.fixture
def client(demo, tmp_path):
    """A program that talks to the module's demo."""
    from gradio_client import Client  # takes a second, which most tests need not wait

    return Client(demo, verbose=False, download_files=tmp_path / "downloads", httpx_kwargs={"timeout": 300})


@pytest.fixture
def picture_path(tmp_path):
    """A photo file that its EXIF turns by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    drawn_car()[0].save(tmp_path / "holiday.jpg", exif=exif)
    return tmp_path / "holiday.jpg"


@pytest.fixture
def pictures(tmp_path):
    """A folder of three picture files, one of them in a sub-folder."""
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    for index, name in enumerate(["a.png", "b.jpg", "inner/a.png"]):
        drawn_car(seed=index)[0].save(folder / name)
    return folder


def write_data(folder, counts):
    for split, count in counts.items():
        rows = []
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for index in range(count):
            picture, mask = drawn_car(seed=len(split) * 100 + index)
            picture.save(folder / split / f"images/{index}.png")
            Image.fromarray(mask).save(folder / split / f"masks/{index}.png")
            names = f'"file_name": "images/{index}.png", "mask_file_name": "masks/{index}.png"'
            rows.append(f'{{{names}, "source": "boxes", "group": "{split}{index}"}}')
        (folder / split / "metadata.jsonl").write_text("\n".join(rows) + "\n")
