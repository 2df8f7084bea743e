"""The laws of what a run settles by itself: its start and network, inference settings, the step it keeps, its end."""

import json
import shutil
import signal
from dataclasses import replace

import pytest
from conftest import save_balanced, tiny_config, tiny_network, write_data, write_dots
from training_runs import options, run
from transformers import SegformerForImageClassification, SegformerForSemanticSegmentation, SegformerImageProcessorPil

from carmask import Predictor
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training import finish, loop
from carmask.training import run as training_run
from carmask.training.config import SIDE, TrainConfig, count_steps
from carmask.training.distillation import batch_loss
from carmask.training.setup import choose

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A model that sees pictures at 96 pixels and mirrored, above 0.6."""
    network = tiny_network("fcn", task="mask", threshold=0.6, mirror=0.7)
    return save_balanced(network, tmp_path_factory.mktemp("starts") / "start", side=96)


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """A data set with just enough validation pictures to choose a step."""
    folder = tmp_path_factory.mktemp("data") / "eight"
    write_data(folder, {"train": 4, "validation": 8})
    return folder


def without(arguments, *names):
    """The arguments without some options."""
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return [part for name, value in pairs if name not in names for part in (name, value)]


@pytest.mark.parametrize(
    ("task", "asked", "name", "network"),
    [
        (MaskTask(), "auto", "car-mask-fcn", "fcn"),
        (MaskTask(), "segformer", "car-mask-b0", "segformer"),
        (DotsTask(("nose",), (1,)), "auto", "car-dots-fcn", "fcn"),
        (MaskTask(), "unet", "scratch", "unet"),
    ],
)
def test_without_a_choice_training_goes_on_from_an_embedded_model(task, asked, name, network):
    choice = choose("", asked, None, task)
    assert choice.weights.endswith(name)
    assert choice.network == network


def test_a_run_that_nobody_told_where_to_begin_says_where_and_how_to_change_it(
    tmp_path, start, tiny_data, monkeypatch, capsys
):
    monkeypatch.setattr("carmask.training.setup.embedded", lambda task, ending: str(start))
    arguments = without(options(tiny_data, "", tmp_path / "model", steps=1), "--model")
    assert run(monkeypatch, *arguments) == 0
    said = capsys.readouterr().out
    assert f"{start.parent.name}/start" in said
    assert f"{start.parent.name}/start" in (tmp_path / "model/README.md").read_text()
    assert "--model names" in said


def test_inference_settings_are_those_of_the_initial_weights_unless_told_otherwise(
    tmp_path, start, tiny_data, monkeypatch
):
    arguments = without(options(tiny_data, start, tmp_path / "model", steps=1), "--side")
    for given, side in (([], 96), (["--side", 64], 64)):
        assert run(monkeypatch, *arguments, *given, "--overwrite") == 0
        predictor = Predictor.from_pretrained(tmp_path / "model")
        settings = json.loads((tmp_path / "model/preprocessor_config.json").read_text())
        assert settings["size"] == {"max_height": side, "max_width": side}
        assert (predictor.threshold, predictor.task.mirror) == (0.6, 0.7)
        card = (tmp_path / "model/README.md").read_text()
        assert f"its {'' if given else 'size, '}mirror image and threshold from its initial weights" in card
        assert ("its size as usual, but for what its command says" in card) is bool(given)


def test_a_model_for_another_task_hands_on_its_weights_alone(start):
    choice = choose(str(start), "auto", None, DotsTask(("nose",), (1,)))
    assert (choice.side, choice.mirror, choice.inherited) == (SIDE, 0.0, [])


@pytest.mark.parametrize(
    ("kind", "side", "words"),
    [
        (SegformerForSemanticSegmentation, 96, "It has its size from its initial weights, its mirror"),
        (SegformerForImageClassification, SIDE, "It has its size, mirror image and threshold as usual"),
    ],
)
def test_a_start_hands_on_the_size_at_which_it_segments_but_not_that_at_which_it_classifies(
    tmp_path, kind, side, words
):
    kind(tiny_config()).save_pretrained(tmp_path)
    SegformerImageProcessorPil(size={"height": 96, "width": 96}).save_pretrained(tmp_path)
    choice = choose(str(tmp_path), "auto", None, MaskTask())
    assert choice.side == side
    assert choice.words("mask").startswith(words)


def interrupted(monkeypatch, *arguments):
    """A run that is stopped in its first step."""

    def signal_first(*given):
        signal.raise_signal(signal.SIGTERM)
        return batch_loss(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "batch_loss", signal_first)
        assert run(patched, *arguments) == 1


def test_a_resumed_run_goes_on_with_the_object_and_settings_with_which_it_began(
    tmp_path, start, tiny_data, monkeypatch
):
    data, model = shutil.copytree(tiny_data, tmp_path / "data"), shutil.copytree(start, tmp_path / "start")
    (data / "README.md").write_text("---\nobject: leaf\n---\n")
    arguments = without(options(data, model, tmp_path / "model", steps=2), "--side")
    interrupted(monkeypatch, *arguments)
    (data / "README.md").write_text("---\nobject: stone\n---\n")
    settings = json.loads((model / "config.json").read_text()) | {"threshold": 0.3, "mirror": 0.0}
    (model / "config.json").write_text(json.dumps(settings))
    assert run(monkeypatch, *arguments, "--resume") == 0
    predictor = Predictor.from_pretrained(tmp_path / "model")
    assert (predictor.task.name, predictor.threshold, predictor.task.mirror) == ("leaf", 0.6, 0.7)


def test_of_too_few_validation_pictures_none_chooses_the_step(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    assert run(monkeypatch, *options(tiny_data, tiny_mask_model, tmp_path / "model")) == 0
    words = "step 6 of 6, the last, since it takes 8 validation pictures to choose one, not 2"
    said = capsys.readouterr().out
    assert words in said.splitlines()[-1]
    assert "it takes 20 validation pictures to choose others, not 2" in said
    assert f"Kept is {words}." in (tmp_path / "model/README.md").read_text()


@pytest.fixture
def flat(monkeypatch):
    """Has every validation of a run give the same score."""

    def validate(*given, **more):
        scores, worst = real(*given, **more)
        scores["all"]["balanced_iou"] = 0.5
        return scores, worst

    real = loop.validate
    monkeypatch.setattr(loop, "validate", validate)


@pytest.mark.usefixtures("flat")
def test_a_run_ends_once_validation_has_not_risen_and_says_which_step_it_keeps(
    tmp_path, tiny_mask_model, eight, monkeypatch, capsys
):
    arguments = options(eight, tiny_mask_model, tmp_path / "model", steps=20, validate_every=2)
    assert run(monkeypatch, *arguments, "--patience", "0.2") == 0
    history = json.loads((tmp_path / "model/scores.json").read_text())["history"]
    assert [line["step"] for line in history] == [2, 4, 6]
    said = capsys.readouterr().out
    assert "Validation has not risen since step 2" in said
    assert "step 2 of 6 (20 were asked for), the best on 8 validation pictures" in said.splitlines()[-1]
    assert run(monkeypatch, *arguments, "--patience", "1", "--overwrite") == 0
    assert "step 2 of 20, the best" in capsys.readouterr().out


@pytest.mark.usefixtures("flat")
def test_a_run_killed_while_it_finishes_early_finishes_when_it_is_resumed(
    tmp_path, tiny_mask_model, eight, monkeypatch, capsys
):
    arguments = options(eight, tiny_mask_model, tmp_path / "model", steps=20, validate_every=2)
    arguments += ["--patience", "0.2"]
    with monkeypatch.context() as killed:
        killed.setattr(training_run, "finish", lambda *given: None)
        assert run(killed, *arguments) == 0
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert "step 2 of 6 (20 were asked for)" in capsys.readouterr().out.splitlines()[-1]


def test_enough_validation_pictures_choose_size_mirror_image_and_threshold(tmp_path, start, monkeypatch):
    write_data(tmp_path / "data", {"train": 4, "validation": 20, "test": 2})
    arguments = without(options(tmp_path / "data", start, tmp_path / "model", steps=1), "--side")
    assert run(monkeypatch, *arguments) == 0
    card = (tmp_path / "model/README.md").read_text()
    assert "Size, mirror image and threshold were chosen on 20 validation pictures." in card
    predictor = Predictor.from_pretrained(tmp_path / "model")
    side = json.loads((tmp_path / "model/preprocessor_config.json").read_text())["size"]["max_height"]
    assert side in (64, 96, 128)
    assert f"a long side of {side} pixels" in card
    assert predictor.task.mirror in (0.0, 0.7, 1.0)
    assert run(monkeypatch, *arguments, "--side", 64, "--overwrite") == 0
    card = (tmp_path / "model/README.md").read_text()
    assert "a long side of 64 pixels. Mirror image and threshold were chosen on 20 validation pictures." in card


@pytest.mark.usefixtures("flat")
def test_settings_that_some_validation_pictures_like_and_all_do_not_are_not_taken(
    tmp_path, start, monkeypatch, capsys
):
    write_data(tmp_path / "data", {"train": 4, "validation": 21})
    monkeypatch.setattr(finish, "MOST_TO_TUNE", 20)
    monkeypatch.setattr(finish, "best_of", lambda trials: replace(trials[0], predictor=blind(trials[0].predictor)))
    arguments = options(tmp_path / "data", start, tmp_path / "model", steps=1)
    assert run(monkeypatch, *arguments) == 0
    assert "On all 21 they score less, so size, mirror image and threshold stay" in capsys.readouterr().out
    assert Predictor.from_pretrained(tmp_path / "model").task.threshold == pytest.approx(0.6)


def blind(predictor):
    """The predictor with a threshold that nothing reaches."""
    return predictor.with_threshold(1 - 1e-9)


def test_epochs_count_pictures_whatever_the_batches():
    for batch_size, accumulate, steps in ((8, 1, 75), (16, 1, 38), (8, 2, 38)):
        config = TrainConfig("x", "y", epochs=3, batch_size=batch_size, accumulate=accumulate)
        assert count_steps(config, 200) == steps
    assert count_steps(TrainConfig("x", "y", steps=7), 200) == 7


def test_where_no_dot_is_ever_missing_training_warns_and_the_card_scores_no_presence(
    tmp_path, tiny_mask_model, monkeypatch, capsys
):
    data = write_dots(tmp_path / "dots", {"train": 4, "validation": 6})
    for missing in (True, False):
        arguments = options(data, tiny_mask_model, tmp_path / "model", task="dots", steps=1)
        assert run(monkeypatch, *arguments, "--overwrite") == 0
        assert ("No dot is missing from any picture" in capsys.readouterr().out) is not missing
        card = (tmp_path / "model/README.md").read_text()
        assert ("No dot is missing from any of these pictures" in card) is not missing
        scores = json.loads((tmp_path / "model/scores.json").read_text())["scores"]["validation"]["all"]
        assert ("presence_f1" in scores) is missing
        for table in data.glob("*/metadata.jsonl"):
            rows = [json.loads(line) for line in table.read_text().splitlines()]
            full = [row | {"dots": [dot or [0.5, 0.5] for dot in row["dots"]]} for row in rows]
            table.write_text("\n".join(map(json.dumps, full)))
