"""Puts a model folder on the Hub, with what its page shows."""

import shlex
from pathlib import Path

import yaml
from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCard, get_token

from carmask.errors import ModelError, RunError, RuntimeFileError, first_line
from carmask.hub.checks import NO_TOKEN, REFUSALS, refusal
from carmask.hub.licences import RESEARCH_ONLY, licence_of, origins
from carmask.hub.scores_file import read_scores, without_object
from carmask.inference.model_folder import MODEL_FILES, OUR_FILES, all_checkpoints, check_folder
from carmask.inference.predictor import Predictor
from carmask.inference.runtimes import FILES

PUBLISHED = MODEL_FILES | {"scores.json", "curves.png", "model.bin", *FILES.values()}
CARD = "README.md"
METRICS = {
    "iou": "IoU of the object, pooled over pixels",
    "boundary_iou": "Boundary IoU",
    "false_positive_share": "Share of pixels found, on pictures without the object",
    "f1_5": "F1 of dots within 5 %",
    "pck_5": "Dots found within 5 %",
}

NVIDIA_LICENCE = {
    "license_name": "nvidia-segformer-research-only",
    "license_link": "https://github.com/NVlabs/SegFormer/blob/master/LICENSE",
}


def find_files(folder: Path) -> list[Path]:
    """The files of a model folder that go up beside the card, after a look at the whole folder.

    Raises:
        ModelError: it cannot be opened.
        RunError: it has no card, its training is not finished, or something else lies in it.
    """
    check_folder(folder)
    if not (folder / "model.safetensors").is_file():
        raise RunError(f"The folder {folder} has no model.safetensors, without which nobody can open it on the Hub.")
    if all_checkpoints(folder):
        raise RunError(f"The training run in {folder} is not finished; go on with --resume first.")
    if not (folder / CARD).is_file():
        raise RunError(f"The folder {folder} has no {CARD}, the model's card; write one that says what it can do.")
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    foreign = [name for name in names if name not in OUR_FILES | PUBLISHED]
    if foreign:
        raise RunError(f"The folder {folder} holds {foreign[0]}, which is no part of a model; move it elsewhere.")
    Predictor.from_pretrained(folder)
    return [folder / name for name in names if name in PUBLISHED]


def make_card(folder: Path) -> ModelCard:
    """The card of a model folder, with its scores and its licence as metadata.

    Raises:
        RunError: the card, the scores or the configuration cannot be read.
    """
    try:
        card = ModelCard.load(folder / CARD)
        scores = read_scores(folder)["scores"] if (folder / "scores.json").is_file() else {}
        results = [result for split, values in scores.items() for result in evaluations(split, values)]
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise RunError(f"The {CARD} or scores.json of {folder} cannot be read; mend it or train again.") from error
    if results:
        card.data.model_name, card.data.eval_results = folder.name, results
    licence, terms = licence_of(origins([str(folder)]))
    card.data.license = card.data.license or licence
    if terms == RESEARCH_ONLY:
        card.data.license = "other"
        for key, value in NVIDIA_LICENCE.items():
            card.data[key] = value
        if terms.strip() not in card.text:
            card.text += f"\n{terms.strip()}\n"
    return card


def evaluations(split: str, scores: dict[str, dict[str, float]]) -> list[EvalResult]:
    """The scores of a split as the Hub wants them: for masks of each source, for dots of all names together."""
    dots = "f1_5" in scores["all"]
    if dots:
        scores = {"all": scores["all"]}
    elif len(scores) == 2:  # one source is all there is
        scores = {source: values for source, values in scores.items() if source != "all"}
    found = []
    for source, values in scores.items():
        for metric in METRICS.keys() & values.keys():
            if not dots and without_object(values) and metric != "false_positive_share":
                continue
            found.append(
                EvalResult(
                    task_type="keypoint-detection" if dots else "image-segmentation",
                    dataset_type=source,
                    dataset_name=f"{source} ({split})",
                    dataset_split=split,
                    metric_type=metric,
                    metric_name=METRICS[metric],
                    metric_value=round(values[metric], 4),
                )
            )
    return sorted(found, key=lambda one: (one.dataset_type, one.metric_type))


def publish(folder: Path, name: str, private: bool, hub: HfApi) -> tuple[str, str, str, list[str]]:
    """Puts a model on the Hub in one commit.

    Args:
        folder: the model folder, which stays as it is.
        name: of the model there, with or without its owner.
        private: whether it must not be seen by others.
        hub: where to.

    Returns:
        Its name with the owner, its licence, the revision of the commit, and the names of the files that went up.

    Raises:
        ModelError, RunError: it is not fit to be published, or is there already for all to see.
        HTTPError, OfflineModeIsEnabled, HFValidationError: what the Hub does not take, or that it is not reached.
    """
    files, card = find_files(folder), make_card(folder)
    owned = hub.create_repo(name, private=private, exist_ok=True).repo_id
    if private and not hub.model_info(owned).private:
        raise RunError(f"The model {owned} is on the Hub already, for all to see; make it private there first.")
    text = str(card)
    for line in ('from_pretrained("{}")', 'pipeline("image-segmentation", "{}"'):
        text = text.replace(line.format(folder.name), line.format(owned))
    text = text.replace(f"--model {shlex.quote(folder.name)} ", f"--model {owned} ")
    operations = [CommitOperationAdd(path.name, path) for path in files] + [CommitOperationAdd(CARD, text.encode())]
    commit = hub.create_commit(owned, operations, commit_message="Model, card and scores")
    return owned, card.data["license"], commit.oid, [CARD, *(path.name for path in files)]


def upload(folder: Path, name: str, private: bool = False) -> str:
    """Publishes a model folder; returns what to tell people.

    Raises:
        RunError: nothing was published; says in one sentence why.
    """
    if not get_token():
        raise RunError(NO_TOKEN)
    try:
        owned, licence, revision, files = publish(folder, name, private, HfApi())
    except RunError:
        raise
    except (ModelError, RuntimeFileError) as error:
        raise RunError(str(error)) from error
    except REFUSALS as error:
        raise RunError(refusal(error, name)) from error
    except (OSError, RuntimeError) as error:
        raise RunError(f"The upload broke off, so nothing is published ({first_line(error)}) Try again.") from error
    except ValueError as error:  # the Hub's words on the card's metadata, in several lines
        raise RunError(" ".join(str(error).split())) from error
    kept = sorted(path.name for path in folder.iterdir() if path.name not in files and not path.name.startswith("."))
    lines = [f"{owned} is published, licence {licence}, revision {revision}.", f"Uploaded: {', '.join(files)}."]
    lines += [f"Not uploaded: {', '.join(kept)}."] if kept else []
    return "\n".join([*lines, f'From Python: Predictor.from_pretrained("{owned}")'])
