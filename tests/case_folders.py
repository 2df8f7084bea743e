"""Draws the folders of labelled pictures that people have: photo k shows the outline k, however it is stored."""

import json
import shutil

import numpy as np
import tool_exports
from datasets import Dataset, DatasetDict
from made_up import picture
from PIL import Image
from tool_exports import CORNERS, HEIGHT, SIZE, WIDTH, painted, run_lengths, write

OUTLINES = [*CORNERS.values(), [(30, 20), (60, 12), (84, 50), (24, 64)], [(50, 30), (90, 66), (8, 64), (30, 34)]]
TRUTH = [painted(corners) for corners in OUTLINES]  # bool (height, width)
MODES = ("CMYK", "L", "LA", "RGBA", "P", "I;16", "1")
ENDINGS = ("jpg", "png", "png", "webp", "gif", "tif", "bmp")


def photo(number):
    return picture(number, SIZE)


def black_white(mask, number):
    return mask * 255


def save(path, content):
    """Writes a photo, or the numbers of a mask as a picture or an array of numpy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, content)
    else:
        as_image(content).save(path, quality=90)


def as_image(content):
    """A picture as it is, or numbers as one: of 8 bits unless they have more."""
    if isinstance(content, Image.Image):
        return content
    return Image.fromarray(content if content.dtype == np.uint16 else content.astype(np.uint8))


def draw(root, photos="photos/{}.jpg", masks="masks/{}.png", paint=black_white, numbers=(0, 1, 2)):
    """Draws photos and what `paint` makes of their masks, bool (height, width)."""
    for number in numbers:
        save(root / photos.format(number), photo(number))
        save(root / masks.format(number), paint(TRUTH[number % 4], number))


def cityscapes(root):
    """One folder with labels of one kind, and another with both; views in colours lie beside them."""
    start = "train/ulm/ulm_00000{}_000019"
    for labels, paint in (
        ("only/{}_gtFine_labelTrainIds", lambda mask, number: mask * 13),
        ("only/{}_gtFine_color", colours),
        ("both/{}_gtFine_labelTrainIds", lambda mask, number: mask * 13),
        ("both/{}_gtFine_labelIds", lambda mask, number: mask * 26),
    ):
        draw(root, f"leftImg8bit/{start}_leftImg8bit.png", f"{labels.format(start)}.png", paint)


def soft(mask, number):
    """The mask with edges of grey."""
    fine = Image.fromarray(mask).convert("L").resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX)
    return fine.resize(SIZE, Image.Resampling.BICUBIC)


def cut_out(mask, number):
    """The photo, transparent where the mask is not."""
    photo_with_alpha = photo(number).convert("RGBA")
    photo_with_alpha.putalpha(Image.fromarray(mask).convert("L"))
    return photo_with_alpha


def half_of(part):
    """Paints the left or the right half of masks, as of two objects."""
    where = np.arange(WIDTH) // (WIDTH // 2) == part
    return lambda mask, number: mask * where * 255


def colours(mask, number):
    """CVAT's colours, with another class in a corner."""
    numbers = np.where(mask[..., None], (250, 50, 83), (0, 0, 0))
    numbers[:4, :4] = (0, 9, 9)
    return numbers


def cvat_colours(root):
    draw(root, "JPEGImages/{}.jpg", "SegmentationClass/{}.png", colours)
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:250,50,83::\nbus:0,9,9::\n")


def spread(car, ground, border):
    """Paints label maps of two classes, whose last rows are a border."""

    def paint(mask, number):
        numbers = np.where(mask, car, ground)
        numbers[-4:] = border
        return numbers

    return paint


def indices(car, border):
    """Paints label maps of the indices of VOC's palette."""

    def paint(mask, number):
        stored = as_image(spread(car, 0, border)(mask, number))
        stored.putpalette([channel for index in range(256) for channel in tool_exports.voc_colour(index)])
        return stored

    return paint


def classes(mask, number):
    """Class 1 where the mask is, class 2 in a corner of some; of the last photos class 2 alone."""
    numbers = mask * int(number < 3)
    numbers[:6, :6] = 2 * (number > 0)
    return numbers


def void(mask, number):
    """Class 1 where the mask is; of the last photos a border of 255 alone."""
    return mask * 1 if number < 3 else np.where(np.arange(HEIGHT)[:, None] < 20, 255, mask * 0)


def photos_of_all_modes(root):
    draw(root, numbers=range(7))
    for number, (mode, ending) in enumerate(zip(MODES, ENDINGS, strict=True)):
        grey = np.asarray(photo(number).convert("L")).astype(np.uint16)
        stored = Image.fromarray(grey * 257) if mode == "I;16" else photo(number).convert(mode)
        (root / f"photos/{number}.jpg").unlink()
        save(root / f"photos/{number}.{ending}", stored)


def jpeg_masks(root):
    draw(root, masks="masks/{}.jpg")
    for path in (root / "masks").iterdir():
        save(root / "masks-as-png" / f"{path.stem}.png", Image.open(path))


def litter(root):
    draw(root, "photos/{}.JPEG")
    for name in ("photos/._0.JPEG", "photos/__MACOSX/._0.JPEG", "photos/Thumbs.db", "photos/desktop.ini",
                 "masks/._0.png", "masks/.DS_Store"):  # fmt: skip
        write(root / name, "Mac OS X        ")
    (root / "photos/empty").mkdir()


def link(root):
    """Sub-folders that are links to others outside."""
    draw(root, "photos/a/{}.jpg", "masks/a/{}.png", numbers=(0, 1))
    draw(root, "elsewhere/photos/{}.jpg", "elsewhere/masks/{}.png", numbers=(2, 3))
    for kind in ("photos", "masks"):
        (root / kind / "b").symlink_to(root / "elsewhere" / kind)


def copy_links(root):
    for kind in ("photos", "masks"):
        (root / kind / "b").unlink()
        shutil.copytree(root / "elsewhere" / kind, root / kind / "b")


def official(root):
    for number, split in enumerate(("train", "val", "test")):
        draw(root, f"photos/{split}/{{}}.jpg", f"masks/{split}/{{}}.png", numbers=[number])


def outline(number):
    return {"category_id": 1, "iscrowd": 0, "segmentation": [np.ravel(OUTLINES[number]).tolist()]}


def coco(root, key="images", change=lambda one, number: {}, count=3, encoding="utf-8"):
    """A COCO file of photos and outlines, in which `change` alters each entry of a list; None takes a value out."""
    ids = [{"id": number + 1, "image_id": number + 1} for number in range(count)]
    images = [{"file_name": f"{one['id'] - 1}.jpg", "width": WIDTH, "height": HEIGHT} | one for one in ids]
    annotations = [outline(number) | one for number, one in enumerate(ids)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    for number, one in enumerate(content[key]):
        altered = {**one, **change(one, number)}
        content[key][number] = {name: value for name, value in altered.items() if value is not None}
    for number in range(count):
        save(root / f"images/{number}.jpg", photo(number))
    (root / "annotations.json").write_text(json.dumps(content), encoding)


def run_length(one, number, crowd=0):
    """The changes that give an annotation run lengths in place of its outline."""
    lengths = {"size": [HEIGHT, WIDTH], "counts": run_lengths(TRUTH[number].T.ravel())}
    return {"segmentation": lengths, "iscrowd": crowd}


def roboflow(root):
    """An export whose three splits have the photos 0, 1 and 2."""
    for number, split in enumerate(("train", "valid", "test")):
        save(root / split / f"p{number}_jpg.rf.0a1b2c.jpg", photo(number))
        content = {
            "images": [{"id": 7, "file_name": f"p{number}_jpg.rf.0a1b2c.jpg", "width": WIDTH, "height": HEIGHT}],
            "annotations": [{"id": 1, "image_id": 7} | outline(number)],
            "categories": [{"id": 0, "name": "cars-abc"}, {"id": 1, "name": "Car", "supercategory": "cars-abc"}],
        }
        write(root / split / "_annotations.coco.json", content)


def keypoints(root):
    """Two points in place of each outline, of which one lies a pixel outside the photo."""
    points = [[9, 20, 2, x, 9, 2] for x in (50, -1, 50)]
    coco(root, "annotations", lambda one, number: {"segmentation": [], "keypoints": points[number]})
    content = json.loads((root / "annotations.json").read_text())
    content["categories"][0]["keypoints"] = ["front", "back"]
    write(root / "annotations.json", content)


def csv(root, *lines):
    for number in range(3):
        save(root / f"photos/{number}.jpg", photo(number))
    write(root / "points.csv", "\n".join(lines))


def with_missing(word):
    rows = "0.jpg,50,25,{0},{0}", "1.jpg,90,60,30,40", "2.jpg,{0},{0},10,40"
    return lambda root: csv(root, "file,nose_x,nose_y,eye_x,eye_y", *(row.format(word) for row in rows))


def with_names(header, *names, row="{},{},{}"):
    points = zip(names, (50, 90, 10), (25, 60, 40), strict=True)
    return lambda root: csv(root, header, *(row.format(*point) for point in points))


def saved(root, paint=black_white, columns=("image", "mask"), **splits):
    """A data set as `save_to_disk` writes it: the number of photos of each split."""
    shutil.rmtree(root / "set", ignore_errors=True)
    parts, first = {}, 0
    for split, count in (splits or {"train": 4}).items():
        numbers = range(first, first + count)
        contents = ([photo(k) for k in numbers], [as_image(paint(TRUTH[k % 4], k)) for k in numbers])
        parts[split] = Dataset.from_dict(dict(zip(columns, contents, strict=True)))
        first += count
    DatasetDict(parts).save_to_disk(root / "set")


def image_folder(root):
    draw(root, "set/train/images/{}.jpg", "set/train/masks/{}.png", numbers=range(4))
    rows = [f"images/{number}.jpg,masks/{number}.png" for number in range(4)]
    write(root / "set/train/metadata.csv", "\n".join(["file_name,mask_file_name", *rows]))
