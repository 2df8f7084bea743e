"""The end of a training run: inference settings, scores, model card, pictures, and publishing."""

import shlex
from pathlib import Path

from datasets import Dataset, DatasetDict

from carmask.data.card import grouped_by_of
from carmask.data.rows import spread
from carmask.errors import RunError
from carmask.evaluation.figures import write_worst
from carmask.evaluation.tuning import MIRRORS, Trial, best_of, chosen_among, store_settings, try_all
from carmask.evaluation.validation import BEST, FEWEST_TO_CHOOSE, kept_line, validate
from carmask.files.words import this_python
from carmask.hub.model_card import describe_inference_settings, tuned_words, write_report
from carmask.hub.upload import PublishError, upload
from carmask.inference.exporting import refresh_exported
from carmask.inference.model_folder import LOCK
from carmask.inference.predictor import Predictor
from carmask.training.config import TrainConfig
from carmask.training.output_folder import remove_checkpoints
from carmask.training.setup import Choice
from carmask.training.state import Run

NAMED = {"mask": "Size, mirror image and threshold", "dots": "Size and mirror image"}  # dots always get a threshold
FEWEST_TO_TUNE, MOST_TO_TUNE = 20, 60  # validation pictures
SIZES = (0.75, 1.0, 1.25)  # tried, by the side at which the model sees pictures


def finish(run: Run, config: TrainConfig, choice: Choice, splits: DatasetDict, facts: dict) -> None:
    """Tunes and scores the model that was kept on validation, scores it on test too; writes its card and pictures."""
    output, validation = Path(config.output), splits["validation"]
    refresh_exported(output)
    predictor, trial = Predictor.from_pretrained(output), None
    if len(validation) < FEWEST_TO_TUNE:
        few = f"it takes {FEWEST_TO_TUNE} validation pictures to choose others, not {len(validation)}"
        print(f"{NAMED[config.task]} stay as they are: {few}.")
        whose = choice.words(config.task)
    else:
        trial, whose = tuned(predictor, validation, choice, config, kept_line(run.history, len(validation)))
        predictor = trial.predictor if trial else predictor
    scores = {}
    for split in [name for name in ("validation", "test") if name in splits]:
        scores[split], worst = validate(predictor, splits[split], worst=12)
        write_worst(output, worst)
    if trial:
        store_settings(output, trial, choice.network)
    kept, told = kept_line(run.history, len(validation))["step"], kept_words(run, facts["steps"], len(validation))
    facts = facts | {"network": choice.network, "seed": config.seed, "task": config.task, "kept": told}
    facts["start"] = "" if config.model else f", from {choice.name}"
    settings = describe_inference_settings(predictor, whose)
    facts |= {"inference_settings": settings, "labels": predictor.task.labels, "kept_step": kept}
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
) -> tuple[Trial | None, str]:
    """The best inference settings on the validation pictures, or on some of very many, and a sentence that says so.

    None if they score less on all pictures than those of the step that was `kept` did.
    """
    some = spread(validation, MOST_TO_TUNE)
    sides, mirrors = tried(config, choice)
    chosen = chosen_among(sides, mirrors)
    print(f"Choosing {chosen} on {len(some)} validation pictures.", flush=True)
    trial, best = best_of(try_all(predictor, some, sides, mirrors)), BEST[config.task]
    if len(some) < len(validation) and validate(trial.predictor, validation)[0]["all"][best] < kept[best]:
        print(f"On all {len(validation)} they score less, so {NAMED[config.task].lower()} stay as they are.")
        return None, choice.words(config.task)
    return trial, tuned_words(chosen, len(some))


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
    except PublishError as error:
        again = shlex.join(["carmask", "publish", str(output), name])
        raise RunError(f"The model is in {output}, but not on the Hub. {error} Then: {again}") from error
