// What the worker saves, PNG and ZIP, written byte by byte: a canvas writes no PNG of one channel, and no browser a ZIP.
// The page puts this behind worker.js, whose `mask` it uses.

async function png(given) { // of one channel of 8 bits
  const [height, width] = given.size, values = mask(given), rows = new Uint8Array(height * (width + 1));
  for (let row = 0; row < height; row++)
    rows.set(values.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const part = (name, content) => {
    const body = new Uint8Array(4 + content.length);
    body.set(new TextEncoder().encode(name));
    body.set(content, 4);
    return [number(content.length), body, number(checksum(body))];
  };
  const head = new Uint8Array([...number(width), ...number(height), 8, 0, 0, 0, 0]);
  const data = new Uint8Array(await new Response(packed).arrayBuffer());
  const parts = [part("IHDR", head), part("IDAT", data), part("IEND", [])].flat();
  return new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), ...parts], {type: "image/png"});
}

async function zip({masks, threshold}) { // stored: a PNG is packed already
  const files = [], list = [], text = new TextEncoder();
  let offset = 0;
  for (const {name, ...given} of masks) {
    const blob = await png({...given, threshold}), title = text.encode(name);
    const sum = checksum(new Uint8Array(await blob.arrayBuffer()));
    const facts = [ // names in UTF-8, no compression, midnight of 1980-01-01, checksum and sizes
      0, 8, 0, 0, 0, 0, 33, 0, ...number(sum, 4, true), ...number(blob.size, 4, true), ...number(blob.size, 4, true),
      ...number(title.length, 2, true), 0, 0,
    ];
    const local = [0x50, 0x4b, 3, 4, 20, 0, ...facts];
    list.push(new Uint8Array([
      0x50, 0x4b, 1, 2, 20, 0, 20, 0, ...facts, ...new Uint8Array(10), ...number(offset, 4, true), ...title,
    ]));
    files.push(new Uint8Array([...local, ...title]), blob);
    offset += local.length + title.length + blob.size;
  }
  const size = list.reduce((sum, entry) => sum + entry.length, 0), count = [...number(list.length, 2, true)];
  const end = [0x50, 0x4b, 5, 6, 0, 0, 0, 0, ...count, ...count, ...number(size, 4, true), ...number(offset, 4, true)];
  return new Blob([...files, ...list, new Uint8Array([...end, 0, 0])], {type: "application/zip"});
}

function number(value, bytes = 4, littleEnd = false) {
  const places = Uint8Array.from({length: bytes}, (_, place) => value >>> (8 * place));
  return littleEnd ? places : places.reverse();
}

const CRC = Uint32Array.from({length: 256}, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function checksum(content) { // CRC-32, of PNG and ZIP both
  let sum = 0xffffffff;
  for (let i = 0; i < content.length; i++) sum = CRC[(sum ^ content[i]) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
