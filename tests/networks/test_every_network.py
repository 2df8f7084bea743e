"""What holds for each of the three networks in each of the two tasks."""

import numpy as np
import pytest
import torch
from conftest import DOT_NAMES, NETWORKS, drawn_car, drawn_dots, tiny_network
from PIL import Image
from torch.optim import AdamW
from transformers import AutoModelForSemanticSegmentation, SegformerImageProcessorPil

from carmask import Predictor
from carmask.commands.export import export
from carmask.inference.torch_network import load_network
from carmask.networks.auto import make_fast
from carmask.tasks.auto import task_for
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask

TASKS = {"mask": MaskTask(), "dots": DotsTask.from_entries(DOT_NAMES)}
ODD_SIZES = [(32, 32), (33, 47), (64, 130), (45, 191)]


@pytest.fixture(scope="module", params=[(name, kind) for name in NETWORKS for kind in TASKS], ids="-".join)
def made(request):
    """A tiny network and its task."""
    name, kind = request.param
    task = TASKS[kind]
    return tiny_network(name, tuple(task.labels), **task.settings), task


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    """The network as a model folder."""
    folder = tmp_path_factory.mktemp("every") / "model"
    made[0].save_pretrained(folder)
    SegformerImageProcessorPil(size={"max_height": 64, "max_width": 64}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("size", ODD_SIZES)
def test_there_is_one_map_per_label_over_the_whole_picture(made, size):
    network, task = made
    maps = network(torch.rand(2, 3, *size)).logits
    assert maps.shape[:2] == (2, len(task.labels))
    stride = 1 if network.config.model_type == "unet" else 4
    assert all(abs(cells * stride - side) < stride for cells, side in zip(maps.shape[2:], size, strict=True))
    assert maps.isfinite().all()


def test_a_saved_network_comes_back_bit_for_bit_and_knows_its_task(made, folder):
    network, task = made
    loaded = AutoModelForSemanticSegmentation.from_pretrained(folder)
    stored = loaded.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())
    found = task_for(loaded.config.to_dict())
    assert (found.kind, found.labels, found.settings) == (task.kind, task.labels, task.settings)
    pixel_values = torch.rand(1, 3, 64, 96)
    assert torch.equal(load_network(folder)(pixel_values).logits, make_fast(network)(pixel_values).logits)


@pytest.mark.parametrize("size", [(64, 96), (333, 77), (5, 200)])
def test_the_answer_is_at_the_full_size_of_the_picture(made, folder, size):
    task = made[1]
    answer = Predictor.from_pretrained(folder).with_threshold(1e-6)(drawn_car()[0].resize(size[::-1]))
    if task.kind == "mask":
        assert answer.shape == size
        assert set(np.unique(answer)) <= {0, 255}
    else:
        assert [dot.name for dot in answer] == DOT_NAMES
        assert all(0 <= dot.x <= size[1] and 0 <= dot.y <= size[0] for dot in answer)


def test_an_export_gives_the_same_answer(made, folder, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    export(folder, tmp_path / "onnx", "onnx")
    picture = Image.fromarray(drawn_dots(seed=3)[0])
    models = [Predictor.from_pretrained(model) for model in (folder, tmp_path / "onnx")]
    wanted, found = (model.with_threshold(0.5 if made[1].kind == "mask" else 1e-6)(picture) for model in models)
    if made[1].kind == "mask":
        assert (wanted == found).mean() >= 0.999
    else:
        assert [dot.name for dot in found] == [dot.name for dot in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert one[1:] == pytest.approx(other[1:], abs=0.01)


def test_twenty_steps_on_four_pictures_take_a_tenth_off_the_loss(made):
    network, task = tiny_network(made[0].config.model_type, tuple(made[1].labels), **made[1].settings), made[1]
    if task.kind == "mask":
        drawn = [drawn_car(seed=seed) for seed in range(4)]
        rows = [(np.array(picture.convert("L")), mask) for picture, mask in drawn]
    else:
        rows = [drawn_dots(seed=seed) for seed in range(4)]
    pixels = torch.stack([torch.from_numpy(grey.copy()) for grey, _ in rows])[:, None].float().repeat(1, 3, 1, 1)
    pixels = (pixels - pixels.mean()) / pixels.std()
    target = torch.from_numpy(np.stack([task.target(truth, (64, 96)) for _, truth in rows]))
    optimizer, losses = AdamW(network.train().parameters(), lr=3e-3), []
    for _ in range(20):
        losses.append(task.loss(network(pixels).logits, target))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
