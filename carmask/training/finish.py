"""The end of a training run: inference settings, scores, model card, pictures, and publishing."""

import shlex
from pathlib import Path

from datasets import Dataset, DatasetDict
from PIL.Image import Image

from carmask.data.card import grouped_by_of
from carmask.data.rows import spread
from carmask.errors import RunError
from carmask.evaluation.tuning import MIRRORS, Trial, best_of, chosen_among, store_settings, try_all
from carmask.evaluation.validation import BEST, FEWEST_TO_CHOOSE, Scores, kept_line, validate
from carmask.files.drawing import contact_sheet
from carmask.files.words import this_python
from carmask.hub.model_card import describe_inference_settings, tuned_words, write_report
from carmask.hub.upload import upload
from carmask.inference.exporting import refresh_exported
from carmask.inference.model_folder import LOCK
from carmask.inference.predictor import Predictor
from carmask.training.config import TrainConfig
from carmask.training.output_folder import remove_checkpoints
from carmask.training.setup import Choice
from carmask.training.state import Run

NAMED = {"mask": "Size, mirror image and threshold", "dots": "Size and mirror image"}  # dots always get a threshold
FEWEST_TO_TUNE, MOST_TO_TUNE = 20, 60  # validation pictures
WORST = 12  # cases that are drawn
SIZES = (0.75, 1.0, 1.25)  # tried, by the side at which the model sees pictures


def finish(run: Run, config: TrainConfig, choice: Choice, splits: DatasetDict, facts: dict) -> None:
    """Tunes and scores the model that was kept on validation, scores it on test too; writes its card and pictures."""
    output, validation = Path(config.output), splits["validation"]
    refresh_exported(output)
    predictor, kept = Predictor.from_pretrained(output), kept_line(run.history, len(validation))
    trial, whose, (on_validation, worst) = tuned(predictor, validation, choice, config, kept)
    predictor, scores = trial.predictor if trial else predictor, {"validation": on_validation}
    if "test" in splits:
        scores["test"], worst = validate(predictor, splits["test"], worst=WORST)
    if worst:
        contact_sheet(worst, columns=4, tile=240).save(output / "worst.png")
    if trial:
        store_settings(output, trial, choice.network)
    told = kept_words(run, facts["steps"], len(validation))
    facts = facts | {"network": choice.network, "seed": config.seed, "task": config.task, "kept": told}
    facts["start"] = "" if config.model else f", from {choice.name}"
    settings = describe_inference_settings(predictor, whose)
    facts |= {"inference_settings": settings, "labels": predictor.task.labels, "kept_step": kept["step"]}
    facts["grouped_by"] = grouped_by_of(config.data)
    write_report(output, facts, splits["train"], scores, run.history)
    remove_checkpoints(output)
    (output / LOCK).unlink()
    variable = {"mask": "CARMASK_MODEL", "dots": "CARMASK_DOTS_MODEL"}[config.task]
    command = f"{variable}={shlex.quote(str(output))} {shlex.quote(this_python())} app.py"
    print(f"The model is in {output}: {told}. Try it: {command}")
    if config.push_to_hub:
        push(output, config.push_to_hub)


def tuned(
    predictor: Predictor, validation: Dataset, choice: Choice, config: TrainConfig, kept: dict
) -> tuple[Trial | None, str, tuple[Scores, list[Image]]]:
    """The best inference settings on the validation pictures, or on some of very many, and a sentence that says so.

    None if the pictures are too few, or if the settings score less on all of them than those of the step that was
    `kept` did. And what `validate` gives for all of them, with the settings that hold.
    """
    if len(validation) < FEWEST_TO_TUNE:
        few = f"it takes {FEWEST_TO_TUNE} validation pictures to choose others, not {len(validation)}"
        print(f"{NAMED[config.task]} stay as they are: {few}.")
    else:
        some, (sides, mirrors) = spread(validation, MOST_TO_TUNE), tried(config, choice)
        chosen, best = chosen_among(sides, mirrors), BEST[config.task]
        print(f"Choosing {chosen} on {len(some)} validation pictures.", flush=True)
        trial = best_of(try_all(predictor, some, sides, mirrors))
        scored = validate(trial.predictor, validation, worst=WORST)
        if len(some) == len(validation) or scored[0]["all"][best] >= kept[best]:
            return trial, tuned_words(chosen, len(some)), scored
        print(f"On all {len(validation)} they score less, so {NAMED[config.task].lower()} stay as they are.")
    return None, choice.words(config.task), validate(predictor, validation, worst=WORST)


def tried(config: TrainConfig, choice: Choice) -> tuple[list[int], tuple[float, ...]]:
    """The sizes and mirror images that are tried: a size that was given stays.

    transformers' own pipeline shows a SegFormer no mirror image, so none is tried of it.
    """
    sides = [config.side] if config.side else sorted({round(choice.side * size / 32) * 32 or 32 for size in SIZES})
    return sides, (0.0,) if choice.square(config.task) else MIRRORS


def pictures_to_tune(config: TrainConfig, choice: Choice, validation: int) -> float:
    """As long as how many pictures are validated, of so many in all, the choice of inference settings takes."""
    if validation < FEWEST_TO_TUNE:
        return 0
    sides, mirrors = tried(config, choice)
    shares = sum((side / choice.side) ** 2 * (1 + mirror**2) for side in sides for mirror in mirrors)
    return shares * min(validation, MOST_TO_TUNE)


def kept_words(run: Run, steps: int, pictures: int) -> str:
    """Which step's weights were kept, and why, as a part of a sentence."""
    kept, last = kept_line(run.history, pictures)["step"], run.step
    why = f"the best on {pictures} validation pictures"
    if pictures < FEWEST_TO_CHOOSE:
        why = f"the last, since it takes {FEWEST_TO_CHOOSE} validation pictures to choose one, not {pictures}"
    ended = f" ({steps} were asked for)" if last < steps else ""
    return f"step {kept} of {last}{ended}, {why}"


def push(output: Path, name: str) -> None:
    """Publishes the finished model.

    Raises:
        RunError: the Hub does not take it; the model stays where it is.
    """
    try:
        print(upload(output.resolve(), name))
    except RunError as error:
        again = shlex.join(["carmask", "publish", str(output), name])
        raise RunError(f"The model is in {output}, but not on the Hub. {error} Then: {again}") from error
