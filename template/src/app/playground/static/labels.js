// Labels for a text, by likeness.

import { command, read } from "./api.js";
import { at, make, submitting } from "./dom.js";

at("labels-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const labels = at("choices").value.split(",").map((each) => each.trim()).filter(Boolean);
  const json = { input: at("text").value, labels };
  at("labels-command").textContent = command("/v1/classifications", { json });
  submitting(event.target, at("labels-problem"), async () => {
    at("scores").replaceChildren();
    const { results, model, version } = await read("POST", "/v1/classifications", { json });
    at("scores").replaceChildren(...results[0].labels.map(row));
    at("labels-note").textContent = `${model}, version ${version}`;
  });
});

function row({ label, score }) {
  return make("div", { class: "score" },
    make("span", { text: label }),
    make("meter", { min: 0, max: 1, value: score, "aria-label": label }),
    make("output", { text: score.toFixed(3) }));
}
