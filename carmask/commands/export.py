"""Exports a model for ONNX Runtime or OpenVINO, faster than torch on a CPU, or as a site that needs no server.

carmask export my-model
carmask export models/car-mask-b0 car-mask-openvino --to openvino
carmask export models/car-mask-fcn site --to web

The first line writes model.onnx into the folder itself, and from then on the page and the command line run it instead
of torch. The second writes a new model folder, which they take like any other. With --to web any host of static files
serves the folder, and the network runs in the visitor's browser. The network is the same function, from `pixel_values`
float32 (B, 3, H, W), luminance repeated over three channels and normalised with the mean and standard deviation that
the file names among its metadata, to `logits` float32 (B, labels, h, w), for any B, H and W.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from transformers import PreTrainedModel

from carmask.data.object_choice import add_object_labels
from carmask.errors import DataError, ExportError, ModelError, PictureError, RunError, RuntimeFileError
from carmask.files.picture_folders import find_pictures
from carmask.files.pictures import open_picture
from carmask.files.progress import progress
from carmask.hub.licences import licence_of, origins
from carmask.inference.exporting import (
    ROUNDED,
    check_parity,
    describe_file,
    is_half,
    write_beside,
    write_onnx,
    write_openvino,
)
from carmask.inference.loading import load_preprocessing
from carmask.inference.model_folder import settings_file
from carmask.inference.predictor import Predictor
from carmask.inference.quantize import dots_in_common, mask_overlap, write_int8
from carmask.inference.runtimes import FILES, PACKAGES, import_optional, open_exported
from carmask.inference.torch_network import load_network, torch_function
from carmask.tasks.auto import task_for
from carmask.tasks.mask_task import MaskTask
from carmask.web.site import fetch_runtime, page_settings, write_site

MOST_CALIBRATION = 100  # pictures; more change the ranges little


def write_folder(onnx_file: Path, folder: Path, to: str, model: str | Path, network: PreTrainedModel) -> None:
    """Writes the model folder of an ONNX file, which was exported from `model`, for the run-time `to`."""
    network.config.save_pretrained(folder)
    shutil.copy(settings_file(model, "preprocessor_config.json"), folder)
    if to == "openvino":
        write_openvino(onnx_file, folder / FILES[to], describe_file(network, load_preprocessing(model)))
    else:
        shutil.copy(onnx_file, folder / FILES[to])


def check_possible(model: str | Path, out: Path | None, to: str) -> None:
    """Finds out, before any work, whether `model` can be exported into `out`, or into its own folder.

    Raises:
        ExportError: `out` exists, or the model is no network of torch.
        RuntimeFileError: a package is missing.
    """
    if not out and (to != "onnx" or not Path(model).is_dir()):
        raise ExportError("A model folder itself takes model.onnx alone; say into which new folder to write.")
    if out and out.exists():
        raise ExportError(f"The output {out} exists; choose another or delete it.")
    if any((Path(model) / name).is_file() for name in FILES.values()) and not any(Path(model).glob("*.safetensors")):
        raise ExportError(f"The model {model} is exported already; give the folder of the trained network.")
    for package in ("onnx", PACKAGES.get(to, "onnxruntime")):
        import_optional(package)


def export(model: str | Path, out: Path | None, to: str, calibration: list[Path] | None = None) -> str:
    """Exports `model`, a folder or a model of the Hub, into the new folder `out`, or into its own.

    With `calibration`, picture files, the exported network computes in int8.

    Returns:
        What was measured, in a sentence.

    Raises:
        ExportError: `out` exists, or the exported network is not the same function; nothing is written then.
        ModelError: the model cannot be opened.
        PictureError: one of the pictures is refused.
        RuntimeFileError: a package is missing.
        OSError: `out` cannot be written.
    """
    check_possible(model, out, to)
    if not out and calibration:
        raise ExportError("int8 changes the masks, so it goes into a folder of its own; say which.")
    print("Writing the network as an ONNX file, and comparing it with torch's.", file=sys.stderr)
    if not out:
        return parity_words(*write_beside(Path(model)))
    network = load_network(model)
    facts, half = describe_file(network, load_preprocessing(model)), is_half(network)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        folder, plain = Path(name) / "float32", Path(name) / "float32.onnx"
        write_onnx(network, plain, facts, to == "onnx", half=half and to == "onnx" and not calibration)
        write_folder(plain, folder, to, model, network)
        exported = open_exported(folder / FILES[to], network.config.num_labels)
        report = parity_words(*check_parity(torch_function(network), exported))
        if calibration:
            before, file, folder = Predictor.from_pretrained(folder), Path(name) / "int8.onnx", Path(name) / "int8"
            pictures = progress(opened(calibration), "Calibrating int8", len(calibration))
            write_int8(plain, file, map(before.pixel_values, pictures))
            write_folder(file, folder, to, model, network)
            report = int8_words(before, Predictor.from_pretrained(folder), calibration)
        folder.rename(out)
    return report


def int8_words(before: Predictor, after: Predictor, calibration: list[Path]) -> str:
    """What int8 changes in the answers to some pictures, as a sentence."""
    pictures = progress(opened(calibration), "Comparing int8", len(calibration))
    if isinstance(after.task, MaskTask):
        overlap = mask_overlap(before, after, pictures)
        return f"The masks of int8 have an IoU of {overlap:.4f} with those of float32 on these pictures."
    same, found = dots_in_common(before, after, pictures)
    return f"Of {found} dots that float32 or int8 places on these pictures, {same} are the same within 1 %."


def parity_words(equal: float, difference: float) -> str:
    """What `check_parity` found, as a sentence."""
    return (
        f"At {equal:.4%} of the pixels the strongest map is as before, "
        f"and the logits are within {difference:.0e} of their spread."
    )


def export_site(model: str | Path, out: Path, runtime: str | None = None, object_labels: Sequence[str] = ()) -> str:
    """Writes a site that runs `model`, one for masks, in the visitor's browser, into the new folder `out`.

    With a `runtime` it brings ONNX Runtime Web along: of that folder, dist/ of its npm package, or if "" of its CDN.
    The `object_labels` are as for `Predictor.from_pretrained`.

    Returns what was measured, in a sentence; raises what `export` raises, or DataError.
    """
    check_possible(model, out, "web")
    network, preprocessing = load_network(model), load_preprocessing(model)
    try:
        task = task_for(network.config.to_dict(), object_labels)
    except ValueError as error:
        raise ExportError(f"The model {model} cannot be used: {error}.") from error
    if not isinstance(task, MaskTask):
        raise ExportError(f"The model {model} places dots, and the page draws masks; choose another model.")
    settings, licence = page_settings(task, preprocessing), licence_of(origins([str(model)]))
    files = {} if runtime is None else fetch_runtime(runtime)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        folder = Path(name) / "site"
        folder.mkdir()
        file = folder / FILES["onnx"]
        write_onnx(network, file, describe_file(network, preprocessing), one_attention=True, half=True)
        found = open_exported(file, network.config.num_labels)
        equal, _ = check_parity(torch_function(network), found, ROUNDED)
        write_site(folder, settings, Path(model).name, licence, files)
        folder.rename(out)
    return f"At {equal:.4%} of the pixels the strongest map is as before. Serve it: python -m http.server -d {out}"


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
    own = "folder to write, which must not exist (default: model.onnx goes into the model folder itself)"
    parser.add_argument("out", type=Path, nargs="?", help=own)
    parser.add_argument("--to", choices=[*sorted(FILES), "web"], default="onnx", help="run-time (default: onnx)")
    parser.add_argument("--int8", type=Path, metavar="PICTURES", help="compute in int8, calibrated on this folder")
    parser.add_argument(
        "--self-contained", nargs="?", const="", metavar="DIST",
        help="with --to web: bring ONNX Runtime Web along, of this folder dist/ of its npm package or else of its CDN",
    )  # fmt: skip
    add_object_labels(parser)
    arguments = parser.parse_args(argv)
    if arguments.object.classes and arguments.to != "web":
        parser.error("--object is for --to web alone; the other exports keep all labels")
    if (arguments.int8 and arguments.to == "web") or (arguments.self_contained is not None and arguments.to != "web"):
        parser.error("--self-contained is for --to web alone, and --int8 for the other two")
    try:
        if arguments.to == "web":
            if not arguments.out:
                raise ExportError("A site goes into a folder of its own; say which.")
            labels = arguments.object.classes
            report = export_site(arguments.model, arguments.out, arguments.self_contained, labels)
            print(f"{arguments.out} is written. {report}")
            return 0
        calibration = find_pictures(arguments.int8)[:MOST_CALIBRATION] if arguments.int8 else None
        report = export(arguments.model, arguments.out, arguments.to, calibration)
    except (DataError, ExportError, ModelError, PictureError, RunError, RuntimeFileError) as error:
        print(f"carmask export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"carmask export: {arguments.out or arguments.model} cannot be written ({error.strerror}).",
            file=sys.stderr,
        )
        return 1
    print(f"{arguments.out or Path(arguments.model) / FILES['onnx']} is written. {report}")
    return 0
