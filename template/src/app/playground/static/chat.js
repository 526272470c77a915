// A chat with a language model, in OpenAI's shape.

import { ask, command, events, Problem, read, wordsIn } from "./api.js";
import { at, make, submitting, trying } from "./dom.js";

let said = [];
let stopping = null;

export async function openChat() {
  if (at("model").length) return;
  await trying(at("chat-problem"), async () => {
    const { data } = await read("GET", "/v1/models");
    const writers = data.filter((model) => model.owned_by !== "local");
    at("model").replaceChildren(...writers.map(({ id }) => make("option", { text: id })));
  });
}

at("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  submitting(event.target, at("chat-problem"), talk);
});
at("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("chat-form").requestSubmit();
  }
});
at("stop").addEventListener("click", () => stopping?.abort());
at("anew").addEventListener("click", () => {
  stopping?.abort();
  said = [];
  at("messages").replaceChildren();
});

async function talk() {
  if (stopping) return;
  const turns = said;
  const question = { role: "user", content: at("message").value };
  const json = { model: at("model").value, messages: [...turns, question], stream: true };
  at("chat-command").textContent = command("/v1/chat/completions", { json });
  const place = make("div", { class: "message assistant" });
  const asked = make("div", { class: "message user", text: question.content });
  at("messages").append(asked, place);
  at("message").value = "";
  stopping = new AbortController();
  at("stop").disabled = false;
  try {
    await write(place, json, stopping.signal);
  } finally {
    stopping = null;
    at("stop").disabled = true;
    if (place.textContent) turns.push(question, { role: "assistant", content: place.textContent });
    else {
      place.remove();
      asked.remove();
      at("message").value ||= question.content;
    }
  }
}

async function write(place, json, signal) {
  for await (const { data } of events(await ask("POST", "/v1/chat/completions", { json, signal }))) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Problem(wordsIn(chunk, "The answer broke off."));
    place.append(chunk.choices[0]?.delta.content ?? "");
    place.scrollIntoView({ block: "nearest" });
  }
  throw new Problem("The answer broke off.");
}
