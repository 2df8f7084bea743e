"""The page's own components, each of three files in assets/: NAME.html, NAME.css and NAME.js.

`painter` is the canvas with its brushes; the comment in painter.js describes its value. `overlay_slider` shows two
pictures of one size, one over the other; its value is {"under": file, "over": file} or None. It is not
`gr.ImageSlider`, which (gradio 6.31) cannot be moved by keyboard and gives its pictures no alternative text.
"""

from pathlib import Path

import gradio as gr

from carmask.files.words import DEFAULT_OBJECT

ASSETS = Path(__file__).resolve().parent / "assets"


def html_component(name: str, label: str, elem_id: str, object_name: str = DEFAULT_OBJECT) -> gr.HTML:
    """Builds the component called `name`, whose texts say what the object is called."""
    template, style, script = (
        (ASSETS / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    # A label comes from a model's file: what HTML or gradio's templates may read as more than a letter is written out.
    plain = "".join(letter if letter.isalnum() or letter == " " else f"&#{ord(letter)};" for letter in object_name)
    return gr.HTML(
        html_template=template.replace("OBJECT_NAME", plain),
        css_template=style,
        js_on_load=script,
        apply_default_css=False,
        label=label,
        show_label=True,
        container=True,
        elem_id=elem_id,
    )
