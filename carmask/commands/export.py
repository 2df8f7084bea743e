"""Exports a model for ONNX Runtime or OpenVINO, faster than torch on a CPU, or as a site that needs no server.

carmask export models/car-mask-b0 car-mask-onnx --to onnx
carmask export models/car-mask-fcn site --to web

With --to web any host of static files serves the folder, and the network runs in the visitor's browser. Otherwise the
written folder is a model folder: the demo and the command line take it like any other. Its network is the same
function: `pixel_values` float32 (B, 3, H, W), luminance repeated over three channels and normalised with the mean and
standard deviation that the file names among its metadata, to `logits` float32 (B, labels, h, w), for any B, H and W.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from carmask.errors import DataError, ModelError, PictureError, RunError, RuntimeFileError
from carmask.files.picture_folders import find_pictures
from carmask.files.pictures import open_picture
from carmask.hub.licences import licence_of, origins
from carmask.inference.exporting import Logits, describe_file, write_onnx, write_openvino
from carmask.inference.loading import load_network, load_processor
from carmask.inference.predictor import Predictor
from carmask.inference.quantize import mask_overlap, write_int8
from carmask.inference.runtimes import FILES, PACKAGES, Network, exported_file, import_optional, open_exported
from carmask.tasks.auto import task_for
from carmask.tasks.mask_task import MaskTask
from carmask.web.site import fetch_runtime, network_settings, write_site

CHECKED = ((1, 3, 384, 512), (2, 3, 97, 161), (1, 3, 130, 32), (3, 3, 33, 47))
EQUAL_PIXELS = 0.9999
LARGEST_DIFFERENCE = 1e-3  # of the logits' standard deviation
ROUNDED = 0.999, 1e-2  # the same two for weights that are rounded to float16
MOST_CALIBRATION = 100  # pictures; more change the ranges little


class ExportError(ValueError):
    """Says in one sentence why a model cannot be exported."""


def made_up_pixels(shape: tuple[int, ...], seed: int) -> Tensor:
    """Draws normalised pixels (B, 3, H, W): soft blobs with noise on them, the same in all three channels."""
    random = torch.Generator().manual_seed(seed)
    blobs = F.interpolate(torch.randn(shape[0], 1, 7, 9, generator=random), size=shape[2:], mode="bicubic")
    return (blobs + 0.2 * torch.randn(shape[0], 1, *shape[2:], generator=random)).repeat(1, 3, 1, 1)


@torch.inference_mode()
def check_parity(
    network: Network, exported: Network, limits: tuple[float, float] = (EQUAL_PIXELS, LARGEST_DIFFERENCE)
) -> tuple[float, float]:
    """Compares both networks on made-up pictures of several sizes.

    `limits` are the least and the most of what it returns.

    Returns:
        The share of equal pixels in the masks (the strongest label of each pixel, at the picture's size), and the
        largest difference of any logit, as a share of the logits' standard deviation.

    Raises:
        ExportError: fewer pixels are equal, or the difference is larger, than `limits` say.
    """
    equal, pixels, difference = 0, 0, 0.0
    for seed, shape in enumerate(CHECKED):
        pixel_values = made_up_pixels(shape, seed)
        wanted, found = network(pixel_values), exported(pixel_values)
        if wanted.shape != found.shape:
            raise ExportError(f"The exported network gives maps of {tuple(found.shape)}, not {tuple(wanted.shape)}.")
        difference = max(difference, ((wanted - found).abs().max() / wanted.std()).item())
        masks = [F.interpolate(maps, size=shape[2:], mode="bilinear").argmax(1) for maps in (wanted, found)]
        equal += int((masks[0] == masks[1]).sum())
        pixels += masks[0].numel()
    share = equal / pixels
    if not (share >= limits[0] and difference <= limits[1]):
        raise ExportError(
            f"The exported network is not the same: {share:.4%} equal pixels, logits off {difference:.1e}."
        )
    return share, difference


def write_folder(
    onnx_file: Path, folder: Path, to: str, network: PreTrainedModel, processor: BaseImageProcessor
) -> None:
    """Writes the model folder of an ONNX file for the run-time `to`."""
    network.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    if to == "openvino":
        write_openvino(onnx_file, folder / FILES[to], describe_file(network, processor))
    else:
        shutil.copy(onnx_file, folder / FILES[to])


def check_possible(model: str | Path, out: Path, to: str) -> None:
    """Finds out, before any work, whether `model` can be exported into `out`.

    Raises:
        ExportError: `out` exists, or the model is no network of torch.
        RuntimeFileError: a package is missing.
    """
    if out.exists():
        raise ExportError(f"The output {out} exists; choose another or delete it.")
    if exported_file(Path(model)):
        raise ExportError(f"The model {model} is exported already; give the folder of the trained network.")
    for package in ("onnx", PACKAGES.get(to, "onnxruntime")):
        import_optional(package)


def export(model: str | Path, out: Path, to: str, calibration: list[Path] | None = None) -> list[str]:
    """Exports `model`, a folder or a model of the Hub, into the new folder `out`.

    With `calibration`, picture files, the exported network computes in int8.

    Returns:
        What was measured, in sentences.

    Raises:
        ExportError: `out` exists, or the exported network is not the same function; nothing is written then.
        ModelError: the model cannot be opened.
        PictureError: one of the pictures is refused.
        RuntimeFileError: a package is missing.
        OSError: `out` cannot be written.
    """
    check_possible(model, out, to)
    network, processor = load_network(model), load_processor(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        scratch, folder = Path(name), Path(name) / "float32"
        write_onnx(network, scratch / "float32.onnx", describe_file(network, processor), to == "onnx")
        write_folder(scratch / "float32.onnx", folder, to, network, processor)
        equal, difference = check_parity(Logits(network), open_exported(folder / FILES[to], network.config.num_labels))
        report = [
            f"At {equal:.4%} of the pixels the strongest map is as before, "
            f"and the logits are within {difference:.0e} of their spread."
        ]
        if calibration:
            before = Predictor.from_pretrained(folder)
            write_int8(scratch / "float32.onnx", scratch / "int8.onnx", map(before.pixel_values, opened(calibration)))
            folder = scratch / "int8"
            write_folder(scratch / "int8.onnx", folder, to, network, processor)
            after = Predictor.from_pretrained(folder)
            if isinstance(after.task, MaskTask):
                overlap = mask_overlap(before, after, opened(calibration))
                report.append(
                    f"The masks of int8 have an IoU of {overlap:.4f} with those of float32 on these pictures."
                )
        folder.rename(out)
    return report


def export_site(model: str | Path, out: Path, runtime: str | None = None) -> list[str]:
    """Writes a site that runs `model`, one for masks, in the visitor's browser, into the new folder `out`.

    With a `runtime` it brings ONNX Runtime Web along: of that folder, dist/ of its npm package, or if "" of its CDN.

    Returns what was measured, in sentences; raises what `export` raises, or DataError.
    """
    check_possible(model, out, "web")
    network, processor = load_network(model), load_processor(model)
    task = task_for(network.config)
    if not isinstance(task, MaskTask):
        raise ExportError(f"The model {model} places dots, and the page draws masks; choose another model.")
    settings, licence = network_settings(task, processor), licence_of(origins([str(model)]))
    files = {} if runtime is None else fetch_runtime(runtime)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        folder = Path(name) / "site"
        folder.mkdir()
        write_onnx(network, folder / FILES["onnx"], describe_file(network, processor), one_attention=True, half=True)
        found = open_exported(folder / FILES["onnx"], network.config.num_labels)
        equal, _ = check_parity(Logits(network), found, ROUNDED)
        write_site(folder, settings, Path(model).name, licence, files)
        folder.rename(out)
    return [f"At {equal:.4%} of the pixels the strongest map is as before. Serve it: python -m http.server -d {out}"]


def opened(files: list[Path]) -> Iterator[Image.Image]:
    """Opens picture files one at a time; a refusal names the file."""
    for file in files:
        try:
            yield open_picture(file)
        except PictureError as error:
            raise PictureError(f"{file}: {error}") from error


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if nothing was exported."""
    parser = argparse.ArgumentParser(
        prog="carmask export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="model folder or model of the Hub")
    parser.add_argument("out", type=Path, help="folder to write, which must not exist")
    parser.add_argument("--to", choices=[*sorted(FILES), "web"], default="onnx", help="run-time (default: onnx)")
    parser.add_argument("--int8", type=Path, metavar="PICTURES", help="compute in int8, calibrated on this folder")
    parser.add_argument(
        "--self-contained", nargs="?", const="", metavar="DIST",
        help="with --to web: bring ONNX Runtime Web along, of this folder dist/ of its npm package or else of its CDN",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    if (arguments.int8 and arguments.to == "web") or (arguments.self_contained is not None and arguments.to != "web"):
        parser.error("--self-contained is for --to web alone, and --int8 for the other two")
    try:
        if arguments.to == "web":
            report = export_site(arguments.model, arguments.out, arguments.self_contained)
            print(f"{arguments.out} is written. {' '.join(report)}")
            return 0
        calibration = find_pictures(arguments.int8)[:MOST_CALIBRATION] if arguments.int8 else None
        report = export(arguments.model, arguments.out, arguments.to, calibration)
    except (DataError, ExportError, ModelError, PictureError, RunError, RuntimeFileError) as error:
        print(f"carmask export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"carmask export: {arguments.out} cannot be written ({error.strerror}).", file=sys.stderr)
        return 1
    print(f"{arguments.out} is written. {' '.join(report)}")
    return 0
