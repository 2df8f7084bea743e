"""The API for many pictures, and the programs of docs/api.md, at the running demo."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import drawn_car, png
from demo.test_batch_tab import read, zipped
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from serving import ROOT

from carmask import Predictor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor(tiny_mask_model):
    return Predictor.from_pretrained(tiny_mask_model)


def test_the_api_gives_the_predictors_masks_for_files_and_for_a_zip(client, tmp_path, predictor):
    entries = [("b/a.png", png(1)), ("c.png", png(2))]
    zipped(tmp_path, *entries)
    for name, content in entries:
        (tmp_path / Path(name).name).write_bytes(content)
    loose = [handle_file(tmp_path / name) for name in ("a.png", "c.png")]
    for given, names in ((loose, ["a", "c"]), ([handle_file(tmp_path / "given.zip")], ["b/a", "c"])):
        path, line = client.predict(given, "tiny-mask", api_name="/batch")
        masks, _ = read(path)
        assert list(masks) == [f"{name}_mask.png" for name in names]
        for seed, mask in enumerate(masks.values(), start=1):
            assert np.array_equal(mask, predictor(drawn_car(seed=seed)[0]))
        assert line.endswith("tiny-mask")
    with pytest.raises(AppError, match="There is no such model"):
        client.predict(loose, "none", api_name="/batch")


def test_the_parameters_of_the_api_have_types_and_names(client):
    files, model = client.view_api(return_format="dict")["named_endpoints"]["/batch"]["parameters"]
    assert (files["parameter_name"], files["python_type"]["type"]) == ("files", "list[filepath]")
    assert (model["parameter_name"], model["parameter_default"]) == ("model", "tiny-mask")


def test_a_single_picture_is_answered_while_a_batch_runs(client, picture_path, tmp_path):
    drawn_car((480, 640))[0].save(tmp_path / "large.png")
    content = (tmp_path / "large.png").read_bytes()
    zipped(tmp_path, *((f"{number}.png", content) for number in range(60)))
    client.predict(handle_file(picture_path), api_name="/mask")
    job = client.submit([handle_file(tmp_path / "given.zip")], api_name="/batch")
    while not job.outputs() and not job.done():
        time.sleep(0.01)
    client.predict(handle_file(picture_path), api_name="/mask")
    assert not job.done()
    assert "Masks drawn: 60" in job.result()[1]


def snippets(language):
    """The pieces of docs/api.md in a language, in order."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return [part.split("```")[0] for part in text.split(f"```{language}\n")[1:]]


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_documented_lines_give_the_masks(language, demo, tmp_path, predictor):
    program = {"python": [sys.executable, "-c"], "sh": ["sh", "-c"]}[language]
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("There is no curl on this machine; install it to try the lines for it.")
    for seed, name in enumerate(("photo.jpg", "other.jpg"), start=1):
        drawn_car(seed=seed)[0].save(tmp_path / name)
    lines = snippets(language)[0].replace("http://127.0.0.1:7860", demo)
    subprocess.run([*program, lines], cwd=tmp_path, check=True, timeout=100)
    masks, _ = read(tmp_path / "masks.zip")
    for name, mask in masks.items():
        assert np.array_equal(mask, predictor(Image.open(tmp_path / name.replace("_mask.png", ".jpg"))))
    assert list(masks) == ["photo_mask.png", "other_mask.png"]
    assert np.array_equal(Image.open(tmp_path / "photo_mask.png"), masks["photo_mask.png"])
