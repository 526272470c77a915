// What the service says of itself, and what the account has used.

import { Problem, read } from "./api.js";
import { at, make, trying } from "./dom.js";

export async function openService() {
  await trying(at("service-problem"), async () => {
    const state = await readiness();
    const parts = [table("Dependencies", Object.entries(state.checks).map(([name, check]) => [
      name.replaceAll("_", " "),
      make("span", { class: check.ok ? "state ok" : "state failed", text: check.ok ? "answers" : check.error }),
    ])), table("Models", models(state))];
    at("state").replaceChildren(...parts);
    const { total, month, currency } = await read("GET", "/v1/usage");
    at("state").append(table("Used in thirty days", [
      ["requests to language models", String(total.requests)],
      ["tokens", `${total.input_tokens} read, ${total.output_tokens} written`],
      ["cost", total.cost === null ? "no request with a known price" : `${total.cost} ${currency}`],
      ["budget of this month", month.budget === null ? "none" : `${month.remaining} of ${month.budget} left`],
    ]));
  });
}

at("look").addEventListener("click", openService);

/** Read /health/ready, which says what is wrong with status 503. */
async function readiness() {
  const response = await fetch(new URL("../health/ready", document.baseURI)).catch(() => null);
  if (response?.status === 200 || response?.status === 503) return response.json();
  throw new Problem("The service does not say whether it is ready.");
}

function models(state) {
  const named = ({ name, version, provider }) => `${name}, version ${version}, on ${provider}`;
  return [
    ["embeddings", named(state.embedding_model)],
    ["detections", named(state.detection_model)],
    ...state.registered_models.map((model) => ["registered", named(model)]),
    ...Object.entries(state.language_models).map(([name, circuit]) => [
      "language model", `${name}, circuit ${circuit}`,
    ]),
  ];
}

function table(title, rows) {
  return make("table", {}, make("caption", { text: title }),
    ...rows.map(([name, value]) => make("tr", {}, make("th", { scope: "row", text: name }), make("td", {}, value))));
}
