"""Tiny exports of every labelling tool, of two drawn pictures whose masks are known."""

import base64
import io
import json
import zlib

import numpy as np
from made_up import picture
from PIL import Image, ImageDraw

WIDTH, HEIGHT = SIZE = (96, 72)
CORNERS = {"a": [(20, 10), (80, 16), (70, 60), (40, 44), (14, 62)], "b": [(8, 30), (50, 8), (90, 50)]}
OTHER = [(0, 0), (12, 0), (12, 8), (0, 8)]  # of another class


def truth(name):
    """The mask of a picture, bool (height, width)."""
    return painted(CORNERS[name])


def painted(corners):
    """The mask of an outline, bool (height, width), drawn fine and made smaller."""
    drawn = Image.new("L", (WIDTH * 8, HEIGHT * 8))
    ImageDraw.Draw(drawn).polygon([(x * 8, y * 8) for x, y in corners], fill=255)
    return np.asarray(drawn.resize(SIZE, Image.Resampling.BOX)) > 127


def pictures(folder, names=("a", "b")):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        picture(seed, SIZE).save(folder / f"{name}.jpg")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def png(mask, mode="L"):
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).convert(mode).save(file, "PNG")
    return file.getvalue()


def text64(content):
    return base64.b64encode(content).decode()


def yolo_lines(name):
    fractions = [f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in CORNERS[name]]
    other = [f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in OTHER]
    return f"1 {' '.join(fractions)}\n0 {' '.join(other)}\n"


def yolo(root, images="images/train", labels="labels/train"):
    pictures(root / images)
    for name in CORNERS:
        write(root / labels / f"{name}.txt", yolo_lines(name))
    write(root / "data.yaml", "train: images/train\nnc: 2\nnames: [person, Car]\n")


def yolo_two_lists(root):
    yolo(root)
    write(root / "coco.yaml", "names: [car, person]\n")


def yolo_train_images(root):
    yolo(root, "train/images", "train/labels")
    write(root / "data.yaml", "train: ../train/images\nnames:\n  0: person\n  1: car\n")
    write(root / "README.roboflow.txt", "Exported by Roboflow\n")


def yolo_cvat(root):
    yolo(root, "obj_train_data", "obj_train_data")
    (root / "data.yaml").unlink()
    write(root / "obj.names", "person\ncar\n")
    write(root / "train.txt", "data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n")


def yolo_flat(root):
    yolo(root, ".", ".")
    (root / "data.yaml").unlink()
    write(root / "classes.txt", "person\ncar\n")


def labelme_json(name, **values):
    shapes = [{"label": "car", "points": CORNERS[name], "shape_type": "polygon", "group_id": None, "flags": {}}]
    shapes.append({"label": "person", "points": [[0, 0], [12, 8]], "shape_type": "rectangle"})
    content = {"version": "5.2.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
    return {**content, "imageHeight": HEIGHT, "imageWidth": WIDTH, **values}


def labelme(root):
    pictures(root)
    for name in CORNERS:
        write(root / f"{name}.json", labelme_json(name))


def labelme_embedded(root):
    pictures(root)
    for name in CORNERS:
        content = text64((root / f"{name}.jpg").read_bytes())
        write(root / f"{name}.json", labelme_json(name, imagePath=f"..\\photos\\{name}.jpg", imageData=content))
        (root / f"{name}.jpg").unlink()


def labelme_renamed(root):
    """Pictures and files that were renamed together; what lies in the files is still right."""
    pictures(root)
    for name, old in ("ab", "ba"):
        content = text64((root / f"{name}.jpg").read_bytes())
        write(root / f"{name}.json", labelme_json(name, imagePath=f"{old}.jpg", imageData=content))


def labelme_mask(root):
    pictures(root)
    for name in CORNERS:
        mask = truth(name)
        part = mask[8:65, 6:92]
        shape = {"label": "car", "points": [[6, 8], [91, 64]], "shape_type": "mask", "mask": text64(png(part))}
        write(root / f"{name}.json", labelme_json(name, shapes=[shape]))


def labelme_xml(root):
    pictures(root)
    for name, corners in CORNERS.items():
        points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in corners)
        polygon = f"<polygon><username>me</username>{points}</polygon>"
        one = f"<object><name>car</name><deleted>0</deleted>{polygon}</object>"
        gone = f"<object><name>person</name><deleted>1</deleted>{polygon}</object>"
        write(root / f"{name}.xml", f"<annotation><filename>{name}.jpg</filename>{one}{gone}</annotation>")


def roboflow_voc(root):
    pictures(root / "train")
    for name, corners in CORNERS.items():
        points = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate(corners, 1))
        box = "<bndbox><xmin>1</xmin></bndbox>"
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        one = f"<object><name>car</name>{box}<polygon>{points}</polygon></object>"
        head = f"<filename>{name}.jpg</filename>{size}"
        write(root / "train" / f"{name}.xml", f"<annotation>{head}{one}</annotation>")


def cvat_xml(shapes_of):
    images = "".join(
        f'<image id="{number}" name="{name}.jpg" width="{WIDTH}" height="{HEIGHT}">{shapes_of(name)}</image>'
        for number, name in enumerate(CORNERS)
    )
    labels = "<labels><label><name>car</name></label><label><name>person</name></label></labels>"
    head = f"<version>1.1</version><meta><task>{labels}</task></meta>"
    return f'\ufeff<?xml version="1.0" encoding="utf-8"?><annotations>{head}{images}</annotations>'


def cvat(root):
    pictures(root / "images")
    box = '<box label="person" xtl="1" ytl="1" xbr="9" ybr="9"/><tag label="car"/>'

    def shapes(name):
        points = ";".join(f"{x}.00,{y}.00" for x, y in CORNERS[name])
        return f'<polygon label="car" points="{points}" z_order="0"/>{box}'

    write(root / "annotations.xml", cvat_xml(shapes))


def run_lengths(flat):
    """Run lengths of a flat mask, background first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]])))
    return np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()


def cvat_masks(root):
    pictures(root / "images")

    def shapes(name):
        rows, columns = np.flatnonzero(truth(name).any(1)), np.flatnonzero(truth(name).any(0))
        top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
        part = truth(name)[top : bottom + 1, left : right + 1]
        counts = run_lengths(part.ravel())
        counts = counts[:-1] if counts[-1] == 0 else counts
        size = f'left="{left}" top="{top}" width="{part.shape[1]}" height="{part.shape[0]}"'
        return f'<mask label="car" rle="{", ".join(map(str, counts))}" {size}/>'

    write(root / "annotations.xml", cvat_xml(shapes))


def pack_brush(mask, literal=False):
    """Label Studio's packed run lengths of a mask's RGBA, written from their description."""
    pixels = np.where(mask, 255, 0).ravel()
    bits = f"{pixels.size * 4:032b}" + f"{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    if literal:
        channels = [int(value) for value in np.repeat(pixels, 4)]
        for start in range(0, len(channels), 200):
            part = channels[start : start + 200]
            bits += "0" + "10" + f"{len(part) - 1:08b}" + "".join(f"{value:08b}" for value in part)
    else:
        counts = run_lengths(mask.ravel())
        for place, count in enumerate(counts):
            left = count * 4
            while left:
                part = min(left, 2**16)
                which, width = (0, 3) if part <= 8 else (2, 8) if part <= 256 else (3, 16)
                bits += "1" + f"{which:02b}" + f"{part - 1:0{width}b}" + f"{255 * (place % 2):08b}"
                left -= part
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def studio_task(name, result, **values):
    data = {"image": f"/data/upload/1/8f3a2b1c-{name}.jpg"}
    annotation = {"id": 7, "was_cancelled": False, "result": result}
    return {"id": 1, "data": data, "annotations": [annotation], "predictions": [], **values}


def studio_region(kind, value, **values):
    sizes = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {"id": "x1", "type": kind, "from_name": "label", "to_name": "image", **sizes, "value": value, **values}


def studio_polygon(name):
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in CORNERS[name]]
    return studio_region("polygonlabels", {"points": points, "closed": True, "polygonlabels": ["car"]})


def label_studio(root):
    pictures(root / "photos")
    box = studio_region("rectanglelabels", {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["person"]})
    choice = {"id": "c", "type": "choices", "value": {"choices": ["night"]}}
    tasks = [studio_task(name, [studio_polygon(name), box, choice]) for name in CORNERS]
    write(root / "project-1.json", tasks)


def label_studio_two_pictures(root):
    pictures(root)
    of = {name: {"thumbnail": "a.jpg", "before": "b.jpg", "image": f"{name}.jpg"} for name in CORNERS}
    write(root / "project-1.json", [studio_task(name, [studio_polygon(name)], data=of[name]) for name in CORNERS])


def label_studio_local(root):
    pictures(root / "photos")
    region = {"a": pack_brush(truth("a")), "b": pack_brush(truth("b"), literal=True)}
    tasks = [
        studio_task(
            name,
            [studio_region("brushlabels", {"format": "rle", "rle": region[name], "brushlabels": ["car"]})],
            data={"image": f"/data/local-files/?d=photos/{name}.jpg", "note": "x"},
        )
        for name in CORNERS
    ]
    write(root / "project-1.json", tasks)


def label_studio_labels(root):
    """Outline and class in two results of one id."""
    label_studio(root)
    tasks = []
    for name in CORNERS:
        points = studio_polygon(name)["value"]["points"]
        outline = studio_region("polygon", {"points": points})
        tasks.append(studio_task(name, [outline, studio_region("labels", {"points": points, "labels": ["car"]})]))
    write(root / "project-1.json", tasks)


def via_entries():
    entries = {}
    for name, corners in CORNERS.items():
        shape = {"name": "polygon", "all_points_x": [x for x, _ in corners], "all_points_y": [y for _, y in corners]}
        regions = [{"shape_attributes": shape, "region_attributes": {"type": "car", "occluded": {"yes": False}}}]
        entries[f"{name}.jpg1234"] = {"filename": f"{name}.jpg", "size": 1234, "regions": regions}
    return entries


def via(root):
    pictures(root)
    write(root / "via.json", via_entries())


def via_project(root):
    pictures(root)
    write(root / "project.json", {"_via_settings": {}, "_via_img_metadata": via_entries(), "_via_attributes": {}})


def supervisely_file(objects):
    return {"description": "", "size": {"height": HEIGHT, "width": WIDTH}, "tags": [], "objects": objects}


def supervisely(root, objects_of=None):
    def polygon(name):
        points = {"exterior": CORNERS[name], "interior": []}
        return [{"classTitle": "car", "geometryType": "polygon", "points": points}]

    pictures(root / "ds/img")
    write(root / "meta.json", {"classes": [{"title": "car"}, {"title": "person"}], "tags": []})
    for name in CORNERS:
        write(root / f"ds/ann/{name}.jpg.json", supervisely_file((objects_of or polygon)(name)))


def supervisely_bitmap(root):
    def bitmap(name):
        mask = Image.fromarray(truth(name)[5:70, 4:94].astype(np.uint8)).convert("P")
        mask.putpalette([0, 0, 0, 255, 255, 255])
        file = io.BytesIO()
        mask.save(file, "PNG", transparency=0)
        data = text64(zlib.compress(file.getvalue()))
        return [{"classTitle": "car", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [4, 5]}}]

    supervisely(root, bitmap)


def voc(root):
    pictures(root / "JPEGImages")
    (root / "SegmentationClass").mkdir()
    palette = [value for index in range(256) for value in voc_colour(index)]
    for name in CORNERS:
        indices = truth(name).astype(np.uint8) * 7
        indices[:2] = 15
        mask = Image.fromarray(indices).convert("P")
        mask.putpalette(palette)
        mask.save(root / f"SegmentationClass/{name}.png")
    write(root / "ImageSets/Segmentation/train.txt", "a\n")
    write(root / "ImageSets/Segmentation/val.txt", "b\n")
    write(root / "ImageSets/Segmentation/trainval.txt", "a\nb\n")


def voc_colour(index):
    """VOC's palette, from its description in the development kit."""
    colour = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            colour[channel] |= (index >> (3 * place + channel) & 1) << (7 - place)
    return colour


def labelme2voc(root):
    """VOC's palette and folders, but classes of its own."""
    voc(root)
    names = ["_background_", *[f"thing {number}" for number in range(1, 7)], "car", *"abcdefg", "person"]
    write(root / "class_names.txt", "\n".join(names))


def voc_colours(root):
    voc(root)
    for path in (root / "SegmentationClass").iterdir():
        Image.open(path).convert("RGB").save(path)


def cvat_colours(root):
    pictures(root / "JPEGImages")
    (root / "SegmentationClass").mkdir()
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:250,50,83::\n")
    for name in CORNERS:
        mask = np.where(truth(name)[..., None], (250, 50, 83), (0, 0, 0)).astype(np.uint8)
        Image.fromarray(mask).save(root / f"SegmentationClass/{name}.png")
    write(root / "ImageSets/Segmentation/default.txt", "a\nb\n")


def roboflow_masks(root):
    pictures(root / "train")
    write(root / "train/_classes.csv", "Pixel Value, Class\n0, background\n1, car\n2, person\n")
    for name in CORNERS:
        indices = truth(name).astype(np.uint8)
        indices[0, :9] = 2
        Image.fromarray(indices).save(root / f"train/{name}_mask.png")


EXPORTS = [
    yolo, yolo_two_lists, yolo_train_images, yolo_cvat, yolo_flat, labelme, labelme_embedded, labelme_renamed,
    labelme_mask, labelme_xml, roboflow_voc, cvat, cvat_masks, label_studio, label_studio_two_pictures,
    label_studio_local, label_studio_labels, via, via_project, supervisely, supervisely_bitmap, voc, labelme2voc,
    voc_colours, cvat_colours, roboflow_masks,
]  # fmt: skip
