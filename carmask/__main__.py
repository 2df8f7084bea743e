"""The command line: pictures and folders of pictures in, one mask per picture out."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from carmask.pictures import PictureError, open_picture
from carmask.predictor import ModelError, Predictor

DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "models" / "car-mask-b0"
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".mpo", ".jfif"}


def probability(text: str) -> float:
    """Reads a threshold, a number between 0 and 1 (both excluded)."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m carmask", description="Writes NAME_mask.png for each picture.")
    parser.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE_OR_FOLDER", help="folders keep sub-folders")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the masks go")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model folder or model of the Hub")
    parser.add_argument("--threshold", type=probability, help="probability above which a pixel is car")
    return parser.parse_args(argv)


def find_pictures(inputs: list[Path], out: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs each picture with its mask's path: in `out`, below the sub-folders that it has in its input folder."""
    for given in inputs:
        if not given.is_dir():
            yield given, out / f"{given.stem}_mask.png"
            continue
        for path in sorted(given.rglob("*")):
            inside = path.relative_to(given)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.suffix.lower() in ENDINGS and not hidden and not is_mask(path, given, out):
                yield path, out / inside.with_name(f"{path.stem}_mask.png")


def is_mask(path: Path, given: Path, out: Path) -> bool:
    """Whether `path` below the input folder `given` is a mask that an earlier run wrote to `out`."""
    if given.resolve() in out.resolve().parents:
        return out.resolve() in path.resolve().parents
    partner = path.stem.removesuffix("_mask")
    return path.stem != partner and any(path.with_name(partner + ending).exists() for ending in ENDINGS)


def write_mask(predictor: Predictor, picture: Path, target: Path) -> None:
    """Writes the mask of one picture file as a PNG; the target appears whole or not at all.

    Raises:
        PictureError: the picture is refused.
        OSError: the mask cannot be written.
    """
    mask = Image.fromarray(predictor(open_picture(picture)))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        mask.save(unfinished, "PNG")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if anything failed."""
    arguments = parse_arguments(argv)
    try:
        predictor = Predictor.from_pretrained(arguments.model)
    except ModelError as error:
        print(f"carmask: {error}", file=sys.stderr)
        return 1
    if arguments.threshold:
        predictor = predictor.with_threshold(arguments.threshold)
    failed: list[str] = []
    written: dict[Path, Path] = {}
    start = time.monotonic()
    for picture, target in tqdm([*find_pictures(arguments.inputs, arguments.out)], disable=None, unit="picture"):
        if target in written and picture.resolve() == written[target].resolve():
            continue
        if target in written:
            failed.append(f"{picture}: its mask would replace that of {written[target]}; rename one of the two.")
            continue
        try:
            write_mask(predictor, picture, target)
            written[target] = picture
        except PictureError as error:
            failed.append(f"{picture}: {error}")
        except OSError as error:
            failed.append(f"{picture}: its mask cannot be written to {target} ({error.strerror}).")
    for line in failed:
        print(f"carmask: {line}", file=sys.stderr)
    rate = len(written) / max(time.monotonic() - start, 1e-9)
    print(f"{len(written)} masks written to {arguments.out} ({rate:.1f} pictures/s), {len(failed)} pictures failed.")
    if not written and not failed:
        print("carmask: there are no pictures in what was given.", file=sys.stderr)
    return int(bool(failed) or not written)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("carmask: stopped; the masks written so far are whole.")
