import json
import shutil

import numpy as np
import pytest
from conftest import drawn_car
from hub_stand_in import TOKEN, hub_stand_in
from huggingface_hub import ModelCard
from training_runs import options
from training_runs import run as train

from carmask import Predictor
from carmask.commands import publish
from carmask.data.sources import open_data
from carmask.hub import upload
from carmask.hub.checks import check_hub
from carmask.hub.licences import RESEARCH_ONLY
from carmask.hub.model_card import write_report
from carmask.hub.provenance import made_with

SCORES = {"iou": 0.87654, "mean_iou": 0.8, "boundary_iou": 0.6}
NO_CARS = {"iou": 0.0, "mean_iou": 0.9, "boundary_iou": 0.0, "false_positive_share": 0.012}


@pytest.fixture
def hub(monkeypatch):
    """The stand-in, which huggingface_hub takes for the Hub."""
    with hub_stand_in() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture
def model(tiny_mask_model, tiny_data, tmp_path):
    """A model folder with a card, as training leaves it."""
    return with_card(shutil.copytree(tiny_mask_model, tmp_path / "my-model"), tiny_data, ["scratch-b0"])


def with_card(folder, data, origin):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"origin": origin}))
    facts = {"task": "mask", "labels": ["background", "car"], "network": "segformer", "command": "python …"}
    scores = {"test": {"boxes": SCORES, "no_cars": NO_CARS, "all": SCORES | {"false_positive_share": 0.012}}}
    splits = open_data(str(data))
    facts |= {
        "inference_settings": "",
        "kept": "step 1 of 1",
        "origin": origin,
        "seed": 0,
        "device": "cpu",
        "processes": 1,
        "precision": "no",
    }
    write_report(folder, facts | made_with(splits), splits["train"], scores, [])
    return folder


def run(capsys, *arguments):
    code = publish.main([*map(str, arguments)])
    return code, capsys.readouterr()


def card_of(hub, name="anna/my-model"):
    return ModelCard(hub.models[name]["files"]["README.md"].decode())


def test_what_is_published_opens_and_draws_the_same_mask(hub, model, tmp_path, capsys):
    code, printed = run(capsys, model, "anna/my-model")
    assert code == 0
    published = hub.models["anna/my-model"]
    assert f"revision {published['commits'][-1]}" in printed.out
    (tmp_path / "fetched").mkdir()
    for name, content in published["files"].items():
        (tmp_path / "fetched" / name).write_bytes(content)
    picture = drawn_car()[0]
    masks = [Predictor.from_pretrained(folder)(picture) for folder in (model, tmp_path / "fetched")]
    assert np.array_equal(*masks)


def test_the_settings_of_the_run_and_pictures_of_the_data_stay_here(hub, model, capsys):
    for name in ("run.json", "worst.png", ".DS_Store"):
        (model / name).write_bytes(b"private")
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    assert run(capsys, model, "my-model")[0] == 0
    assert set(hub.models["anna/my-model"]["files"]) == {
        "README.md", "config.json", "model.safetensors", "preprocessor_config.json", "scores.json",
    }  # fmt: skip
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


@pytest.mark.parametrize("key", ["false_positive_share", "false_car_share"])  # as older models say
def test_the_card_has_the_scores_as_metadata(key, hub, model, capsys):
    scores = model / "scores.json"
    scores.write_text(scores.read_text().replace("false_positive_share", key))
    run(capsys, model, "anna/my-model")
    found = {(one.dataset_type, one.metric_type): one for one in card_of(hub).data.eval_results}
    assert found["boxes", "iou"].metric_value == 0.8765
    assert found["boxes", "iou"].dataset_split == "test"
    assert found["all", "false_positive_share"].metric_value == 0.012
    assert {key for key in found if key[0] == "no_cars"} == {("no_cars", "false_positive_share")}


def test_scores_that_say_nothing_new_are_left_out_of_the_metadata():
    dots = {"f1_5": 0.7, "pck_5": 0.8, "mean_error": 0.1}
    found = upload.evaluations("test", {"all": dots, "wheel": dots})
    assert [(one.dataset_type, one.metric_type) for one in found] == [("all", "f1_5"), ("all", "pck_5")]
    assert {one.dataset_type for one in upload.evaluations("test", {"boxes": SCORES, "all": SCORES})} == {"boxes"}


def test_the_example_in_the_card_names_the_model_of_the_hub(hub, model, capsys):
    run(capsys, model, "my-model")
    assert 'Predictor.from_pretrained("anna/my-model")' in card_of(hub).text
    assert "carmask predict photo.jpg --model anna/my-model --out" in card_of(hub).text


def test_weights_that_go_back_to_nvidia_are_said_to_be_for_research_only(hub, model, tiny_data, capsys):
    with_card(model, tiny_data, ["nvidia/mit-b0"])
    card = (
        (model / "README.md").read_text().replace(RESEARCH_ONLY, "").replace("license: other", "license: apache-2.0")
    )
    (model / "README.md").write_text(card)
    assert "licence other" in run(capsys, model, "anna/my-model")[1].out
    assert card_of(hub).data.license == "other"
    assert card_of(hub).data.license_name == "nvidia-segformer-research-only"
    assert RESEARCH_ONLY.strip() in card_of(hub).text


def test_weights_of_ones_own_keep_their_licence(hub, model, capsys):
    run(capsys, model, "anna/my-model")
    assert card_of(hub).data.license == "apache-2.0"
    assert "research" not in card_of(hub).text


def test_a_second_time_is_a_second_revision(hub, model, capsys):
    revisions = [run(capsys, model, "anna/my-model")[1].out.split("revision ")[1][:40] for _ in range(2)]
    assert revisions == hub.models["anna/my-model"]["commits"]
    assert len(set(revisions)) == 2


def test_private_is_private_or_refused(hub, model, capsys):
    assert run(capsys, model, "anna/secret", "--private")[0] == 0
    assert hub.models["anna/secret"]["private"]
    assert run(capsys, model, "anna/open")[0] == 0
    code, printed = run(capsys, model, "anna/open", "--private")
    assert code == 1
    assert "for all to see" in printed.err
    assert len(hub.models["anna/open"]["commits"]) == 1


def foreign(folder):
    (folder / "notes.txt").write_text("mine")


def without_card(folder):
    (folder / "README.md").unlink()


def torn_card(folder):
    (folder / "README.md").write_text("---\nlicense: [\n---\n")


def torn_scores(folder):
    (folder / "scores.json").write_text('{"scores": 3}')


def cut_weights(folder):
    (folder / "model.safetensors").write_bytes(b"cut")


def exported_only(folder):
    (folder / "model.safetensors").rename(folder / "model.onnx")


def unfinished(folder):
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1/state.json").write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (foreign, "holds notes.txt"),
        (without_card, "has no README.md"),
        (torn_card, "cannot be read"),
        (torn_scores, "cannot be read"),
        (cut_weights, "cannot be opened"),
        (exported_only, "has no model.safetensors, without which nobody can open it on the Hub"),
        (unfinished, "is not finished"),
        (shutil.rmtree, "There is no model folder"),
    ],
)
def test_a_folder_that_is_not_fit_is_refused_before_the_hub_hears_of_it(hub, model, capsys, spoil, said):
    spoil(model)
    code, printed = run(capsys, model, "anna/my-model")
    assert code == 1
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not hub.models


@pytest.mark.parametrize(
    ("token", "name", "said"),
    [
        ("hf_wrong", "anna/my-model", "does not know the token"),
        (TOKEN, "bert/my-model", "may not write bert/my-model"),
        (TOKEN, "no name!", "is no name for a model"),
        ("", "anna/my-model", "There is no token"),
    ],
)
def test_what_the_hub_does_not_take_is_said_in_one_sentence(hub, model, monkeypatch, capsys, token, name, said):
    monkeypatch.setattr("carmask.hub.upload.get_token", lambda: token or None)
    monkeypatch.setenv("HF_TOKEN", token or TOKEN)
    code, printed = run(capsys, model, name)
    assert code == 1
    assert said in printed.err
    assert printed.err.count("\n") == 1


def test_an_upload_that_breaks_off_publishes_nothing_and_says_so(hub, model, monkeypatch, capsys):
    def broken(*arguments, **options):
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr("huggingface_hub.HfApi.create_commit", broken)
    code, printed = run(capsys, model, "anna/my-model")
    assert code == 1
    assert "nothing is published ([Errno 104] Connection reset by peer.) Try again." in printed.err
    assert not hub.models["anna/my-model"]["commits"]


def test_without_a_connection_it_says_so(model, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, printed = run(capsys, model, "anna/my-model")
    assert (code, printed.err.count("\n")) == (1, 1)
    assert "HF_HUB_OFFLINE is set" in printed.err
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    code, printed = run(capsys, model, "anna/my-model")
    assert (code, printed.err.count("\n")) == (1, 1)
    assert "cannot be reached" in printed.err


def test_training_publishes_the_model_that_it_leaves(hub, tiny_mask_model, tiny_data, tmp_path, monkeypatch, capsys):
    output = tmp_path / "my-model"
    assert train(monkeypatch, *options(tiny_data, tiny_mask_model, output, steps=1), "--push-to-hub", "my-model") == 0
    published = hub.models["anna/my-model"]
    assert published["files"]["model.safetensors"] == (output / "model.safetensors").read_bytes()
    assert f"revision {published['commits'][-1]}" in capsys.readouterr().out
    assert card_of(hub).data.eval_results


@pytest.mark.parametrize(
    ("role", "name", "said"),
    [
        ("read", "my-model", "The token may only read the Hub"),
        ("write", "bert/my-model", "it may write models of anna and workshop"),
    ],
)
def test_training_does_not_begin_with_a_token_that_may_not_write_the_model(
    hub, tiny_mask_model, tmp_path, monkeypatch, capsys, role, name, said
):
    hub.role, output = role, tmp_path / "my-model"
    assert train(monkeypatch, *options("no/data", tiny_mask_model, output, push_to_hub=name)) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not output.exists()


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("write", "my-model"),
        ("write", "Anna/my-model"),
        ("write", "workshop/my-model"),
        ("fineGrained", "bert/my-model"),
    ],
)
def test_a_token_that_may_write_the_model_is_let_pass(hub, role, name):
    hub.role = role
    check_hub(name)


def without_token(monkeypatch):
    monkeypatch.setattr("carmask.hub.checks.get_token", lambda: None)


def with_another_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")


def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def unreachable(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("spoil", "name", "said"),
    [
        (without_token, "my-model", "There is no token"),
        (with_another_token, "my-model", "does not know the token"),
        (offline, "my-model", "HF_HUB_OFFLINE is set"),
        (unreachable, "my-model", "cannot be reached"),
        (lambda monkeypatch: None, "no name!", "is no name for a model"),
    ],
)
def test_training_does_not_begin_where_the_hub_would_not_take_the_model(
    hub, tiny_mask_model, tmp_path, monkeypatch, capsys, spoil, name, said
):
    spoil(monkeypatch)
    output = tmp_path / "my-model"
    assert train(monkeypatch, *options("no/data", tiny_mask_model, output, push_to_hub=name)) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not output.exists()


def test_a_model_that_the_hub_does_not_take_in_the_end_is_kept_and_the_way_to_publish_it_said(
    hub, tiny_mask_model, tiny_data, tmp_path, monkeypatch, capsys
):
    hub.role, output = "fineGrained", tmp_path / "my-model"
    arguments = options(tiny_data, tiny_mask_model, output, steps=1, push_to_hub="bert/my-model")
    assert train(monkeypatch, *arguments) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "The token may not write bert/my-model" in said
    assert f"carmask publish {output} bert/my-model" in said
    assert Predictor.from_pretrained(output)
