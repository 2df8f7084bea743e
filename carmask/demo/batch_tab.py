"""The demo's tab for many pictures: pictures or a zip of them in, one zip of masks with a table out."""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import gradio as gr
import numpy as np
from PIL import Image

from carmask.demo.mask_answer import doubtful_share, find_model, mask_at, small_overlay
from carmask.demo.picture_zips import MAX_PICTURES, BatchPicture, is_taken, mask_name, opened_batch
from carmask.demo.server.gpu import FindMaps, view_of
from carmask.demo.uploads import GONE, PRIVATE, Upload, extend_lifetime, path_for_page
from carmask.errors import PictureError, shortened
from carmask.files.tables import as_csv
from carmask.files.words import capital
from carmask.inference.predictor import Predictor
from carmask.tasks.mask_task import MaskTask

GALLERY_SIDE = 640  # pixels of the longest side of an overlay in the gallery
CHOOSE_FILES = f"Choose up to {MAX_PICTURES} pictures, or one zip of them, then draw their masks."
NO_MASKS = "There are no masks; the message says why."
TABLE = "masks.csv"
FAILED = "This picture could not be answered; try it alone, in the tab Mask."
TAKEN = "Its mask would replace that of another picture; rename one of the two."


class BatchRow(NamedTuple):
    """A row of the table: shares of the picture, 0 to 1, or why it was refused."""

    file: str
    share: float | None = None
    doubtful_share: float | None = None
    seconds: float | None = None
    refused: str = ""


class BatchAnswer(NamedTuple):
    """What the page shows of a batch: the table, the file and caption of each mask's overlay, the object's name."""

    rows: list[BatchRow]
    overlays: list[tuple[str, str]]
    object_name: str


def draw_mask(
    given: BatchPicture, find_margin: Callable[[Image.Image], np.ndarray], threshold: float, archive: ZipFile
) -> tuple[BatchRow, Image.Image]:
    """Adds a picture's mask to the zip; returns its row and its overlay.

    Raises:
        PictureError: The picture is refused, or its name is.
    """
    start = time.perf_counter()
    target = mask_name(given.name)
    if is_taken(target, [TABLE, *archive.namelist()]):
        raise PictureError(TAKEN)
    picture = given.open()
    size = (picture.height, picture.width)
    margin = find_margin(picture) if given.margin is None else given.margin
    mask = mask_at(margin, threshold, size)
    share, doubtful = round(np.count_nonzero(mask) / mask.size, 5), round(doubtful_share(margin, size), 5)
    overlay, packed = small_overlay(picture, Image.fromarray(mask), GALLERY_SIDE), BytesIO()
    Image.fromarray(mask).save(packed, "PNG", compress_level=1)
    archive.writestr(target, packed.getvalue())
    return BatchRow(given.name, share, doubtful, round(time.perf_counter() - start, 2)), overlay


def refusal_of(error: Exception) -> str:
    """Why a picture of a batch has no mask, in one sentence; what nobody foresaw is logged."""
    if isinstance(error, PictureError):
        return str(error)
    if isinstance(error, gr.Error):  # a Space that lends no GPU any more says so
        return error.message
    logging.error("A picture of a batch failed: %s", shortened(repr(error), 200))
    return FAILED


def seen_together(
    pictures: list[BatchPicture], predictor: Predictor, find_maps: FindMaps
) -> Iterator[list[BatchPicture]]:
    """Has the network see all pictures in one run; yields them as they are before each is read, then with margins."""
    views = {}
    for place, given in enumerate(pictures):
        yield pictures
        try:
            views[place] = view_of(predictor, given.open())
        except Exception as error:  # said where its mask would be drawn
            logging.debug("%s: %s", given.name, error)
    margins = dict(zip(views, find_maps(predictor, list(views.values())), strict=True))
    yield [given._replace(margin=margins.get(place)) for place, given in enumerate(pictures)]


def draw_masks(
    pictures: Sequence[BatchPicture], find_margin: Callable[[Image.Image], np.ndarray], task: MaskTask, answer: Path
) -> Iterator[BatchAnswer]:
    """Draws the masks of pictures into the zip `answer`; yields the progress before each."""
    drawn = BatchAnswer([], [], task.name)
    with ZipFile(answer, "w") as archive:
        for given in pictures:
            yield drawn
            path = answer.with_name(f"{len(drawn.rows)}.jpg")
            try:
                row, overlay = draw_mask(given, find_margin, task.threshold, archive)
                overlay.save(path)
            except Exception as error:  # whatever fails with one picture, the others keep their masks
                drawn.rows.append(BatchRow(given.name, refused=refusal_of(error)))
                continue
            drawn.rows.append(row)
            drawn.overlays.append((str(path), f"{row.file} · {as_percent(row.share)}"))
        first, second, *rest = BatchRow._fields
        archive.writestr(TABLE, as_csv([first, f"{task.name}_{second}", *rest], drawn.rows))


def make_batch(
    models: Sequence[str],
    open_model: Callable[[str], Predictor],
    find_margin: Callable[[str, Image.Image], np.ndarray],
    find_maps: FindMaps | None = None,
) -> Callable[..., Generator[tuple]]:
    """Returns the function behind the tab and the API; the first of the models is the default.

    Each step draws one picture, so that other visitors' pictures are answered in between. With `find_maps` the network
    sees all of them in one run before, since a GPU is lent for a run.
    """

    def batch(
        files: list[Upload],
        model: str | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - where gradio looks for it
    ) -> Generator[tuple]:
        """Finds the objects in many pictures with the model of that name.

        Takes up to 100 picture files, or one zip of them, of 200 MB together. Returns a zip of masks, NAME_mask.png in
        the sub-folders of the zip that was given, each a PNG of the upright picture's size with 255 where the object
        is and 0 elsewhere, and masks.csv with every picture's share of the object, doubtful share and
        seconds, or why it was refused; and one line of text. Progress is reported meanwhile.
        """
        name, task = find_model(models, open_model, model)
        start = time.perf_counter()
        with opened_batch(files) as pictures:
            answer = path_for_page(files[0] if len(files) == 1 else {"path": "pictures"}, "_masks.zip")
            if find_maps:
                for read, seen in enumerate(seen_together(pictures, open_model(name), find_maps)):
                    yield gr.skip(), f"{read} of {len(seen)} pictures are read.", gr.skip()
                pictures = seen
            for drawn in draw_masks(pictures, partial(find_margin, name), task, answer):
                extend_lifetime(*(upload["path"] for upload in files), str(answer), *dict(drawn.overlays))
                progress((len(drawn.rows), len(pictures)), unit="pictures")
                yield gr.skip(), f"{len(drawn.rows)} of {len(pictures)} pictures are done.", gr.skip()
        yield str(answer), describe_batch(drawn.rows, time.perf_counter() - start, name), drawn

    return batch


def describe_batch(rows: Sequence[BatchRow], seconds: float, model_name: str) -> str:
    """Describes a batch in one line: masks drawn, pictures refused, time and model."""
    refused = sum(bool(row.refused) for row in rows)
    return f"Masks drawn: {len(rows) - refused} · refused: {refused} · {seconds:.1f} s · {model_name}"


def show_batch(drawn: BatchAnswer | None) -> list:
    """Fills the gallery and the table, and enables the download."""
    if drawn is None:
        raise gr.Error(GONE, print_exception=False)
    shown = [[row.file, *map(as_percent, row[1:3]), row.refused] for row in drawn.rows]
    table = gr.Dataframe(shown, headers=table_head(drawn.object_name), visible=True)
    return [drawn.overlays, table, gr.DownloadButton(interactive=True)]


def table_head(object_name: str) -> list[str]:
    """The heads of the table's columns."""
    return ["File", capital(object_name), "Doubtful", "Refused"]


def as_percent(share: float | None) -> str:
    """Formats a share; blank for None."""
    return "" if share is None else f"{share:.1%}"


def no_batch(line: str) -> list:
    """The tab's outputs without an answer."""
    return [None, gr.Dataframe(None, visible=False), gr.DownloadButton(value=None, interactive=False), line, None]


def many_tab(batch: Callable[..., Generator[tuple]], models: Sequence[str], object_name: str) -> None:
    """Lays out the tab inside the page that is being built; the API offers `batch` as `/batch`."""
    with gr.Row(equal_height=True):
        files = gr.File(label="Pictures, or one zip of them", file_count="multiple", height=386, elem_id="files")
        gallery = gr.Gallery(
            label="Overlays", columns=3, height=420, object_fit="contain", buttons=["fullscreen"],
            interactive=False, elem_id="gallery",
        )  # fmt: skip
    with gr.Row(elem_id="many-actions"):
        line = gr.Markdown(CHOOSE_FILES, label="Result", elem_id="many-line")
        button: dict = {"scale": 0, "min_width": 200}
        start = gr.Button("Draw masks", variant="primary", elem_id="draw", **button)
        download = gr.DownloadButton("Download masks", interactive=False, elem_id="download-masks", **button)
    model = gr.Dropdown(list(models), label="Model", filterable=False, visible=len(models) > 1, elem_id="many-model")
    table = gr.Dataframe(
        headers=table_head(object_name), column_widths=["25%", "18%", "23%", "34%"], label="Pictures",
        interactive=False, visible=False, wrap=True, elem_id="many-table",
    )  # fmt: skip
    drawn, shown = gr.State(), [gallery, table, download]
    latest: dict = {"api_name": "batch", "show_progress_on": gallery, "preprocess": False}
    answered = start.click(batch, [files, model], [download, line, drawn], **latest)
    answered.success(show_batch, drawn, shown, **PRIVATE)
    answered.failure(lambda: no_batch(NO_MASKS), None, [*shown, line, drawn], **PRIVATE)
    files.clear(lambda: no_batch(CHOOSE_FILES), None, [*shown, line, drawn], cancels=answered, **PRIVATE)
