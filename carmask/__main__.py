"""The command line: pictures and folders of pictures in, a mask or a file of dots per picture out."""

import argparse
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from carmask.dot_files import dots_as_csv, dots_as_json
from carmask.pictures import PictureError, open_picture
from carmask.predictor import ModelError, Predictor, check_task
from carmask.tasks import Dot

MODELS = Path(__file__).resolve().parent.parent / "models"
DEFAULT_MODELS = {"mask": MODELS / "car-mask-b0", "dots": MODELS / "car-dots-b0"}
ANSWERS = {"mask": "_mask.png", "dots": "_dots.json"}  # what the name of an answer's file ends on
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".mpo", ".jfif"}


def probability(text: str) -> float:
    """Reads a threshold, a number between 0 and 1 (both excluded)."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m carmask",
        description="Writes NAME_mask.png for each picture; with a model for dots NAME_dots.json, and one dots.csv.",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE_OR_FOLDER", help="folders keep sub-folders")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the answers go")
    parser.add_argument("--model", help="model folder or model of the Hub; it knows its task")
    parser.add_argument("--task", choices=list(ANSWERS), help="demand this task (default: what the model does)")
    parser.add_argument(
        "--threshold", type=probability, help="probability above which a pixel is car, or a dot is in the picture"
    )
    return parser.parse_args(argv)


def find_pictures(inputs: list[Path], out: Path, ending: str = "_mask.png") -> Iterator[tuple[Path, Path]]:
    """Pairs each picture with its answer's path: in `out`, below the sub-folders that it has in its input folder."""
    for given in inputs:
        if not given.is_dir():
            yield given, out / f"{given.stem}{ending}"
            continue
        for path in sorted(given.rglob("*")):
            inside = path.relative_to(given)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.suffix.lower() in ENDINGS and not hidden and not is_mask(path, given, out):
                yield path, out / inside.with_name(f"{path.stem}{ending}")


def is_mask(path: Path, given: Path, out: Path) -> bool:
    """Whether `path` below the input folder `given` is a mask that an earlier run wrote to `out`."""
    if given.resolve() in out.resolve().parents:
        return out.resolve() in path.resolve().parents
    partner = path.stem.removesuffix("_mask")
    return path.stem != partner and any(path.with_name(partner + ending).exists() for ending in ENDINGS)


def write_answer(predictor: Predictor, picture: Path, target: Path) -> list[Dot]:
    """Writes the answer for one picture file: a mask as PNG or dots as JSON.

    Returns:
        The dots, if the model places dots.

    Raises:
        PictureError: the picture is refused.
        OSError: the answer cannot be written.
    """
    opened = open_picture(picture)
    answer = predictor(opened)
    target.parent.mkdir(parents=True, exist_ok=True)
    if predictor.task.kind == "dots":
        text = dots_as_json(picture.name, (opened.height, opened.width), answer)
        write_whole(target, text.encode())
        return answer
    store = io.BytesIO()
    Image.fromarray(answer).save(store, "PNG")
    write_whole(target, store.getvalue())
    return []


def write_whole(target: Path, content: bytes) -> None:
    """Writes a file that appears whole or not at all."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def write_answers(
    predictor: Predictor, found: list[tuple[Path, Path]], out: Path
) -> tuple[dict[Path, tuple[str, list[Dot]]], list[str]]:
    """Writes the answer for each picture that is paired with the answer's path.

    Returns:
        For each path written, the picture's path as seen from `out`, and its dots; and what failed, in sentences.
    """
    failed: list[str] = []
    asked: dict[Path, Path] = {}
    answers: dict[Path, tuple[str, list[Dot]]] = {}
    for picture, target in tqdm(found, disable=None, unit="picture"):
        if target in answers:
            if picture.resolve() != asked[target].resolve():
                failed.append(f"{picture}: its answer would replace that of {asked[target]}; rename one of the two.")
            continue
        try:
            dots = write_answer(predictor, picture, target)
        except PictureError as error:
            failed.append(f"{picture}: {error}")
        except OSError as error:
            failed.append(f"{picture}: its answer cannot be written to {target} ({error.strerror}).")
        else:
            asked[target] = picture
            answers[target] = (target.relative_to(out).with_name(picture.name).as_posix(), dots)
    return answers, failed


def open_model(arguments: argparse.Namespace) -> Predictor:
    """Opens the model that the command line asks for.

    Raises:
        ModelError: it cannot be used, or does not do the task that is demanded.
    """
    predictor = Predictor.from_pretrained(arguments.model or DEFAULT_MODELS[arguments.task or "mask"])
    if arguments.task:
        check_task(predictor, arguments.task)
    return predictor.with_threshold(arguments.threshold) if arguments.threshold else predictor


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if anything failed."""
    arguments = parse_arguments(argv)
    try:
        predictor = open_model(arguments)
    except ModelError as error:
        print(f"carmask: {error}", file=sys.stderr)
        return 1
    start = time.monotonic()
    ending = ANSWERS[predictor.task.kind]
    found = [*find_pictures(arguments.inputs, arguments.out, ending)]
    answers, failed = write_answers(predictor, found, arguments.out)
    if predictor.task.kind == "dots" and answers:
        table = arguments.out / "dots.csv"
        try:
            write_whole(table, dots_as_csv(answers.values()).encode())
        except OSError as error:
            failed.append(f"{table} cannot be written ({error.strerror}).")
    for line in failed:
        print(f"carmask: {line}", file=sys.stderr)
    rate = len(answers) / max(time.monotonic() - start, 1e-9)
    kind = {"mask": "masks", "dots": "files of dots"}[predictor.task.kind]
    print(f"{len(answers)} {kind} written to {arguments.out} ({rate:.1f} pictures/s), {len(failed)} pictures failed.")
    if not found:
        print("carmask: there are no pictures in what was given.", file=sys.stderr)
    return int(bool(failed) or not answers)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("carmask: stopped; the files written so far are whole.")
