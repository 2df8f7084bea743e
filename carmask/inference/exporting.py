"""Writes a network as a file for ONNX Runtime or OpenVINO, and checks that it is the same function."""

import importlib.util
import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx import TrainingMode
from transformers import AttentionInterface, PreTrainedModel, SegformerForSemanticSegmentation

from carmask.errors import ExportError, refused_as
from carmask.inference.loading import load_preprocessing
from carmask.inference.model_folder import UNFINISHED_EXPORT, weights_fingerprint
from carmask.inference.preprocessing import Preprocessing
from carmask.inference.runtimes import FILES, WEIGHTS, Network, import_optional, open_exported
from carmask.inference.torch_network import load_network, torch_function
from carmask.tasks.maps import resized

SAMPLE = (2, 3, 95, 127)  # odd at every halving, so that every resize of the network shows when it is traced
CHECKED = ((1, 3, 384, 512), (2, 3, 97, 161), (1, 3, 130, 32), (3, 3, 33, 47))
EQUAL_PIXELS = 0.9999
LARGEST_DIFFERENCE = 1e-3  # of the logits' standard deviation
ROUNDED = 0.999, 1e-2  # the same two for weights that are rounded to float16
NO_ONNX = "This network does what ONNX and its run-time cannot."
FEW = 256  # weights that take more place as a node of their own than as float32


class OneAttention(torch.autograd.Function):
    """Attention, written to ONNX as ONNX Runtime's own operation, which need not store a weight for every pair."""

    @staticmethod
    def forward(_: object, query: Tensor, key: Tensor, value: Tensor, heads: int, scale: float) -> Tensor:
        """Attends from `query` (B, N, C) to `key` and `value` (B, M, C); returns (B, N, C)."""
        query, key, value = (tokens.unflatten(2, (heads, -1)).transpose(1, 2) for tokens in (query, key, value))
        return F.scaled_dot_product_attention(query, key, value, scale=scale).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, heads: int, scale: float) -> Any:  # noqa: ANN401 (of torch)
        """The node that ONNX gets."""
        node = graph.op("com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=heads, scale_f=scale)
        return node.setType(query.type())


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, scaling: float, **settings: float
) -> tuple[Tensor, None]:
    """`OneAttention` as transformers calls it: from (B, heads, N, d) to (B, N, heads, d)."""
    heads = module.num_attention_heads
    query, key, value = (tokens.transpose(1, 2).flatten(2) for tokens in (query, key, value))
    return OneAttention.apply(query, key, value, heads, scaling).unflatten(2, (heads, -1)), None


AttentionInterface.register("one_operation", attend)


class Logits(nn.Module):
    """A network whose answer is its logits alone."""

    def __init__(self, network: PreTrainedModel):
        super().__init__()
        self.network = network

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Maps `pixel_values` (B, 3, H, W) to logits (B, n, h, w)."""
        return self.network(pixel_values).logits


def describe_file(network: PreTrainedModel, preprocessing: Preprocessing) -> dict[str, str]:
    """What a user of the file alone must know: labels, task, and what to do with a picture before the network."""
    config = network.config.to_dict()
    facts = {key: config[key] for key in ("task", "threshold", "mirror") if key in config}
    facts["labels"] = [network.config.id2label[index] for index in range(network.config.num_labels)]
    facts["input"] = "pixel_values float32 (B, 3, H, W): (grey * rescale_factor - image_mean) / image_std, RGB order"
    facts |= {"image_mean": preprocessing.mean, "image_std": preprocessing.deviation}
    facts |= {"rescale_factor": preprocessing.scale, "size": preprocessing.size, "resample": preprocessing.resample}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}


def write_onnx(
    network: PreTrainedModel, file: Path, facts: dict[str, str], one_attention: bool = False, half: bool = False
) -> None:
    """Writes the network as ONNX, with free batch, height and width.

    With `one_attention` a SegFormer attends by `OneAttention`, for ONNX Runtime and OpenVINO alone. With `half` the
    file holds its weights as float16, and batch norm is not folded into them, which would spoil those that float16
    holds.

    Raises:
        ExportError: the network does what cannot be written.
    """
    sizes = {0: "batch", 2: "height", 3: "width"}
    stock_attention = network.config._attn_implementation
    if one_attention and isinstance(network, SegformerForSemanticSegmentation):
        network.set_attn_implementation("one_operation")
    with warnings.catch_warnings(), refused_as(ExportError, NO_ONNX, OSError):
        warnings.simplefilter("ignore")  # the tracer warns of every size it reads; check_parity tries several
        torch.onnx.export(
            Logits(network).eval(), (torch.rand(SAMPLE),), file, input_names=["pixel_values"], output_names=["logits"],
            dynamic_axes={"pixel_values": sizes, "logits": sizes}, opset_version=18, dynamo=False,
            training=TrainingMode.PRESERVE if half else TrainingMode.EVAL, do_constant_folding=not half,
        )  # fmt: skip
    network.set_attn_implementation(stock_attention)
    onnx = import_optional("onnx")
    stored = onnx.load(file)
    onnx.helper.set_model_props(stored, facts)
    if half:
        halve_weights(stored.graph)
    onnx.save(stored, file)


def halve_weights(graph: Any) -> None:  # noqa: ANN401 (of onnx)
    """Has an ONNX graph store its weights as float16; it still computes in float32, and as fast.

    Weights that float16 holds exactly, as training with `--half` leaves them, stay as they are; others are rounded.
    The run-time casts them once, when it opens the file.
    """
    onnx = import_optional("onnx")
    # Equal weights are stored once and passed on by identities, which ONNX Runtime loses track of behind a cast.
    same = {weight.name: weight.name for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in same:
            same[node.output[0]] = same[node.input[0]]
    casts = []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < FEW or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, stored = weight.name, f"{weight.name}.half"
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *(node for node in graph.node if node.output[0] not in same)]
    for node in nodes:
        node.input[:] = [same.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend(nodes)


def write_openvino(onnx_file: Path, file: Path, facts: dict[str, str]) -> None:
    """Writes an ONNX file again as OpenVINO's `model.xml` and `model.bin`, in full precision."""
    openvino = import_optional("openvino")
    model = openvino.convert_model(onnx_file)
    for key, value in facts.items():
        model.set_rt_info(value, ["carmask", key])
    openvino.save_model(model, file, compress_to_fp16=False)


def made_up_pixels(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Draws normalised pixels (B, 3, H, W): soft blobs with noise on them, the same in all three channels."""
    random = torch.Generator().manual_seed(seed)
    blobs = F.interpolate(torch.randn(shape[0], 1, 7, 9, generator=random), size=shape[2:], mode="bicubic")
    return (blobs + 0.2 * torch.randn(shape[0], 1, *shape[2:], generator=random)).repeat(1, 3, 1, 1).numpy()


def check_parity(
    network: Network, exported: Network, limits: tuple[float, float] = (EQUAL_PIXELS, LARGEST_DIFFERENCE)
) -> tuple[float, float]:
    """Compares both networks on made-up pictures of several sizes.

    `limits` are the least and the most of what it returns.

    Returns:
        The share of equal pixels in the masks (the strongest label of each pixel, at the picture's size), and the
        largest difference of any logit, as a share of the logits' standard deviation.

    Raises:
        ExportError: the exported one does not run, or fewer pixels are equal or the difference is larger than
            `limits` say.
    """
    equal, pixels, difference = 0, 0, 0.0
    for seed, shape in enumerate(CHECKED):
        pixel_values = made_up_pixels(shape, seed)
        wanted = network(pixel_values)
        with refused_as(ExportError, NO_ONNX):
            found = exported(pixel_values)
        if wanted.shape != found.shape:
            raise ExportError(f"The exported network gives maps of {tuple(found.shape)}, not {tuple(wanted.shape)}.")
        difference = max(difference, float(np.abs(wanted - found).max() / wanted.std(ddof=1)))
        masks = [resized(maps, shape[2:]).argmax(1) for maps in (wanted, found)]
        equal += int((masks[0] == masks[1]).sum())
        pixels += masks[0].size
    share = equal / pixels
    if not (share >= limits[0] and difference <= limits[1]):
        raise ExportError(
            f"The exported network is not the same: {share:.4%} equal pixels, logits off {difference:.1e}."
        )
    return share, difference


def is_half(network: PreTrainedModel) -> bool:
    """Whether float16 holds each weight of a network exactly."""
    weights = (value for value in network.state_dict().values() if value.is_floating_point())
    return all(torch.equal(value, value.half().to(value.dtype)) for value in weights)


def write_beside(folder: Path) -> tuple[float, float]:
    """Writes `model.onnx` into a model folder, beside the weights that it holds as well; returns `check_parity`'s.

    Raises:
        ModelError: the model cannot be opened.
        ExportError: ONNX cannot say it, or what was written is not the same function; the folder stays as it was.
        OSError: the folder cannot be written.
    """
    network = load_network(folder)
    facts = describe_file(network, load_preprocessing(folder)) | {WEIGHTS: weights_fingerprint(folder)}
    unfinished = folder / UNFINISHED_EXPORT
    file = unfinished / FILES["onnx"]
    try:
        unfinished.mkdir(exist_ok=True)
        write_onnx(network, file, facts, one_attention=True, half=is_half(network))
        with refused_as(ExportError, NO_ONNX):
            found = open_exported(file, network.config.num_labels)
        parity = check_parity(torch_function(network), found)
        file.replace(folder / file.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return parity


def refresh_exported(folder: Path) -> None:
    """Writes `model.onnx` for new weights in a model folder where `onnx` is installed; an old one goes in any case.

    Raises:
        ModelError, OSError: as for `write_beside`.
    """
    (folder / FILES["onnx"]).unlink(missing_ok=True)
    if all(importlib.util.find_spec(package) for package in ("onnx", "onnxruntime")):
        try:
            write_beside(folder)
        except ExportError as error:
            logging.warning("%s has no %s: %s torch runs it.", folder, FILES["onnx"], error)
