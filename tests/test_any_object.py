"""The law of the object: a set of leaves gives a model of leaves, and nobody who reads about it meets a car."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image
from training_runs import options, run

import app
from carmask import Predictor
from carmask.commands import predict
from carmask.data.card import object_name_of
from carmask.demo.batch_tab import BatchAnswer, BatchRow, show_batch
from carmask.demo.collect_buttons import describe_collection
from carmask.demo.collection import open_collection
from carmask.demo.mask_answer import describe_mask
from carmask.errors import DataError
from data_scripts import doctor, from_folders, merge, split

ROOT = Path(__file__).parents[1]
CAR = re.compile(r"(?<![A-Za-z])cars?(?![A-Za-z])", re.IGNORECASE)
DEFAULTS = {  # what may say car: the default, the embedded models, and measurements on cars
    "carmask/files/words.py", "carmask/data/object_choice.py", "carmask/inference/loading.py",
    # what --help and docstrings say of that default
    "carmask/tasks/auto.py", "carmask/commands/predict.py", "carmask/training/config.py", "carmask/data/card.py",
    "carmask/commands/compare.py", "carmask/commands/export.py", "carmask/training/setup.py",  # name an embedded model
    "carmask/doctor/data_set_checks.py", "carmask/evaluation/validation.py",  # measured on cars
    "carmask/hub/scores_file.py",  # the old key of a score
    "carmask/data/importing.py", "carmask/data/rows.py",
}  # fmt: skip


def draw_pictures(root, count=12):
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for index in range(count):
        picture, mask = drawn_car(seed=index)
        picture.save(root / f"images/{index:02}.png")
        Image.fromarray(mask).save(root / f"masks/{index:02}.png")


def import_set(root, out, *more):
    return from_folders.main([str(root / "images"), str(root / "masks"), str(root / out), *more])


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    """A folder with a data set of leaves and a model that has seen them twice, trained from one of cars."""
    root = tmp_path_factory.mktemp("leaves")
    draw_pictures(root)
    assert import_set(root, "set", "--object", "leaf") == 0
    start = save_balanced(tiny_network("fcn"), root / "start")
    with pytest.MonkeyPatch.context() as patch:
        changes = {"steps": 2, "validate_every": 1, "network": "fcn"}
        assert run(patch, *options(root / "set", start, root / "leaf-model", **changes)) == 0
    return root


def words_of_page(page):
    """Everything that a page's components are built with."""
    return json.dumps([block.get_config() for block in page.blocks.values() if block.get_block_name() != "state"])


def without_paths(text, root):
    return text.replace(str(root), "").replace("carmask", "")


@pytest.mark.slow
def test_a_set_of_leaves_gives_a_model_of_leaves(leaves, capsys):
    config = json.loads((leaves / "leaf-model/config.json").read_text())
    assert config["id2label"] == {"0": "background", "1": "leaf"}
    assert config["label2id"] == {"background": 0, "leaf": 1}
    assert Predictor.from_pretrained(leaves / "leaf-model").task.name == "leaf"
    assert object_name_of(leaves / "set") == "leaf"
    out = ["--out", str(leaves / "masks"), "--model", str(leaves / "leaf-model")]
    assert predict.main([str(leaves / "images/00.png"), *out]) == 0
    assert doctor.main([str(leaves / "set"), "--out", str(leaves / "findings")]) in (0, 1)
    said = "".join(capsys.readouterr())
    texts = [said, *((leaves / name).read_text() for name in ("set/README.md", "leaf-model/README.md"))]
    texts += [(leaves / "leaf-model/scores.json").read_text(), (leaves / "findings/findings.html").read_text()]
    for text in texts:
        assert not CAR.findall(without_paths(text, leaves))
    assert "leaf" in texts[1]
    assert "Gives a picture of a leaf back" in texts[2]


@pytest.mark.slow
def test_the_page_of_a_model_of_leaves_speaks_of_leaves(leaves, tmp_path):
    open_model = app.make_opener({"leaf-model": leaves / "leaf-model"})
    name = open_model("leaf-model").task.labels[-1]
    page = app.build_page(["leaf-model"], open_model, object_name=name)
    words = words_of_page(page).replace(str(ROOT), "").replace("examples/", "")
    assert not CAR.findall(re.sub(r"carmask|[\w/-]*car[\w-]*\.(jpg|png)", "", words))
    assert page.title == "Leaf mask"
    assert "Give it a photo of a leaf" in words
    assert "Add leaf" in words
    mask = Predictor.from_pretrained(leaves / "leaf-model")(Image.open(leaves / "images/00.png"))
    assert describe_mask(mask * 0, 0.1, 0.1, "m", name).startswith("No leaf found.")
    assert describe_mask(mask * 0 + 255, 0.1, 0.1, "m", name).startswith("Leaf: 100.0% of the picture")
    table = show_batch(BatchAnswer([BatchRow("a.png", 0.5, 0.1, 1.0)], [], name))[1]
    assert table.headers[1] == "Leaf"
    assert describe_collection(1, 1, name).endswith("with a leaf")
    folder = open_collection(tmp_path / "collected", name)
    assert not CAR.findall((folder / "README.md").read_text())
    with pytest.raises(DataError, match="is of leaf, not car: name a new folder"):
        open_collection(folder, "car")


def test_sets_of_the_same_object_are_merged_and_split_and_those_of_two_are_not(tmp_path, capsys):
    draw_pictures(tmp_path)
    for name, text in (("a", "leaf"), ("b", "leaf"), ("c", "apple tree=255")):
        assert import_set(tmp_path, name, "--object", text, "--source", name) == 0
    a, b, c = (str(tmp_path / name) for name in "abc")
    assert merge.main([str(tmp_path / "ab"), a, b]) == 0
    assert split.main([str(tmp_path / "ab"), str(tmp_path / "parts")]) == 0
    assert object_name_of(tmp_path / "parts") == "leaf"
    assert merge.main([str(tmp_path / "ac"), a, c]) == 1
    said = capsys.readouterr().err
    assert "of different objects, leaf in" in said
    assert 'write the same line "object: leaf"' in said
    readme = tmp_path / "c/README.md"
    assert "with an apple tree" in readme.read_text()
    readme.write_text(readme.read_text().replace("object: apple tree", "object: leaf"))  # the remedy
    assert merge.main([str(tmp_path / "ac"), a, c]) == 0


@pytest.mark.parametrize(
    "text", ["", "# A set\n", "---\nobject: [\n---\n", "---\nobject: 7\n---\n", "---\n- a\n---\n"]
)
def test_a_readme_that_names_no_object_names_none(text, tmp_path):
    (tmp_path / "README.md").write_text(text)
    assert object_name_of(tmp_path) is None
    (tmp_path / "README.md").write_bytes(b"\xff\xfe---\nobject: leaf")
    assert object_name_of(tmp_path) is None
    assert object_name_of(tmp_path / "nothing") is None
    assert object_name_of("nobody/nothing") is None


@pytest.mark.slow
@pytest.mark.parametrize(("option", "label"), [("apple", "apple"), ("255", "leaf"), ("apple=255", "apple")])
def test_the_training_program_names_the_object_too(option, label, leaves, tmp_path, monkeypatch):
    changes = {"steps": 1, "network": "fcn", "object": option}
    assert run(monkeypatch, *options(leaves / "set", leaves / "start", tmp_path / "model", **changes)) == 0
    assert json.loads((tmp_path / "model/config.json").read_text())["id2label"]["1"] == label


@pytest.mark.slow
def test_a_teacher_of_many_labels_must_know_the_object(leaves, tmp_path, monkeypatch, capsys):
    teacher = save_balanced(tiny_network("fcn", labels=("road", "car", "sky")), tmp_path / "teacher")
    changes = {"steps": 1, "network": "fcn", "teacher": teacher}
    assert run(monkeypatch, *options(leaves / "set", leaves / "start", tmp_path / "model", **changes)) == 1
    assert "it has no label named leaf; its labels are road, car, sky" in capsys.readouterr().err
    changes["object"] = "car"
    assert run(monkeypatch, *options(leaves / "set", leaves / "start", tmp_path / "model", **changes)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("network", ["fcn", "segformer"])
def test_the_lines_in_a_card_run_as_they_stand(network, leaves, monkeypatch):
    name = "leaf-model" if network == "fcn" else "leaf segformer"
    if network == "segformer":
        start = save_balanced(tiny_network(), leaves / "start-segformer")
        assert run(monkeypatch, *options(leaves / "set", start, leaves / name, steps=1)) == 0
    card = (leaves / name / "README.md").read_text()
    assert f"library_name: {'carmask' if network == 'fcn' else 'transformers'}" in card
    assert ('.convert("L").convert("RGB")' in card) == (network == "segformer")
    (leaves / "photo.jpg").write_bytes((leaves / "images/00.png").read_bytes())
    python = "\n".join(re.findall(r"```python\n(.*?)```", card, re.DOTALL))
    shell = re.search(r"^carmask (predict .*)$", card, re.MULTILINE)[1]
    environment = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    if network == "segformer":
        python += "\nimport numpy as np\nleaf = next(one['mask'] for one in masks if one['label'] == 'leaf')\n"
        python += "assert (np.array(leaf) == mask).mean() >= 0.99\n"
    for command in (["-c", python], ["-m", "carmask", *shlex.split(shell)]):
        subprocess.run([sys.executable, *command], cwd=leaves, env=environment, check=True)
    assert (leaves / "answers/photo_mask.png").is_file()


def test_the_line_in_a_data_set_s_readme_makes_labels_that_a_stock_example_learns_from(tmp_path):
    import datasets
    import numpy as np

    draw_pictures(tmp_path)
    assert import_set(tmp_path, "set", "--object", "leaf") == 0
    readme = (tmp_path / "set/README.md").read_text()
    line = re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    found = {"dataset": datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "set"))["train"]}
    exec(line, found)
    for row in found["dataset"]:
        mask, label = np.array(row["mask"]), np.array(row["label"])
        assert np.array_equal(label, mask // 255)
    assert "255" in readme


def test_no_string_of_the_code_speaks_of_cars():
    files = [*(ROOT / "carmask").rglob("*.py"), ROOT / "app.py", ROOT / "train_segformer.py"]
    found = []
    for path in files:
        if path.relative_to(ROOT).as_posix() not in DEFAULTS:
            constants = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
            texts = [one.value for one in constants if isinstance(one.value, str)]
            found += [(path.name, text) for text in texts if CAR.search(text)]
    pages = (ROOT / "carmask/demo/assets").glob("*.html")
    found += [(page.name, page.read_text()) for page in pages if CAR.search(page.read_text())]
    assert not found


def test_labels_are_written_out_on_the_page():
    page = app.build_page(["m"], lambda name: None, object_name="<b>${x}{{y}}`")
    templates = [block.html_template for block in page.blocks.values() if isinstance(block, gr.HTML)]
    assert not any("<b>$" in template or "${x}" in template or "{{y}}" in template for template in templates)
