// The tabs, and the key that all of them use.

import { keyInUse, read, useKey } from "./api.js";
import { at } from "./dom.js";
import { openAnswers } from "./answers.js";
import { openChat } from "./chat.js";
import "./labels.js";
import { openPictures } from "./pictures.js";
import { openService } from "./service.js";

// What each tab does when there is a key and it is looked at.
const OPENERS = {
  answers: openAnswers, chat: openChat, labels: () => {}, pictures: openPictures, service: openService,
};

// Elsewhere, a link with a key in it could sign a visitor into an account of whoever wrote it.
const OWN_MACHINE = ["127.0.0.1", "localhost", "[::1]"];

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", String(chosen));
    each.tabIndex = chosen ? 0 : -1;
    at(each.getAttribute("aria-controls")).hidden = !chosen;
  }
  OPENERS[tab.getAttribute("aria-controls")]();
}

function shown() {
  return tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
}

for (const tab of tabs) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs.at((tabs.indexOf(tab) + step) % tabs.length);
    next.focus();
    show(next);
  });
}

async function greet() {
  const place = at("account");
  place.textContent = keyInUse() ? "" : "needed for all of this";
  if (!keyInUse()) return;
  try {
    place.textContent = (await read("GET", "/v1/auth/me")).email;
  } catch (error) {
    place.textContent = error.message;
  }
  show(shown());
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(at("key").value.trim());
  at("key").value = "";
  greet();
});

/** Take the key from an address of `poe dev`, which has it behind the #: browsers send that to nobody. */
function arrive() {
  if (location.hash.length > 1 && OWN_MACHINE.includes(location.hostname)) {
    useKey(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }
  greet();
}

addEventListener("hashchange", arrive);
arrive();
