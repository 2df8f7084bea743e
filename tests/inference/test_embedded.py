"""The laws on the models that people meet first, on drawn pictures they were not trained on."""

import numpy as np
import onnx
import pytest
from PIL import Image
from transformers import SegformerForSemanticSegmentation, pipeline

from carmask import Predictor
from carmask.evaluation.mask_metrics import mask_scores
from carmask.inference.model_folder import MODELS, weights_fingerprint
from carmask.inference.runtimes import WEIGHTS
from data_scripts.drawn_cars.scene import draw_picture

pytestmark = pytest.mark.slow

UNSEEN_SEED = 77
MASK_MODELS = ["car-mask-b0", "car-mask-fcn"]
SEGFORMER = MODELS / "car-mask-b0"
DOTS = MODELS / "car-dots-fcn"


@pytest.fixture(scope="module", params=MASK_MODELS)
def predictor(request):
    return Predictor.from_pretrained(MODELS / request.param)


@pytest.fixture(scope="module")
def drawn():
    return [draw_picture(UNSEEN_SEED, index, (256, 384)) for index in range(24)]


@pytest.mark.parametrize("name", [*MASK_MODELS, DOTS.name])
def test_an_embedded_model_is_small_and_stored_as_float16(name):
    weights = MODELS / name / "model.safetensors"
    assert weights.stat().st_size < 8_000_000
    header = weights.read_bytes()[:100_000]
    assert b'"F16"' in header
    assert b'"F32"' not in header


@pytest.mark.parametrize("name", [*MASK_MODELS, DOTS.name])
def test_its_exported_network_is_small_and_of_its_weights(name):
    file = MODELS / name / "model.onnx"
    assert file.stat().st_size < 10_000_000
    (found,) = [one.value for one in onnx.load(file).metadata_props if one.key == WEIGHTS]
    assert found == weights_fingerprint(MODELS / name)


@pytest.mark.parametrize("name", MASK_MODELS)
def test_onnx_runtime_draws_the_masks_of_torch_on_twenty_pictures(name, drawn):
    by_onnx, by_torch = (Predictor.from_pretrained(MODELS / name, runtime=runtime) for runtime in ("onnx", "torch"))
    equal = [(by_onnx(one.picture) == by_torch(one.picture)).mean() for one in drawn[:20]]
    assert np.mean(equal) >= 0.9999


def test_it_finds_drawn_cars(predictor, drawn):
    scores = mask_scores([predictor(one.picture) for one in drawn], [np.array(one.mask) for one in drawn])
    assert scores["iou"] > 0.75


@pytest.mark.parametrize("height", [448, 404, 396, 341])
def test_the_mask_is_as_good_at_sizes_that_no_stride_divides(height):
    predictor = Predictor.from_pretrained(MODELS / "car-mask-fcn")
    one = draw_picture(7, 18, (512, 768))  # its car ends at row 411
    picture, mask = one.picture.crop((0, 452 - height, 768, 452)), one.mask[452 - height : 452]
    assert mask_scores([predictor(picture)], [mask])["iou"] > 0.95


def test_an_empty_picture_has_no_car(predictor):
    for grey in (0, 128, 255):
        assert not predictor(Image.new("L", (300, 200), grey)).any()


def test_the_stock_class_opens_the_segformer_whole():
    _, report = SegformerForSemanticSegmentation.from_pretrained(SEGFORMER, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_the_stock_pipeline_draws_the_same_mask_on_grey_pictures(drawn):
    predictor = Predictor.from_pretrained(SEGFORMER)
    stock = pipeline("image-segmentation", str(SEGFORMER), subtask="semantic")
    for one in drawn[:4]:
        grey = one.picture.convert("L")
        masks = {part["label"]: np.array(part["mask"]) for part in stock(grey)}
        car = masks.get("car", np.zeros(grey.size[::-1], dtype=np.uint8))
        assert (car == predictor(grey)).mean() >= 0.99


def test_an_empty_picture_has_no_dots():
    predictor = Predictor.from_pretrained(DOTS)
    for grey in (0, 128, 255):
        assert all(dot.x is None for dot in predictor(Image.new("L", (300, 200), grey)))


def test_the_dots_card_tells_what_it_was_trained_on_and_how_good_it_is():
    card = (DOTS / "README.md").read_text(encoding="utf-8")
    for word in ("car_parts", "train_segformer.py --task dots", "Scores on test", "swapped", "## Limits"):
        assert word in card


@pytest.mark.parametrize("name", MASK_MODELS)
def test_the_model_card_tells_what_it_was_trained_on_and_how_good_it_is(name):
    card = (MODELS / name / "README.md").read_text(encoding="utf-8")
    for word in ("camvid", "intelecai", "train_segformer.py", "Scores on test", "license: apache-2.0", "## Limits"):
        assert word in card
    text = (MODELS.parent / f"docs/cards/{name}.md").read_text(encoding="utf-8")
    assert text in card
    assert "| calibration error |" in card.partition(text)[2]
