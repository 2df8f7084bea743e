"""A model of the Hub that knows many things, one of them a car: here made up, with the labels of Cityscapes."""

import json

import numpy as np
import pytest
import torch
from conftest import drawn_car, save_balanced, tiny_config, tiny_network
from PIL import Image
from transformers import SegformerForSemanticSegmentation, SegformerImageProcessorPil

import app
from carmask import ModelError, Predictor
from carmask.commands.export import export
from carmask.commands.predict import main
from carmask.commands.uncertain import main as uncertain
from carmask.errors import DataError
from carmask.inference.predictor import open_to_judge

CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip


@pytest.fixture(scope="module")
def hub_model(tmp_path_factory):
    """A folder as it comes from the Hub: stock weights, and a preprocessor_config.json of the older kind."""
    folder = tmp_path_factory.mktemp("hub") / "segformer-cityscapes"
    torch.manual_seed(0)
    SegformerForSemanticSegmentation(tiny_config(CITYSCAPES)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "do_normalize": True, "do_resize": True, "feature_extractor_type": "SegformerFeatureExtractor",
                "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "reduce_labels": False,
                "resample": 2, "size": 64,
            }
        )
    )  # fmt: skip
    return folder


@pytest.fixture
def picture():
    """A picture of noise, in which the network sees a bit of everything."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))


def winners(folder, picture):
    """The label with the highest map, int (16, 16), by the stock network."""
    pixels = torch.from_numpy(Predictor.from_pretrained(folder).pixel_values(picture))
    with torch.inference_mode():
        return SegformerForSemanticSegmentation.from_pretrained(folder).eval()(pixels).logits[0].argmax(0).numpy()


@pytest.mark.parametrize("labels", [("car",), ("car", "truck"), ("bus", "sky", "pole")])
def test_the_object_is_where_one_of_the_labels_beats_all_others(hub_model, picture, labels):
    predictor = Predictor.from_pretrained(hub_model, object_labels=labels)
    cells = predictor.task.decode(predictor.logits(picture), (16, 16))
    assert np.array_equal(cells == 255, np.isin(winners(hub_model, picture), [CITYSCAPES.index(n) for n in labels]))


def test_the_command_line_takes_several_labels(hub_model, tmp_path):
    drawn_car()[0].save(tmp_path / "photo.png")
    options = ["--model", str(hub_model), "--out", str(tmp_path / "out"), "--object", "car, truck,bus"]
    assert main([str(tmp_path / "photo.png"), *options]) == 0
    wanted = Predictor.from_pretrained(hub_model, object_labels=["car", "truck", "bus"])(drawn_car()[0])
    assert np.array_equal(np.array(Image.open(tmp_path / "out/photo_mask.png")), wanted)


@pytest.mark.parametrize("name", ["car", "person"])
def test_data_of_an_object_is_compared_with_the_label_of_its_name(hub_model, name, tmp_path):
    assert open_to_judge(str(hub_model), name).task.object == (CITYSCAPES.index(name),)
    with pytest.raises(ModelError, match="no label named boat"):
        open_to_judge(str(hub_model), "boat")
    drawn_car()[0].save(tmp_path / "photo.png")
    drafts = ["--model", str(hub_model), "--out", str(tmp_path / "out"), "--object", name]
    assert uncertain([str(tmp_path / "photo.png"), *drafts]) == 0
    wanted = Predictor.from_pretrained(hub_model, object_labels=[name])(drawn_car()[0])
    assert np.array_equal(np.array(Image.open(tmp_path / "out/masks/photo.png")), wanted)


def test_a_wrong_label_is_answered_with_those_there_are(hub_model, tmp_path, capsys):
    assert main([str(tmp_path), "--model", str(hub_model), "--out", str(tmp_path), "--object", "car,lorry"]) == 1
    said = capsys.readouterr().err
    assert "choose with --object" in said
    assert "it has no label named lorry; its labels are road, sidewalk" in said
    assert all(label in said for label in CITYSCAPES)
    assert said.count("\n") == 1


def test_the_demo_takes_its_labels_from_the_environment(hub_model, tiny_mask_model, monkeypatch):
    models = {"many-labels": hub_model, "two-labels": tiny_mask_model}
    assert app.make_opener(models)("many-labels").task.object == (13,)
    monkeypatch.setenv("CARMASK_OBJECT", "car,truck")
    open_model = app.make_opener(models)
    assert open_model("many-labels").task.object == (13, 14)
    assert open_model("two-labels").task.object == (1,)
    for text, name in (("13", "car"), ("Car, 14", "car"), ("vehicle=car,truck", "vehicle"), ("sky", "sky")):
        monkeypatch.setenv("CARMASK_OBJECT", text)
        assert app.make_opener(models)("many-labels").task.name == name
    monkeypatch.setenv("CARMASK_OBJECT", "background")
    with pytest.raises(DataError, match="CARMASK_OBJECT cannot be background"):
        app.make_opener(models)


@pytest.mark.parametrize("labels", [("background", "leaf"), ("Leaf", "Background")])
def test_of_two_labels_the_one_beside_background_is_found_without_a_word(labels, tmp_path):
    model = save_balanced(tiny_network(labels=labels), tmp_path / "model")
    task = Predictor.from_pretrained(model).task
    assert (task.object, task.name.lower()) == ((1 - (labels[0] == "Leaf"),), "leaf")
    assert Predictor.from_pretrained(model, object_labels=["LEAF"]).task.object == task.object
    with pytest.raises(ModelError, match="it has no label named car; its labels are"):
        Predictor.from_pretrained(model, object_labels=["car"])


def test_two_labels_without_a_background_are_listed_and_one_is_chosen(tmp_path):
    model = tmp_path / "model"
    config = tiny_config(("LABEL_0", "LABEL_1"))
    SegformerForSemanticSegmentation(config).save_pretrained(model)
    SegformerImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(model)
    with pytest.raises(ModelError, match="its labels are LABEL_0, LABEL_1; choose with --object"):
        Predictor.from_pretrained(model)
    assert Predictor.from_pretrained(model, object_labels=["1"]).task.object == (1,)


def test_an_exported_model_takes_labels_too(hub_model, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    export(str(hub_model), tmp_path / "onnx", "onnx")
    assert Predictor.from_pretrained(tmp_path / "onnx", object_labels=["car", "truck"]).task.object == (13, 14)


def test_a_model_for_dots_takes_no_object_labels(dots_model):
    with pytest.raises(ModelError, match="it places dots"):
        Predictor.from_pretrained(dots_model, object_labels=["wheel"])
