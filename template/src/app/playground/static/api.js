// Asks the service, with the key of this tab.

const STORED = "key";

// The service may live below a path of a proxy.
const ROOT = new URL("..", document.baseURI);

export class Problem extends Error {}

export function useKey(key) {
  sessionStorage.setItem(STORED, key);
}

export function keyInUse() {
  return sessionStorage.getItem(STORED) ?? "";
}

/** Send a request; throws a Problem with what the service says is wrong. */
export async function ask(method, path, { json, form, signal } = {}) {
  const headers = {};
  if (keyInUse()) headers.Authorization = `Bearer ${keyInUse()}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const url = new URL(path.replace(/^\//, ""), ROOT);
  let response;
  try {
    response = await fetch(url, { method, headers, body: form ?? (json && JSON.stringify(json)), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer.");
  }
  if (!response.ok) throw new Problem(await wordsOf(response));
  return response;
}

export async function read(method, path, options) {
  const response = await ask(method, path, options);
  return response.status === 204 ? null : response.json();
}

/** Yield the events of a stream as {event, data}; data is text. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    while (true) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const found = { event: "message", data: [] };
        for (const line of block.split(/\r?\n/)) {
          const [, field, words] = /^([^:]*):? ?(.*)$/s.exec(line);
          if (field === "event") found.event = words;
          if (field === "data") found.data.push(words);
        }
        if (found.data.length) yield { event: found.event, data: found.data.join("\n") };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Write what was asked as a command to copy. */
export function command(path, { json, file } = {}) {
  const parts = ['curl -N -H "Authorization: Bearer $KEY"'];
  if (file) parts.push(`-F ${quoted(file)}`);
  if (json) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(json))}`);
  return [...parts, new URL(path.replace(/^\//, ""), ROOT).href].join(" \\\n  ");
}

function quoted(words) {
  return `'${words.replaceAll("'", "'\\''")}'`;
}

/** Find the words in either shape of an error: a problem of RFC 9457, or OpenAI's. */
export function wordsIn(body, otherwise) {
  return body?.detail ?? body?.error?.message ?? otherwise;
}

async function wordsOf(response) {
  const otherwise = `${response.status} ${response.statusText}`.trim();
  try {
    return wordsIn(await response.json(), otherwise);
  } catch {
    return otherwise;
  }
}
