"""The laws of where initial weights are opened from: safetensors or a pickle of numbers, here or of the Hub."""

import pickle
import socket

import numpy as np
import pytest
import torch
from conftest import drawn_car, save_balanced, tiny_network
from hub_stand_in import TOKEN, hub_stand_in

from carmask import Predictor
from carmask.errors import NetworkError, RunError
from carmask.networks import fetching
from carmask.networks.fetching import check_weights, fetch
from carmask.networks.initial_weights import initialise_network, network_for
from carmask.tasks.mask_task import MaskTask

REVISION = "4f3c" * 10


def pickled(folder):
    """A model folder as it was written before there were safetensors."""
    network = tiny_network()
    network.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the Hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(cache, tmp_path, monkeypatch):
    """The stand-in, with the model anna/old."""
    with hub_stand_in() as server:
        reached_at(monkeypatch, server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        files = {path.name: path.read_bytes() for path in pickled(tmp_path / "old").iterdir()}
        server.models["anna/old"] = {"private": False, "files": files, "commits": [REVISION]}
        yield server


def first_weights(weights):
    """The network and what it lacks, from initial weights of any kind."""
    return initialise_network("segformer", fetch(weights), MaskTask(), [], [])


def reached_at(monkeypatch, url):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


def assert_opens(weights):
    network, newly_initialised = first_weights(weights)
    assert not newly_initialised
    for name, value in tiny_network().state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_a_pickle_of_weights_opens_as_safetensors_do(tmp_path):
    assert_opens(str(pickled(tmp_path / "old")))


def test_a_model_of_the_hub_that_has_only_a_pickle_is_fetched_from_its_main_revision_alone(hub):
    assert_opens("anna/old")
    assert fetch("anna/old").name == REVISION
    assert not [path for path in hub.asked if "discussions" in path or "refs" in path]


def test_what_was_fetched_opens_without_the_hub(hub, monkeypatch):
    fetch("anna/old")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_opens("anna/old")
    reached_at(monkeypatch, "http://127.0.0.1:9")
    assert_opens("anna/old")


def test_checkpoints_in_folders_of_a_model_are_not_fetched(hub):
    files = hub.models["anna/old"]["files"]
    files |= {f"checkpoint-500/{name}": files[name] for name in list(files)} | {"onnx/model.safetensors": b""}
    assert_opens("anna/old")
    assert not [path for path in fetch("anna/old").iterdir() if path.is_dir()]


def test_a_pickle_is_not_fetched_where_there_are_safetensors(hub, tmp_path):
    tiny_network().save_pretrained(tmp_path / "new")
    hub.models["anna/old"]["files"]["model.safetensors"] = (tmp_path / "new/model.safetensors").read_bytes()
    assert not (fetch("anna/old") / "pytorch_model.bin").exists()
    assert_opens("anna/old")


class Harmful:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file ran')",)


def test_a_pickle_that_holds_code_is_refused_and_the_code_does_not_run(tmp_path):
    folder = pickled(tmp_path / "old")
    for content in (pickle.dumps({"weight": Harmful()}), b"", (folder / "pytorch_model.bin").read_bytes()[:999]):
        (folder / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(RunError, match=r"pytorch_model.bin is not opened: .*\.$"):
            first_weights(str(folder))


def test_a_hub_that_never_answers_is_said(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reached_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(fetching, "SECONDS", 0.2)
        with pytest.raises(NetworkError, match="anna/old is not in the cache and the Hub cannot be reached"):
            fetch("anna/old")


@pytest.mark.parametrize("name", ["nothing", "./nothing", "no/such/folder", "/nothing", "../a", "a/b c"])
def test_a_name_that_is_neither_folder_nor_of_the_hub_is_said_without_asking_anybody(name, monkeypatch):
    monkeypatch.setattr(fetching, "from_hub", None)
    with pytest.raises(NetworkError, match=r"There is no folder .*, and no model of the Hub is called so"):
        fetch(name)


def test_a_model_that_the_hub_does_not_have_is_said(hub):
    with pytest.raises(NetworkError, match="The Hub has no model anna/other"):
        fetch("anna/other")


def test_what_the_cache_lacks_is_not_said_of_the_model(hub, monkeypatch):
    (fetch("anna/old") / "pytorch_model.bin").unlink()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = (
        "The cache has neither model.safetensors nor pytorch_model.bin of anna/old and HF_HUB_OFFLINE is set; unset"
    )
    with pytest.raises(NetworkError, match=words):
        fetch("anna/old")
    reached_at(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match="of anna/old and the Hub cannot be reached; connect"):
        fetch("anna/old")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["data.csv"], "The model anna/part of the Hub has no config.json; give another."),
        (["README.md"], "anna/part have no config.json; give another"),
        (["model.safetensors"], "anna/part have no config.json; give another"),
        (["config.json"], "anna/part have neither model.safetensors nor pytorch_model.bin; give another"),
    ],
)
def test_what_a_model_of_the_hub_lacks_is_said(hub, files, words):
    contents = {name: hub.models["anna/old"]["files"]["config.json"] for name in files}
    hub.models["anna/part"] = {"private": False, "files": contents, "commits": [REVISION]}
    with pytest.raises(NetworkError, match=words):
        fetch("anna/part")


def test_of_the_processes_of_a_run_the_first_alone_asks(hub, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    check_weights("anna/old")
    assert not hub.asked
    monkeypatch.setenv("RANK", "0")
    check_weights("anna/old")
    assert hub.asked


def test_a_model_of_the_hub_opens_by_its_name(hub, tmp_path):
    save_balanced(tiny_network("fcn"), tmp_path / "fcn")
    files = {path.name: path.read_bytes() for path in (tmp_path / "fcn").iterdir()}
    hub.models["anna/fcn"] = {"private": False, "files": files, "commits": [REVISION]}
    masks = [Predictor.from_pretrained(name)(drawn_car()[0]) for name in ("anna/fcn", tmp_path / "fcn")]
    assert np.array_equal(*masks)


def test_a_folder_without_configuration_or_weights_is_said(tmp_path):
    with pytest.raises(NetworkError, match=r"no config\.json"):
        fetch(str(tmp_path))
    (pickled(tmp_path / "old") / "pytorch_model.bin").unlink()
    with pytest.raises(NetworkError, match="neither model.safetensors nor"):
        fetch(str(tmp_path / "old"))


@pytest.mark.parametrize("name", ["segformer", "fcn", "unet"])
def test_the_network_is_that_of_the_initial_weights_and_another_is_refused(tmp_path, name):
    tiny_network(name).save_pretrained(tmp_path)
    assert network_for("mine", tmp_path) == network_for("mine", tmp_path, name) == name
    other = {"segformer": "fcn", "fcn": "unet", "unet": "segformer"}[name]
    with pytest.raises(NetworkError, match=f"of the type {name}, not {other}; leave out --network or --model"):
        network_for("mine", tmp_path, other)
