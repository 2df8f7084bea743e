// The page: takes pictures by choice, drop, paste or camera, has the worker answer them one after the other, and shows
// and saves what it answers. Pixels are worker.js's business.
"use strict";

const part = id => document.getElementById(id);
const settings = JSON.parse(part("settings").textContent);
const items = []; // what was given: {file, name, button, answer or refusal}
const waiting = new Map(); // questions to the worker that it has not answered
let worker, ready, shown, questions = 0, selections = 0, drawing = false, redraw = false;

// ---- The worker ----

function ask(work, given) {
  return new Promise((resolve, reject) => {
    waiting.set(++questions, {resolve, reject});
    worker.postMessage({id: questions, work, given});
  });
}

function hear({data: {id, answer, refusal, loaded, bytes}}) {
  if (loaded) return progress(loaded, bytes);
  const {resolve, reject} = waiting.get(id);
  waiting.delete(id);
  if (refusal) reject(new Error(refusal));
  else resolve(answer);
}

const arrived = {};

function progress(file, bytes) {
  arrived[file] = bytes;
  const all = [settings.code, settings.wasm, settings.model].reduce((sum, {bytes}) => sum + bytes, 0);
  const have = Object.values(arrived).reduce((sum, bytes) => sum + bytes, 0);
  part("bar").value = have / all;
  part("bar").textContent = `${Math.round(100 * have / all)} %`;
}

async function start() {
  if (!window.isSecureContext || location.protocol === "file:")
    throw new Error("This page works from https or http://localhost alone; serve its folder: python -m http.server");
  const code = await Promise.all(["worker.js", "saving.js"].map(name => fetch(name).then(response => response.blob())));
  worker = new Worker(URL.createObjectURL(new Blob(code))); // so that this page's Content-Security-Policy binds it
  worker.onmessage = hear;
  const here = file => ({...file, url: new URL(file.url, document.baseURI).href});
  const {code: library, wasm, model} = settings;
  await ask("open", {
    ...settings, code: here(library), wasm: here(wasm), model: here(model), cache: `carmask files ${location.pathname}`,
  });
  part("bar").hidden = true;
  if (!items.length) {
    say("Ready. The network is kept in this browser, so the page also works without a connection.");
    queue = ask("warm").catch(() => {});
  }
  navigator.serviceWorker?.register("sw.js").catch(() => {}); // without it the page needs a connection, no more
}

function say(sentence, wrong = false) {
  part("line").textContent = sentence;
  part("line").classList.toggle("wrong", wrong);
}

// ---- Pictures in ----

function add(files) {
  const first = items.length;
  for (const file of files) {
    const item = {file, name: freeName(file.name), button: document.createElement("button")};
    item.button.type = "button";
    item.button.addEventListener("click", () => item.answer && select(item));
    items.push(item);
    describe(item, "waiting");
    part("list").append(document.createElement("li"));
    part("list").lastChild.append(item.button);
  }
  if (files.length) answerAll(items.slice(first));
}

function freeName(name) { // the mask's name; another file of the same name gets a number
  const stem = name.replace(/\.[^.]*$/, "") || "picture";
  const names = new Set(items.map(item => item.name));
  for (let count = 1; ; count++) {
    const free = `${stem}${count > 1 ? `_${count}` : ""}_mask.png`;
    if (!names.has(free)) return free;
  }
}

function describe(item, words, wrong = false) {
  const [name, state] = [document.createElement("b"), document.createElement("span")];
  name.textContent = item.file.name || "pasted picture";
  state.textContent = words;
  state.classList.toggle("wrong", wrong);
  item.button.replaceChildren(name, state);
}

let queue = Promise.resolve();

function answerAll(given) {
  queue = queue.then(() => ready).then(async () => {
    for (const item of given) {
      say(`${item.file.name}: the network is looking at it.`);
      try {
        item.answer = await ask("answer", item.file);
        describe(item, `${item.answer.seconds.toFixed(1)} s`);
        if (item === given.find(other => other.answer)) await select(item);
      } catch (error) {
        describe(item, error.message, true);
        say(`${item.file.name}: ${error.message}`, true);
      }
    }
    const done = items.filter(item => item.answer), refused = given.filter(item => !item.answer);
    part("save-all").hidden = done.length < 2;
    const counted = `${given.length - refused.length} of ${given.length} pictures have a mask.`;
    if (given.length > 1) say(counted, refused.length > 0);
  }).catch(() => {}); // what failed to load is said where it failed
}

// ---- A picture and its mask ----

async function select(item) {
  const mine = ++selections, reduced = await ask("show", item.file), {width, height} = reduced;
  if (mine !== selections) return; // another one was chosen meanwhile
  for (const {button} of items) button.setAttribute("aria-current", String(button === item.button));
  part("result").hidden = false;
  for (const id of ["picture", "mask", "cut"]) Object.assign(part(id), {width, height});
  const pen = part("picture").getContext("2d");
  pen.drawImage(reduced, 0, 0);
  shown = {...item, view: pen.getImageData(0, 0, width, height)};
  part("picture").setAttribute("aria-label", `The picture ${item.file.name}`);
  await draw();
}

async function draw() { // the newest threshold alone is drawn when several come in while one is
  redraw = true;
  if (drawing) return;
  for (drawing = true; redraw; ) {
    redraw = false;
    const {answer, file, view} = shown, threshold = chosen(), {width, height} = view;
    const mask = await ask("mask", {margin: answer.margin, size: [height, width], threshold});
    const [ink, cut] = [new ImageData(width, height), new ImageData(view.data.slice(), width, height)];
    let found = 0;
    for (let i = 0; i < mask.length; i++) {
      ink.data.fill(mask[i], 4 * i, 4 * i + 3);
      ink.data[4 * i + 3] = 255;
      if (mask[i]) found++;
      else cut.data[4 * i + 3] = 0;
    }
    part("mask").getContext("2d").putImageData(ink, 0, 0);
    part("cut").getContext("2d").putImageData(cut, 0, 0);
    const percent = (100 * found / mask.length).toFixed(1);
    const share = found ? `${percent} % of it is ${settings.name}` : `no ${settings.name} found`;
    part("mask").setAttribute("aria-label", `The mask of ${file.name}: ${share}`);
    say(`${file.name}: ${share}. ${answer.seconds.toFixed(1)} seconds.`);
  }
  drawing = false;
}

const chosen = () => Number(part("threshold").value);

function settle(threshold) {
  part("threshold").value = threshold;
  part("level").textContent = chosen().toFixed(2);
}

// ---- Files out ----

async function save(button, work, name) {
  button.disabled = true;
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await work());
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    say(error.message, true);
  }
  button.disabled = false;
}

const full = ({answer: {margin, size}}) => ({margin, size, threshold: chosen()});

part("save-mask").addEventListener("click", event =>
  save(event.target, () => ask("png", full(shown)), shown.name));
part("save-cut").addEventListener("click", event =>
  save(event.target, () => ask("cutout", {...full(shown), file: shown.file}), shown.name.replace("_mask.", "_cutout.")));
part("save-all").addEventListener("click", event => {
  const masks = items.filter(item => item.answer).map(item => ({...full(item), name: item.name}));
  save(event.target, () => ask("zip", {masks, threshold: chosen()}), "masks.zip");
});

// ---- Ways in ----

part("files").addEventListener("change", event => {
  add([...event.target.files]);
  event.target.value = ""; // the same file may be chosen again
});
addEventListener("paste", event => add([...event.clipboardData.files]));
addEventListener("dragover", event => {
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", event => event.relatedTarget ?? document.body.classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  document.body.classList.remove("over");
  add([...event.dataTransfer.files]);
});
part("threshold").addEventListener("input", () => {
  settle(chosen());
  draw();
});
part("reset").addEventListener("click", () => {
  settle(settings.threshold);
  draw();
});

part("camera").hidden = !navigator.mediaDevices;
part("camera").addEventListener("click", async () => {
  const view = part("view");
  try {
    view.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment", width: 1920}});
    part("take").disabled = true;
    part("shoot").showModal();
    await view.play();
    part("take").disabled = false;
  } catch {
    say("There is no camera that this page may use; allow it in the browser, or choose a file.", true);
  }
});
part("take").addEventListener("click", () => {
  const view = part("view"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [view.videoWidth, view.videoHeight];
  canvas.getContext("2d").drawImage(view, 0, 0);
  canvas.toBlob(blob => add([new File([blob], `camera-${Date.now()}.png`, {type: "image/png"})]));
});
part("shoot").addEventListener("close", () => part("view").srcObject?.getTracks().forEach(track => track.stop()));

settle(settings.threshold);
ready = start();
ready.catch(error => {
  part("bar").hidden = true;
  say(error.message, true);
});
