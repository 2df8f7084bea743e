"""Which labelling tool writes JSON like this."""


def format_of_json(content: object) -> str | None:
    """The format of the content of a JSON file; None if it is none that is known."""
    if isinstance(content, dict):
        keys = content.keys()
        if "annotations" in keys and "images" in keys:
            return "COCO"
        if "shapes" in keys and keys & {"imagePath", "imageData", "imageHeight", "version"}:
            return "LabelMe"
        if {"objects", "size"} <= keys:
            return "Supervisely"
        if {"metadata", "view", "file"} <= keys:
            return "VIA 3"
        first = next(iter(content.values()), None)
        entry = isinstance(first, dict) and {"filename", "regions"} <= first.keys()
        return "VIA" if isinstance(content.get("_via_img_metadata"), dict) or entry else None
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return None
    if "data" in first and first.keys() & {"annotations", "completions"}:
        return "LabelStudio"
    return "JSON_MIN" if first.keys() & {"annotator", "annotation_id", "lead_time"} else None
