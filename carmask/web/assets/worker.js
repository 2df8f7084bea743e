// The network and all work on pixels, off the page's own thread. Each step gives the numbers of `carmask predict`: see
// carmask/files/pictures.py (grey), Pillow's resize, carmask/inference/predictor.py and carmask/tasks/mask_task.py.
// The page starts it from a blob, so that the page's Content-Security-Policy binds it too.
"use strict";

const MOST_PIXELS = 89478485;
const STRIP = 512; // rows of a picture that lie decoded in memory at a time
const SMALLEST = 32; // pixels of a side; below it a network has no last stage
const FIXED = 22; // bits behind the point of Pillow's weights
const SHOWN = 1024; // pixels of the longest side on the page

let settings, runtime, session;

class Refusal extends Error {}

onmessage = async ({data: {id, work, given}}) => {
  try {
    postMessage({id, answer: await WORKS[work](given)});
  } catch (error) {
    const words = error instanceof Refusal ? error.message : `This did not work in this browser (${error.message}).`;
    postMessage({id, refusal: words});
  }
};

const WORKS = {open, warm, answer, show, mask, png, cutout, zip};

// ---- The files of the network ----

async function open(given) {
  settings = given;
  const cache = await caches.open(settings.cache).catch(() => null);
  const files = [settings.code, settings.wasm, settings.model], wanted = new Set(files.map(address));
  const [code, wasm, model] = await Promise.all(files.map(file => kept(cache, file)));
  for (const request of await cache?.keys() ?? []) if (!wanted.has(request.url)) cache.delete(request);
  // A module has no integrity of its own: what was checked is what is imported.
  runtime = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
  runtime.env.wasm.wasmBinary = wasm;
  runtime.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  session = await runtime.InferenceSession.create(new Uint8Array(model), {executionProviders: ["wasm"]});
}

const address = file => `${file.url}?${encodeURIComponent(file.sha384)}`; // another file is another address

async function kept(cache, file) {
  const stored = await cache?.match(address(file));
  const content = stored ? await stored.arrayBuffer() : await fetched(file);
  postMessage({loaded: file.url, bytes: file.bytes});
  if (!stored) await cache?.put(address(file), new Response(content)).catch(() => {}); // a full disk keeps nothing
  return content;
}

async function fetched(file) {
  const response = await fetch(address(file)).catch(() => null);
  if (!response?.ok) throw new Refusal(`${file.url} cannot be loaded; check the connection and reload the page.`);
  const content = new Uint8Array(file.bytes);
  let loaded = 0;
  for (let reader = response.body.getReader(), part = await reader.read(); !part.done; part = await reader.read()) {
    if (loaded + part.value.length <= file.bytes) content.set(part.value, loaded);
    loaded += part.value.length;
    postMessage({loaded: file.url, bytes: loaded});
  }
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-384", content));
  if (loaded !== file.bytes || btoa(String.fromCharCode(...sum)) !== file.sha384)
    throw new Refusal(`The file ${file.url} is not the one this page was made with; publish the site again.`);
  return content.buffer;
}

// ---- From a file to a picture ----

async function decoded(file) {
  const settled = {colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image"};
  const bitmap = await createImageBitmap(file, settled).catch(() => null);
  if (!bitmap || await isCut(file)) throw new Refusal(await whyNot(file));
  if (bitmap.width * bitmap.height > MOST_PIXELS)
    throw new Refusal("This picture has more than 89 megapixels; make it smaller and try again.");
  return bitmap;
}

async function whyNot(file) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 1024).arrayBuffer()));
  if (!file.size) return "This file is empty; save the picture again and use that copy.";
  if (/<svg/i.test(head)) return "SVG drawings are not supported; export it as PNG and try again.";
  if (/^....ftyp(hei|hev|mif)/s.test(head)) return "HEIC is not read by this browser; export it as JPEG and try again.";
  if (/^(II[*+]\0|MM\0[*+])/.test(head)) return "TIFF is not read by this browser; save it as PNG and try again.";
  if (/^(\xff\xd8\xff|\x89PNG|RIFF|GIF8|BM|....ftypavi)/s.test(head))
    return "This picture file is damaged or incomplete; open it in a picture program, save it again and use that copy.";
  return "This file is not a picture that can be read here; use a JPEG, PNG, WebP, GIF, BMP or AVIF file.";
}

async function isCut(file) { // browsers show the first half of a JPEG or PNG and say nothing
  const content = new Uint8Array(await file.arrayBuffer());
  const holds = (mark, from) => {
    for (let at = content.indexOf(mark[0], from); at >= 0; at = content.indexOf(mark[0], at + 1))
      if (mark.every((byte, index) => content[at + index] === byte)) return true;
    return false;
  };
  if (content[0] === 0x89) return !holds([73, 69, 78, 68, 174, 66, 96, 130], 0); // IEND and its checksum
  if (content[0] !== 0xff) return false;
  let at = 2; // over the parts before the pixels, one of which may hold a small JPEG
  while (content[at] === 0xff && content[at + 1] !== 0xda) at += 2 + 256 * content[at + 2] + content[at + 3];
  return !holds([0xff, 0xd9], at);
}

function grey({width, height}, bitmap) { // Pillow's luminance, with transparent parts over white
  const values = new Uint8Array(width * height);
  const pen = new OffscreenCanvas(width, Math.min(STRIP, height)).getContext("2d", {willReadFrequently: true});
  pen.fillStyle = "white";
  for (let top = 0, at = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    pen.fillRect(0, 0, width, rows);
    pen.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    const {data} = pen.getImageData(0, 0, width, rows);
    for (let i = 0; i < data.length; i += 4)
      values[at++] = (data[i] * 19595 + data[i + 1] * 38470 + data[i + 2] * 7471 + 0x8000) >> 16;
  }
  return values;
}

// ---- Resizing: bilinear, smoothed where it shrinks if `antialias`, as Pillow and torch do both ----

function weights(old, size, antialias) {
  const step = old / size, reach = antialias ? Math.max(1, step) : 1;
  return Array.from({length: size}, (_, place) => {
    const middle = (place + 0.5) * step;
    const first = Math.max(0, Math.trunc(middle - reach + 0.5));
    const last = Math.min(old, Math.trunc(middle + reach + 0.5));
    const shares = Float64Array.from({length: last - first}, (_, i) =>
      Math.max(0, 1 - Math.abs(first + i + 0.5 - middle) / reach));
    const sum = shares.reduce((total, share) => total + share, 0);
    return {first, shares: shares.map(share => share / sum)};
  });
}

function resized(values, [height, width], [newHeight, newWidth], antialias) { // bytes in, bytes out; floats likewise
  const bytes = values instanceof Uint8Array;
  const along = (from, rows, length, size, [across, down], [putAcross, putDown]) => {
    if (length === size) return from;
    const to = new values.constructor(rows * size);
    weights(length, size, antialias).forEach(({first, shares}, place) => {
      const parts = bytes ? Int32Array.from(shares, share => Math.round(share * 2 ** FIXED)) : shares;
      for (let row = 0; row < rows; row++) {
        let sum = bytes ? 2 ** (FIXED - 1) : 0, at = row * down + first * across;
        for (let i = 0; i < parts.length; i++, at += across) sum += from[at] * parts[i];
        to[row * putDown + place * putAcross] = bytes ? sum >> FIXED : sum;
      }
    });
    return to;
  };
  const wide = along(values, height, width, newWidth, [1, width], [1, newWidth]);
  return along(wide, newWidth, height, newHeight, [newWidth, 1], [newWidth, 1]);
}

// ---- What the network sees, and what it says ----

function networkSize([height, width], limits) {
  const scale = Math.min(limits.max_height / height, limits.max_width / width);
  const fit = "max_height" in limits ? [height, width].map(side => Math.trunc(side * scale)) : null;
  const sides = fit ?? [limits.height, limits.width], {multiple} = settings;
  return sides.map(side => Math.max(SMALLEST, Math.trunc((side + Math.trunc(multiple / 2)) / multiple) * multiple));
}

function roundedToEven(value) { // as Python rounds
  const round = Math.round(value);
  return round - value === 0.5 && round % 2 ? round - 1 : round;
}

async function logits(view, [height, width]) {
  const pixels = new Float32Array(3 * view.length);
  for (let channel = 0, at = 0; channel < 3; channel++)
    for (let i = 0; i < view.length; i++)
      pixels[at++] = (view[i] * settings.scale - settings.mean[channel]) / settings.std[channel];
  const tensor = new runtime.Tensor("float32", pixels, [1, 3, height, width]);
  const {data, dims: [, labels, ...size]} = (await session.run({pixel_values: tensor})).logits;
  const map = label => data.subarray(label * size[0] * size[1], (label + 1) * size[0] * size[1]);
  return {maps: Array.from({length: labels}, (_, label) => map(label)), size};
}

function flipped(values, width) {
  const mirrored = values.slice();
  for (let at = 0; at < values.length; at += width) mirrored.subarray(at, at + width).reverse();
  return mirrored;
}

async function marginOf(view, size) { // the log-odds of the object
  const seen = await logits(view, size);
  if (settings.mirror) {
    const [height, width] = size.map(side => roundedToEven(settings.mirror * side));
    const small = networkSize([height, width], {height, width});
    const other = await logits(resized(Float32Array.from(flipped(view, size[1])), size, small, true), small);
    seen.maps = seen.maps.map((map, label) => {
      const mirrored = resized(flipped(other.maps[label], other.size[1]), other.size, seen.size, false);
      return map.map((value, i) => (value + mirrored[i]) / 2);
    });
  }
  const best = own => seen.maps.filter((_, label) => settings.object.includes(label) === own)
    .reduce((most, map) => most.map((value, i) => Math.max(value, map[i])));
  const others = best(false);
  return {values: best(true).map((value, i) => value - others[i]), size: seen.size};
}

async function answer(file) {
  const start = performance.now(), bitmap = await decoded(file), size = [bitmap.height, bitmap.width];
  const seen = networkSize(size, settings.size);
  const margin = await marginOf(resized(grey(bitmap, bitmap), size, seen, true), seen);
  bitmap.close();
  return {margin, size, seconds: (performance.now() - start) / 1000};
}

async function warm() { // the browser compiles the network again, faster, while it runs for the first time
  const [height, width] = networkSize([480, 640], settings.size);
  await marginOf(new Uint8Array(height * width), [height, width]);
}

// ---- What is shown and saved ----

async function show(file) {
  const bitmap = await decoded(file), scale = Math.min(1, SHOWN / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map(side => Math.max(1, Math.round(side * scale)));
  return createImageBitmap(bitmap, {resizeWidth: width, resizeHeight: height, resizeQuality: "high"});
}

function mask({margin, size: [height, width], threshold}) { // 0 and 255, height times width, row by row
  const least = Math.log(threshold / (1 - threshold)), across = weights(margin.size[1], width, false);
  const values = new Uint8Array(height * width), line = new Float32Array(margin.size[1]);
  weights(margin.size[0], height, false).forEach(({first, shares}, row) => {
    for (let i = 0; i < line.length; i++)
      line[i] = shares.reduce((sum, share, part) => sum + share * margin.values[(first + part) * line.length + i], 0);
    for (let i = 0, at = row * width; i < width; i++, at++) {
      const {first, shares} = across[i];
      let sum = 0;
      for (let part = 0; part < shares.length; part++) sum += shares[part] * line[first + part];
      values[at] = sum > least ? 255 : 0;
    }
  });
  return values;
}

async function cutout({file, ...given}) {
  const bitmap = await decoded(file), values = mask(given), [height, width] = given.size;
  const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d");
  pen.drawImage(bitmap, 0, 0);
  for (let top = 0; top < height; top += STRIP) {
    const strip = pen.getImageData(0, top, width, Math.min(STRIP, height - top));
    for (let i = 3, at = top * width; i < strip.data.length; i += 4) if (!values[at++]) strip.data[i] = 0;
    pen.putImageData(strip, 0, top);
  }
  return canvas.convertToBlob({type: "image/png"});
}
