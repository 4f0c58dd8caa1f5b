// A worker: gets the bytes of an Ogg/Opus file (RFC 3533, RFC 7845), gives back a WAV, or null for what is none.
self.Worker ??= class {}; // the decoder names it, and some browsers have none inside of workers
importScripts("../vendor/opus-decoder-0.7.12.min.js");

const SAMPLE_RATE = 24_000; // all that a voice has, in half the memory
const WAV_HEAD_BYTES = 44;

self.onmessage = async ({ data }) => {
  try {
    const [head, , ...frames] = packets(new Uint8Array(data)); // the second one holds names and pictures
    const [channels, preSkip] = [head[9], ((head[10] | (head[11] << 8)) * SAMPLE_RATE) / 48_000];
    const decoder = new self["opus-decoder"].OpusDecoder({ channels, preSkip, sampleRate: SAMPLE_RATE });
    await decoder.ready;
    const sound = decoder.decodeFrames(frames);
    const wav = wavOf(sound.channelData, sound.samplesDecoded);
    self.postMessage(wav, [wav]);
  } catch {
    self.postMessage(null);
  }
};

// The packets of the file's pages: each page tells the lengths of its segments, and one of 255 bytes goes on.
function packets(bytes) {
  const found = [];
  let begun = [];
  for (let page = 0; page + 27 <= bytes.length; ) {
    if (String.fromCharCode(...bytes.subarray(page, page + 4)) !== "OggS") throw new Error("no page of Ogg");
    const lengths = bytes.subarray(page + 27, page + 27 + bytes[page + 26]);
    let at = page + 27 + lengths.length;
    for (const length of lengths) {
      begun.push(...bytes.subarray(at, at + length));
      at += length;
      if (length === 255) continue;
      found.push(Uint8Array.from(begun));
      begun = [];
    }
    page = at;
  }
  return found;
}

function wavOf(channels, count) {
  if (!count) throw new Error("no sound");
  const view = new DataView(new ArrayBuffer(WAV_HEAD_BYTES + count * channels.length * 2));
  const word = (at, text) => [...text].forEach((sign, i) => view.setUint8(at + i, sign.charCodeAt(0)));
  const [short, long] = [(at, n) => view.setUint16(at, n, true), (at, n) => view.setUint32(at, n, true)];
  word(0, "RIFF"), long(4, view.byteLength - 8), word(8, "WAVEfmt "), long(16, 16), short(20, 1);
  short(22, channels.length), long(24, SAMPLE_RATE), long(28, SAMPLE_RATE * channels.length * 2);
  short(32, channels.length * 2), short(34, 16), word(36, "data"), long(40, view.byteLength - WAV_HEAD_BYTES);
  let at = WAV_HEAD_BYTES;
  for (let i = 0; i < count; i++)
    for (const channel of channels) {
      view.setInt16(at, Math.max(-1, Math.min(1, channel[i])) * 0x7fff, true);
      at += 2;
    }
  return view.buffer;
}
