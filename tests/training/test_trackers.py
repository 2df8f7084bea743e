import io
import json
import socket
from types import SimpleNamespace

import pytest
from training_runs import options, run

from carmask.errors import RunError
from carmask.training.trackers import start_tracker

TOLD = {
    "loss", "learning_rate_0", "iou", "balanced_iou", "boxes/iou", "boxes/iou_low", "pictures_per_second", "memory_gb",
}  # fmt: skip


@pytest.fixture
def history(monkeypatch, tmp_path, tiny_mask_model, tiny_data):
    """Does a run of six steps with a tracker, which calls no other machine; returns its two validations."""
    connect, calls = socket.socket.connect, []

    def refuse(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
            calls.append(address)
            raise ConnectionRefusedError(address)
        return connect(self, address)

    def train(tracker):
        output = tmp_path / "model"
        assert run(monkeypatch, *options(tiny_data, tiny_mask_model, output, report_to=tracker)) == 0
        assert not calls
        return json.loads((output / "scores.json").read_text())["history"]

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.chdir(tmp_path)
    return train


def test_tensorboard_reads_every_score(tmp_path, history):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    validations = history("tensorboard")
    written = EventAccumulator(str(tmp_path / "model/tensorboard/carmask")).Reload()
    assert set(written.Tags()["scalars"]) >= TOLD
    for name in TOLD:
        assert [event.step for event in written.Scalars(name)] == [3, 6]
    for name in ("loss", "iou"):
        assert [event.value for event in written.Scalars(name)] == pytest.approx([line[name] for line in validations])
    for name in ("learning_rate_0", "pictures_per_second", "memory_gb"):
        assert all(event.value > 0 for event in written.Scalars(name))


def test_trackio_keeps_every_score_on_this_machine(tmp_path, monkeypatch, history):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "kept"))
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    validations = history("trackio")
    lines = SQLiteStorage.get_logs("carmask", "model")
    told = [line for line in lines if "loss" in line]
    assert [line["step"] for line in told] == [3, 6]
    for line, kept in zip(told, validations, strict=True):
        assert line.keys() >= TOLD
        assert line.items() >= kept.items()


def test_wandb_offline_keeps_every_score_and_calls_nobody(tmp_path, monkeypatch, history):
    wandb = pytest.importorskip("wandb")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_MODE", "offline")
        validations = history("wandb")
        wandb.teardown()
        with pytest.raises(BlockingIOError):
            server.accept()
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    written = file.read_bytes()
    assert all(name.encode() in written for name in TOLD)
    assert all(str(line["loss"]).encode() in written for line in validations)


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "run.lock"}


def test_a_wandb_that_is_not_logged_in_ends_the_run_before_the_old_one_is_touched(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    wandb = pytest.importorskip("wandb")
    output = tmp_path / "model"
    for name in ("config.json", "run.json", "checkpoint-3/state.json", "tensorboard/carmask/curves"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text("{}")
    before = contents(output)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("sys.stdin", io.StringIO())  # at a terminal wandb asks for the key
    monkeypatch.chdir(tmp_path)
    arguments = options(tiny_data, tiny_mask_model, output, report_to="wandb")
    assert run(monkeypatch, *arguments, "--overwrite") == 1
    wandb.teardown()
    last = capsys.readouterr().err.splitlines()[-1]
    remedy = "run wandb login, or set WANDB_MODE=offline, or leave out --report-to."
    assert last == f"train_segformer: wandb cannot start: No API key configured; {remedy}"
    assert contents(output) == before


def settings(**changes):
    return {"report_to": "tensorboard", "resume": False} | changes


def test_a_tracker_that_is_broken_is_one_sentence(tmp_path):
    def broken(*arguments):
        raise TypeError("Descriptors cannot be created directly.\nDowngrade the protobuf package.")

    with pytest.raises(RunError) as error:
        start_tracker(SimpleNamespace(init_trackers=broken), tmp_path, settings())
    words = "Descriptors cannot be created directly; repair it, or leave out --report-to."
    assert str(error.value) == f"tensorboard cannot start: {words}"


def test_trackio_goes_on_in_the_curves_of_a_resumed_run_alone(tmp_path):
    started = []
    accelerator = SimpleNamespace(init_trackers=lambda project, settings, options: started.append(options))
    for resume in (False, True):
        start_tracker(accelerator, tmp_path, settings(resume=resume))
    assert [options["trackio"]["resume"] for options in started] == ["never", "allow"]


def test_a_tracker_that_is_not_installed_is_an_error_before_the_start(
    tmp_path, tiny_mask_model, tiny_data, monkeypatch, capsys
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = options(tiny_data, tiny_mask_model, tmp_path / "model", report_to="wandb")
    assert run(monkeypatch, *arguments) == 1
    assert "wandb is not installed; run pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
