"""Two pictures of one size, one over the other, with a slider between them; it works by mouse, finger and keyboard."""

import gradio as gr

HTML = """
<div class="stack">
  <img class="under" alt="The picture"><img class="over" alt="The picture with the car in red">
</div>
<label>Picture <input type="range" min="0" max="100" value="50"
  aria-label="How much of the picture is seen under its overlay"> Overlay</label>
"""

CSS = """
.stack {display: grid; height: 322px; margin-top: 28px;}
.stack img {grid-area: 1 / 1; width: 100%; height: 100%; min-height: 0; object-fit: contain;}
.stack img:not([src]) {visibility: hidden;}
label {display: flex; align-items: center; gap: 8px; min-height: 40px; font-size: var(--text-sm);
  color: var(--body-text-color-subdued);}
input {flex: 1; min-width: 0; accent-color: var(--color-accent); cursor: pointer;}
input:focus-visible {outline: 3px solid var(--color-accent); outline-offset: 2px;}
@media (max-width: 640px) { .stack {height: 222px;} }
"""

JS = """
const slider = element.querySelector("input"), over = element.querySelector(".over");
function slide() {
  const { width, height, naturalWidth, naturalHeight } = over;
  const shown = Math.min(width, height * naturalWidth / naturalHeight || width);
  over.style.clipPath = `inset(0 0 0 ${(width - shown) / 2 + (shown * slider.value) / 100}px)`;
}
slider.addEventListener("input", slide);
over.addEventListener("load", slide);
new ResizeObserver(slide).observe(over);
function fill() {
  const { root, api_prefix } = window.gradio_config;
  for (const name of ["under", "over"]) {
    const image = element.querySelector("." + name);
    if (props.value) image.src = `${root}${api_prefix}/file=${encodeURI(props.value[name])}`;
    else image.removeAttribute("src");
  }
}
fill(); // the first value is there before there is anything to watch
watch("value", fill);
"""


def slider_view(label: str, elem_id: str) -> gr.HTML:
    """The view; its value is {"under": file, "over": file}, two PNGs among the answers, or None."""
    return gr.HTML(
        html_template=HTML,
        css_template=CSS,
        js_on_load=JS,
        apply_default_css=False,
        label=label,
        show_label=True,
        container=True,
        elem_id=elem_id,
    )
