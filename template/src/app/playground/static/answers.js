// Documents, and questions to them.

import { ask, command, events, Problem, read, wordsIn } from "./api.js";
import { at, make, submitting, trying } from "./dom.js";

const SAMPLE = `# Kettle K2

The warranty lasts twenty-four months from the day of purchase. It covers the heating element and the lid.

Descale the kettle every three months with citric acid: one spoon in half a litre of water, boil, wait for ten minutes.

Returns are free within thirty days; keep the box.
`;
const LOOK_AGAIN = 1000; // milliseconds, while a document is on its way

let looking = 0;

export async function openAnswers() {
  clearTimeout(looking);
  await trying(at("documents-problem"), list);
}

async function list() {
  const { items } = await read("GET", "/v1/documents?limit=50");
  at("documents").replaceChildren(...items.map(entry));
  if (items.some(({ status }) => status === "received" || status === "processing")) {
    looking = setTimeout(openAnswers, LOOK_AGAIN);
  }
}

function entry({ id, filename, status, error }) {
  const remove = () => trying(at("documents-problem"), async () => {
    await ask("DELETE", `/v1/documents/${id}`);
    await list();
  });
  return make("li", {},
    make("span", { class: "name", text: filename, title: error ?? "" }),
    make("span", { class: `state ${status}`, text: status }),
    make("button", {
      type: "button", class: "link", text: "Delete", "aria-label": `Delete ${filename}`, onclick: remove,
    }));
}

async function upload(files) {
  try {
    for (const file of files) {
      const form = new FormData();
      form.append("file", file);
      await ask("POST", "/v1/documents", { form });
    }
  } finally {
    // Those before one that is refused are there.
    clearTimeout(looking);
    await list();
  }
}

const send = (files) => trying(at("documents-problem"), () => upload(files));

at("file").addEventListener("change", async ({ target }) => {
  await send([...target.files]);
  target.value = "";
});
at("sample").addEventListener("click", () => send([new File([SAMPLE], "kettle.md", { type: "text/markdown" })]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  at("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") send([...event.dataTransfer.files]);
  });
}

at("question-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const json = { question: at("question").value, stream: true };
  at("answer-command").textContent = command("/v1/answers", { json });
  submitting(event.target, at("answer-problem"), () => answer(json));
});

async function answer(json) {
  const written = at("answer");
  let passages = [];
  written.textContent = "";
  at("answer-note").textContent = "";
  at("passages").replaceChildren();
  for await (const { event, data } of events(await ask("POST", "/v1/answers", { json }))) {
    const body = JSON.parse(data);
    if (event === "error") throw new Problem(wordsIn(body, "The answer broke off."));
    if (event === "passages") passages = body.items;
    if (event === "token") written.append(body.text);
    if (event === "done") {
      written.replaceChildren(...withMarkers(body));
      at("passages").replaceChildren(...cited(passages, body.citations));
      const { input_tokens: input, output_tokens: output } = body.usage;
      at("answer-note").textContent = `${body.model} · ${input} tokens read, ${output} written`;
      return;
    }
  }
  throw new Problem("The answer broke off.");
}

/** Turn each [n] that stands for a citation into a button that shows it. */
function withMarkers({ answer, citations }) {
  const known = new Map(citations.map((each) => [String(each.marker), each]));
  return answer.split(/\[(\d+)\]/).map((words, place) => {
    if (place % 2 === 0) return words;
    const citation = known.get(words);
    return citation ? marker(citation) : `[${words}]`;
  });
}

function marker({ marker: number, passage_id: id }) {
  const go = () => {
    for (const each of document.querySelectorAll(".passage")) each.classList.toggle("shown", each.dataset.id === id);
    document.querySelector(".passage.shown")?.scrollIntoView({ behavior: "smooth", block: "nearest" });
  };
  return make("button", {
    type: "button", class: "marker", text: String(number), "aria-label": `Source ${number}`, onclick: go,
  });
}

/** Show the passages that are cited, with what is quoted marked. */
function cited(passages, citations) {
  return passages
    .map((passage) => [passage, citations.filter((each) => each.passage_id === passage.passage_id)])
    .filter(([, quotes]) => quotes.length)
    .map(([passage, quotes]) => {
      const numbers = [...new Set(quotes.map((each) => each.marker))].join(", ");
      const page = passage.page === null ? "" : `, page ${passage.page}`;
      const article = make("article", { class: "passage" },
        make("h3", { text: `${numbers} · ${passage.filename}${page} · ${passage.score.toFixed(2)}` }),
        make("p", {}, ...marked(passage.text, quotes.map((each) => each.quote))));
      article.dataset.id = passage.passage_id;
      return article;
    });
}

function marked(text, quotes) {
  const parts = [];
  let from = 0;
  const places = quotes.map((quote) => [text.indexOf(quote), quote]).filter(([place]) => place >= 0);
  for (const [place, quote] of places.sort(([one], [other]) => one - other)) {
    if (place < from) continue;
    parts.push(text.slice(from, place), make("mark", { text: quote }));
    from = place + quote.length;
  }
  return [...parts, text.slice(from)];
}
