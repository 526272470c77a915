// Objects in a picture of the visitor's, or in one that is drawn here.

import { command, read } from "./api.js";
import { at, make, trying } from "./dom.js";

const LONGEST_SIDE = 900;
const COLOURS = ["#e4572e", "#2e86ab", "#3a7d44", "#a23b72", "#f2a541"];

let picture = null; // {blob, bitmap}
let asked = 0;

export function openPictures() {
  if (!picture) draw();
}

at("picture").addEventListener("change", ({ target }) => {
  if (target.files.length) take(target.files[0]);
});
at("draw").addEventListener("click", draw);
at("threshold").addEventListener("input", () => {
  at("threshold-shown").textContent = at("threshold").value;
});
at("threshold").addEventListener("change", look);

async function take(blob) {
  // Browsers and the service read different formats; the service has the last word.
  picture = { blob, bitmap: await createImageBitmap(blob).catch(() => null) };
  await look();
}

async function look() {
  if (!picture) return;
  const mine = ++asked;
  paint([]);
  at("found").replaceChildren();
  at("pictures-note").textContent = "";
  at("pictures-command").textContent = command("/v1/detections", { file: "image=@picture.png" });
  await trying(at("pictures-problem"), async () => {
    const form = new FormData();
    form.append("image", picture.blob, "picture");
    form.append("threshold", at("threshold").value);
    const answer = await read("POST", "/v1/detections", { form });
    if (mine !== asked) return;
    const { detections, inference_time_ms: time, model_version: model } = answer;
    paint(detections);
    at("found").replaceChildren(...detections.map(({ label, confidence }) => make("li", {},
      make("span", { class: "name", text: label }), make("span", { class: "state", text: confidence.toFixed(2) }))));
    at("pictures-note").textContent = `${detections.length} found in ${time.toFixed(1)} ms by ${model}`;
  });
}

function paint(detections) {
  const { bitmap } = picture;
  const canvas = at("canvas");
  canvas.hidden = bitmap === null;
  if (!bitmap) return;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext("2d");
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  pen.font = "14px system-ui, sans-serif";
  pen.textBaseline = "top";
  for (const { label, confidence, bbox } of detections) {
    const [left, top, right, bottom] = bbox.map((each) => each * scale);
    const words = `${label} ${confidence.toFixed(2)}`;
    const above = Math.max(0, top - 18);
    pen.strokeStyle = pen.fillStyle = "#1742a8";
    pen.lineWidth = 2;
    pen.strokeRect(left, top, right - left, bottom - top);
    pen.fillRect(left, above, pen.measureText(words).width + 8, 18);
    pen.fillStyle = "#fff";
    pen.fillText(words, left + 4, above + 2);
  }
}

/** Draw some of the shapes that the demonstration detector knows. */
function draw() {
  const canvas = make("canvas", { width: 480, height: 320 });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#e9e4d8";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const places = [[90, 90], [240, 80], [390, 100], [110, 235], [260, 240], [395, 230]];
  const shapes = [circle, cross, ring, square, star, triangle].sort(() => Math.random() - 0.5);
  places.forEach(([x, y], number) => {
    pen.fillStyle = pen.strokeStyle = COLOURS[number % COLOURS.length];
    pen.beginPath();
    shapes[number](pen, x, y, 34 + 22 * Math.random());
    pen.fill("evenodd");
  });
  canvas.toBlob((blob) => {
    at("picture").value = "";
    take(blob);
  });
}

const circle = (pen, x, y, size) => pen.arc(x, y, size, 0, 2 * Math.PI);
const square = (pen, x, y, size) => pen.rect(x - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6);
const triangle = (pen, x, y, size) => polygon(pen, x, y, [size, size, size]);
const star = (pen, x, y, size) => polygon(pen, x, y, Array(5).fill([size, size * 0.4]).flat());

function ring(pen, x, y, size) {
  pen.arc(x, y, size, 0, 2 * Math.PI);
  pen.closePath();
  pen.moveTo(x + size * 0.6, y);
  pen.arc(x, y, size * 0.6, 0, 2 * Math.PI);
}

function cross(pen, x, y, size) {
  const [arm, rest] = [size * 0.3, size * 0.7];
  pen.rect(x - size, y - arm, 2 * size, 2 * arm);
  pen.rect(x - arm, y - size, 2 * arm, rest);
  pen.rect(x - arm, y + arm, 2 * arm, rest);
}

function polygon(pen, x, y, distances) {
  distances.forEach((distance, number) => {
    const angle = (2 * Math.PI * number) / distances.length - Math.PI / 2;
    pen.lineTo(x + distance * Math.cos(angle), y + distance * Math.sin(angle));
  });
  pen.closePath();
}
