import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from carmask import Predictor
from carmask.commands.predict import main
from carmask.files.system import free_port
from carmask.inference.folders import mask_as_png, plan_answers


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (64, 96), (1, 2000), (333, 47)])
def test_the_file_of_a_mask_is_a_plain_png_of_its_pixels(size, tmp_path):
    mask = np.where(np.random.default_rng(0).random(size) > 0.5, 255, 0).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(mask_as_png(mask))
    opened = Image.open(tmp_path / "a.png")
    assert (opened.format, opened.mode, opened.info) == ("PNG", "L", {})
    assert np.array_equal(opened, mask)


def run(tiny_mask_model, *arguments):
    return main([*map(str, arguments), "--model", str(tiny_mask_model)])


def test_each_picture_gets_its_mask_and_sub_folders_stay(tiny_mask_model, pictures, tmp_path):
    assert run(tiny_mask_model, pictures, "--out", tmp_path / "out") == 0
    masks = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/**/*.*"))
    assert masks == ["a_mask.png", "b_mask.png", "inner/a_mask.png"]
    mask = Image.open(tmp_path / "out/a_mask.png")
    assert mask.mode == "L"
    assert not mask.info
    wanted = Predictor.from_pretrained(tiny_mask_model)(Image.open(pictures / "a.png"))
    assert np.array_equal(np.array(mask), wanted)
    assert set(np.unique(wanted)) == {0, 255}


def test_a_bad_file_is_reported_and_the_rest_goes_on(tiny_mask_model, pictures, tmp_path, capsys):
    (pictures / "bad.jpg").write_bytes(b"no picture")
    assert run(tiny_mask_model, pictures, tmp_path / "gone.png", "--out", tmp_path / "out") == 1
    assert len(list(tmp_path.glob("out/**/*.png"))) == 3
    report = capsys.readouterr()
    assert "bad.jpg" in report.err
    assert "gone.png" in report.err
    assert "Traceback" not in report.err
    assert "3 masks written" in report.out


@pytest.mark.parametrize("out", ["masks", ".", ".."])
def test_a_second_run_over_the_same_folder_makes_no_masks_of_masks(tiny_mask_model, pictures, out):
    for _ in range(2):
        assert run(tiny_mask_model, pictures, "--out", pictures / out) == 0
    assert len(list(pictures.parent.rglob("*_mask.png"))) == 3


def test_the_same_picture_given_twice_is_no_failure(tiny_mask_model, pictures, tmp_path):
    assert run(tiny_mask_model, pictures, pictures / "a.png", "--out", tmp_path / "out") == 0


def test_two_pictures_with_one_mask_name_do_not_overwrite_each_other(tiny_mask_model, pictures, tmp_path, capsys):
    shutil.copy(pictures / "a.png", pictures / "a.bmp")
    assert run(tiny_mask_model, pictures, "--out", tmp_path / "out") == 1
    assert "rename" in capsys.readouterr().err


def test_a_picture_whose_name_ends_like_a_masks_gets_its_mask_too(tiny_mask_model, pictures, tmp_path):
    shutil.copy(pictures / "a.png", pictures / "a_mask.png")
    assert run(tiny_mask_model, pictures, "--out", tmp_path / "out") == 0
    assert (tmp_path / "out/a_mask_mask.png").is_file()


@pytest.mark.parametrize(("system", "failed"), [("linux", 0), ("darwin", 1), ("win32", 1)])
def test_names_that_are_one_file_on_some_systems_are_refused_there(
    tiny_mask_model, pictures, tmp_path, monkeypatch, capsys, system, failed
):
    shutil.copy(pictures / "a.png", pictures / "A.bmp")
    monkeypatch.setattr("carmask.inference.folders.sys.platform", system)
    _, refused = plan_answers([pictures], tmp_path / "out")
    assert len(refused) == failed


def test_whoever_stops_reading_gets_all_answers_and_no_traceback(tiny_mask_model, pictures, tmp_path):
    command = [sys.executable, "-m", "carmask", "predict", str(pictures), "--out", str(tmp_path / "out")]
    command += ["--model", str(tiny_mask_model)]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipe) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert "Traceback" not in said
    assert len(list(tmp_path.rglob("*_mask.png"))) == 3


def test_a_threshold_changes_the_mask(tiny_mask_model, pictures, tmp_path):
    shares = []
    for threshold in ("0.01", "0.99"):
        run(tiny_mask_model, pictures / "a.png", "--out", tmp_path / threshold, "--threshold", threshold)
        shares.append(np.array(Image.open(tmp_path / threshold / "a_mask.png")).mean())
    assert shares[0] > shares[1]


def test_a_wrong_model_or_threshold_is_said_in_one_sentence(pictures, tmp_path, capsys):
    assert main([str(pictures), "--out", str(tmp_path / "out"), "--model", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit):
        main([str(pictures), "--out", str(tmp_path / "out"), "--threshold", "2"])
    assert "between 0 and 1" in capsys.readouterr().err


def test_a_folder_without_pictures_is_a_failure_that_says_so(tiny_mask_model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(tiny_mask_model, tmp_path / "empty", "--out", tmp_path / "out") == 1
    assert "no pictures" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_said(tiny_mask_model, pictures, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert run(tiny_mask_model, pictures / "a.png", "--out", tmp_path / "out") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_two_processes_share_the_pictures_and_each_mask_is_written_once(tiny_mask_model, pictures, tmp_path):
    (pictures / "bad.jpg").write_bytes(b"no picture")
    command = [sys.executable, "-m", "carmask", "predict", str(pictures), "--out", str(tmp_path / "out")]
    command += ["--model", str(tiny_mask_model)]
    settings = os.environ | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    settings |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            command, env=settings | {"RANK": rank}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    ]
    (first, first_errors), (second, second_errors) = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    assert "3 masks written" in first
    assert "1 pictures failed" in first
    assert not second
    assert (first_errors + second_errors).count("bad.jpg:") == 1
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3
