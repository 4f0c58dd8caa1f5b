// Ogg/Opus for browsers that do not play it (Safari before 18.4): decoded in a worker of its own, kept as WAV.
const DECODE_MS = 60_000;
const FILE_BYTES_MAX = 12 * 1024 * 1024; // an hour of voice: as a WAV, all that a phone's memory should be asked for

// The address of a sound that every browser plays; fails for what is no Ogg/Opus.
export async function decoded(address) {
  const answer = await fetch(address);
  if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("audio/ogg")) throw new Error("not Ogg/Opus");
  if (Number(answer.headers.get("Content-Length")) > FILE_BYTES_MAX) throw new Error("too long");
  const bytes = await answer.arrayBuffer();
  const worker = new Worker(new URL("./voice-decoder.js", import.meta.url));
  try {
    const wav = await new Promise((resolve, reject) => {
      worker.onmessage = (event) => (event.data ? resolve(event.data) : reject(new Error("not decoded")));
      worker.onerror = () => reject(new Error("no decoder"));
      setTimeout(() => reject(new Error("too slow")), DECODE_MS);
      worker.postMessage(bytes, [bytes]);
    });
    return URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
  } finally {
    worker.terminate();
  }
}
