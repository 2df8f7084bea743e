// Runs once, inside a gr.HTML component. The server sets the value {key, width, height, picture, mask}: a picture of
// width × height pixels and its mask, both as reduced data URLs. The page sets {key, strokes}: what was painted since,
// each stroke as {add, radius, points: [x, y, x, y, …]} in pixels of the full picture.
const RED = "rgb(255, 64, 64)";
const LONG_SIDE = 1280; // pixels of the canvas

const find = (selector) => element.querySelector(selector);
const canvas = find("canvas"), screen = canvas.getContext("2d");
const layer = document.createElement("canvas"), paint = layer.getContext("2d"); // red where the mask is white
let base = null, picture = null, mask = null; // the server's value, and its two pictures
let strokes = [], stroke = null, brush = { x: 0, y: 0, seen: false };

const longest = () => Math.max(base.width, base.height);
const radius = () => Math.max(0.5, 0.003 * 40 ** (find("input[type=range]").value / 100) * longest());
const adding = () => find("input[value=add]").checked;

function loaded(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = source;
  });
}

function paintStroke({ add, radius, points }, first = 0) {
  const scale = canvas.width / base.width;
  paint.globalCompositeOperation = add ? "source-over" : "destination-out";
  paint.strokeStyle = RED;
  paint.lineCap = paint.lineJoin = "round";
  paint.lineWidth = 2 * radius * scale;
  paint.beginPath();
  paint.moveTo(points[first] * scale, points[first + 1] * scale);
  for (let i = first; i < points.length; i += 2) paint.lineTo(points[i] * scale, points[i + 1] * scale);
  paint.stroke();
}

function repaint() {
  paint.globalCompositeOperation = "copy";
  paint.imageSmoothingEnabled = mask.width > layer.width;
  paint.drawImage(mask, 0, 0, layer.width, layer.height);
  for (const one of strokes) paintStroke(one);
  show();
}

function show() {
  screen.globalAlpha = 1;
  screen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  screen.globalAlpha = 0.5;
  screen.drawImage(layer, 0, 0);
  screen.globalAlpha = 1;
  if (!brush.seen) return;
  const scale = canvas.width / base.width;
  for (const [colour, width] of [["black", 5], ["white", 2]]) {
    screen.strokeStyle = colour;
    screen.lineWidth = width;
    screen.beginPath();
    screen.arc(brush.x * scale, brush.y * scale, radius() * scale, 0, 2 * Math.PI);
    screen.stroke();
  }
}

function showButtons() {
  for (const button of [find(".undo"), find(".clear")]) button.disabled = !strokes.length;
}

function sendStrokes() {
  showButtons();
  props.value = { key: base.key, strokes: structuredClone(strokes) };
  trigger("input");
}

function extendStroke() {
  const last = stroke.points.slice(-2), tenth = (number) => Math.round(number * 10) / 10;
  if (last.length && Math.hypot(brush.x - last[0], brush.y - last[1]) < stroke.radius / 5) return;
  stroke.points.push(tenth(brush.x), tenth(brush.y));
  paintStroke(stroke, Math.max(0, stroke.points.length - 4));
}

function startStroke() {
  stroke = { add: adding(), radius: Math.round(radius() * 10) / 10, points: [] };
  strokes.push(stroke);
  extendStroke();
}

function endStroke() {
  if (!stroke) return;
  if (!stroke.points.length) strokes.pop();
  stroke = null;
  sendStrokes();
}

function undo() {
  stroke = null;
  strokes.pop();
  repaint();
  sendStrokes();
}

function moveBrush(event) {
  const box = canvas.getBoundingClientRect();
  brush.x = ((event.clientX - box.left) / box.width) * base.width;
  brush.y = ((event.clientY - box.top) / box.height) * base.height;
  brush.seen = true;
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button || stroke) return;
  canvas.setPointerCapture(event.pointerId);
  moveBrush(event);
  startStroke();
  show();
});
canvas.addEventListener("pointermove", (event) => {
  moveBrush(event);
  if (stroke && event.buttons) extendStroke();
  show();
});
canvas.addEventListener("pointerup", endStroke);
canvas.addEventListener("pointercancel", () => { // a second finger started a pinch zoom
  if (!stroke) return;
  strokes.pop();
  stroke = null;
  repaint();
});
for (const leave of ["pointerleave", "blur"])
  canvas.addEventListener(leave, () => {
    if (leave === "blur") endStroke();
    brush.seen = stroke !== null;
    if (base) show();
  });

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
    if (strokes.length) undo();
  } else if (event.key === " ") {
    stroke ? endStroke() : startStroke();
  } else if (step) {
    const far = radius() * (event.shiftKey ? 4 : 1);
    brush.x = Math.min(Math.max(brush.x + step[0] * far, 0), base.width);
    brush.y = Math.min(Math.max(brush.y + step[1] * far, 0), base.height);
    if (stroke) extendStroke();
  } else return;
  event.preventDefault();
  brush.seen = true;
  const place = [brush.x / base.width, brush.y / base.height].map((share) => Math.round(share * 100) + " %");
  find("[role=status]").textContent = `Brush ${stroke ? "down" : "up"}, ${place[0]} from the left, ${place[1]} down.`;
  show();
});

find(".undo").addEventListener("click", undo);
find(".clear").addEventListener("click", () => {
  strokes = [];
  repaint();
  sendStrokes();
});
find("input[type=range]").addEventListener("input", () => {
  if (!base) return;
  brush.seen = true;
  show();
});

watch("value", async () => {
  const value = props.value;
  if (value && !value.picture) return; // set by this script
  const before = base;
  base = value || null;
  canvas.hidden = !base;
  find(".empty").hidden = Boolean(base);
  stroke = null;
  if (!base || before?.key !== base.key) {
    strokes = [];
    find("[role=status]").textContent = "";
    showButtons();
  }
  if (!base) return;
  [picture, mask] = await Promise.all([loaded(base.picture), loaded(base.mask)]);
  const scale = LONG_SIDE / longest();
  canvas.width = layer.width = Math.max(1, Math.round(base.width * scale));
  canvas.height = layer.height = Math.max(1, Math.round(base.height * scale));
  if (before?.key !== base.key) brush = { x: base.width / 2, y: base.height / 2, seen: false };
  repaint();
  sendStrokes();
});
