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
fill(); // `watch` misses the first value
watch("value", fill);
