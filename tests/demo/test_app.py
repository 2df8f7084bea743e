import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from serving import ROOT

from carmask import Predictor
from carmask.demo import uploads

pytestmark = pytest.mark.slow


def test_the_mask_of_the_api_is_the_predictors_bit_for_bit(client, picture_path, tiny_mask_model):
    mask_path, _ = client.predict(handle_file(picture_path), api_name="/mask")
    expected = Predictor.from_pretrained(tiny_mask_model)(Image.open(picture_path))
    with Image.open(mask_path) as mask:
        assert (mask.format, mask.mode, mask.size, mask.info) == ("PNG", "L", (64, 96), {})
        assert np.array_equal(np.asarray(mask), expected)
    assert set(np.unique(expected)) == {0, 255}


def test_the_api_cuts_the_object_out_and_lays_a_colour_or_a_picture_behind_it(client, picture_path, tmp_path):
    Image.new("RGB", (50, 50), (10, 200, 30)).save(tmp_path / "wall.png")
    mask = np.asarray(Image.open(client.predict(handle_file(picture_path), api_name="/mask")[0])) > 127
    path, line = client.predict(handle_file(picture_path), api_name="/cutout")
    alpha = np.asarray(Image.open(path))[..., 3]
    assert np.array_equal(alpha > 127, mask)
    assert path.endswith("holiday_cutout.png")
    assert "64 × 96 pixels" in line
    for given, seen in (
        ({"behind": "colour", "colour": "#102030"}, (16, 32, 48)),
        ({"behind": "picture", "background": handle_file(tmp_path / "wall.png")}, (10, 200, 30)),
    ):
        path, _ = client.predict(handle_file(picture_path), **given, api_name="/cutout")
        assert (np.asarray(Image.open(path))[alpha == 0] == seen).all()
    with pytest.raises(AppError, match="This is no colour; write it like #336699"):
        client.predict(handle_file(picture_path), behind="colour", colour="pale", api_name="/cutout")


def test_the_mask_keeps_the_persons_file_name(client, picture_path):
    mask_path, line = client.predict(handle_file(picture_path), api_name="/mask")
    assert mask_path.endswith("holiday_mask.png")
    assert "64 × 96 pixels" in line


def test_the_api_takes_the_name_of_another_model(client, picture_path):
    mask_path, line = client.predict(handle_file(picture_path), "car-mask-b0", api_name="/mask")
    assert line.endswith("car-mask-b0")
    expected = Predictor.from_pretrained(ROOT / "models" / "car-mask-b0")(Image.open(picture_path))
    assert (np.asarray(Image.open(mask_path)) != expected).mean() <= 0.001
    with pytest.raises(AppError, match="There is no such model; choose one of tiny-mask, .*car-mask-b0"):
        client.predict(handle_file(picture_path), "none", api_name="/mask")


def test_a_refused_picture_answers_with_the_one_sentence(client, picture_path):
    picture_path.write_bytes(picture_path.read_bytes()[:-100])
    with pytest.raises(AppError, match="damaged or incomplete"):
        client.predict(handle_file(picture_path), api_name="/mask")


def test_only_uploaded_files_are_opened(demo):
    for path in ("/etc/hostname", str(ROOT / "app.py"), str(ROOT), "../app.py"):
        given = {"path": path, "meta": {"_type": "gradio.FileData"}}
        answer = httpx.post(f"{demo}/gradio_api/call/mask", json={"data": [given, None, False]}, timeout=300)
        assert (answer.status_code, "upload it first" in answer.text) == (400, True)


def test_the_folder_of_an_upload_is_no_upload(demo, picture_path):
    files = {"files": (picture_path.name, picture_path.read_bytes())}
    (path,) = httpx.post(f"{demo}/gradio_api/upload", files=files, timeout=300).json()
    for asked, code in ((path, 200), (str(Path(path).parent), 400), (path + "x" * 5000, 400)):
        given = {"path": asked, "meta": {"_type": "gradio.FileData"}}
        answer = httpx.post(f"{demo}/gradio_api/call/mask", json={"data": [given, None, False]}, timeout=300)
        assert answer.status_code == code


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("holiday.jpg", "holiday_mask.png"),
        ("Urlaub in Köln 2.jpeg", "Urlaub_in_Köln_2_mask.png"),
        ("..\\..\\windows\\owned.png", "owned_mask.png"),
        ("/etc/cron.d/owned", "owned_mask.png"),
        ('"><script>alert(1)</script>.png', "script_mask.png"),
        ("a.png\r\nSet-Cookie: x=1", "a_mask.png"),
        ("", "upload_mask.png"),
        ("...", "picture_mask.png"),
        ("车" * 300 + ".png", "车" * 50 + "_mask.png"),
    ],
)
def test_hostile_names_become_harmless(given, kept, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = uploads.save_for_page(Image.new("L", (1, 1)), {"path": "/uploads/upload.png", "orig_name": given}, "_mask")
    assert path.startswith(str(tmp_path))
    assert os.path.basename(path) == kept


def test_old_uploads_are_swept_away_and_new_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for name in ("tmp_old", "tmp_new"):
        (tmp_path / name).write_bytes(b"half a picture")
    os.utime(tmp_path / "tmp_old", (0, 0))
    uploads.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["tmp_new"]


def test_what_a_killed_demo_left_goes_at_the_next_start_and_what_a_running_one_holds_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "carmask-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "photo.png").write_bytes(b"someone's car")
    (tmp_path / "carmask-of-others").mkdir()
    with uploads.upload_folder() as first, uploads.upload_folder() as second:
        assert not left.exists()
        assert os.path.isdir(first)
        assert os.path.isdir(second)
    assert [path.name for path in tmp_path.iterdir()] == ["carmask-of-others"]


def test_a_wrong_model_gives_one_sentence_and_exit_code_1(tmp_path):
    environment = os.environ | {"CARMASK_MODEL": str(tmp_path / "nothing")}
    run = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert "Traceback" not in run.stderr
