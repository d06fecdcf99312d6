// One crop of the first picture with every network, side by side.

import { ask, Refused, upload } from "./api.js";
import { follow } from "./gestures.js";
import { ended, erase } from "./jobs.js";
import { first } from "./pending.js";
import { choose, modelWords, shownModels, trialQuery } from "./settings.js";
import { duration, text } from "./text.js";

const SIDE = 96; // of the crop, in pixels
const dialog = document.getElementById("trial");
const stage = document.getElementById("crop-stage");
const picture = document.getElementById("crop-picture");
const crop = document.getElementById("crop");
const results = document.getElementById("trial-results");
const state = document.getElementById("trial-state");
let item = null;
let at = { x: 0, y: 0, w: 0, h: 0 };
let made = []; // the jobs of the last trial
let turn = 0;

export function setUp() {
  document.getElementById("trial-run").onclick = run;
  follow(crop, (dx, dy) => move((dx * item.width) / picture.clientWidth, (dy * item.height) / picture.clientHeight));
  stage.addEventListener("pointerdown", (event) => {
    if (event.target === crop) return;
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * item.width - at.w / 2;
    const y = ((event.clientY - box.top) / box.height) * item.height - at.h / 2;
    move(x - at.x, y - at.y);
  });
  crop.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 1 : 16;
    const steps = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    move(...steps[event.key]);
  });
  dialog.addEventListener("close", forget);
  new ResizeObserver(() => item && move(0, 0)).observe(picture);
}

export async function open() {
  item = first();
  if (!item) return;
  const [w, h] = [Math.min(SIDE, item.width), Math.min(SIDE, item.height)];
  at = { x: (item.width - w) / 2, y: (item.height - h) / 2, w, h };
  picture.src = item.url;
  results.replaceChildren();
  state.textContent = "";
  dialog.showModal();
  await picture.decode().catch(() => {});
  move(0, 0);
  crop.focus();
}

function move(dx, dy) {
  at.x = Math.min(Math.max(at.x + dx, 0), item.width - at.w);
  at.y = Math.min(Math.max(at.y + dy, 0), item.height - at.h);
  const [width, height] = [picture.clientWidth, picture.clientHeight];
  Object.assign(crop.style, {
    left: `${(at.x / item.width) * width}px`,
    top: `${(at.y / item.height) * height}px`,
    width: `${(at.w / item.width) * width}px`,
    height: `${(at.h / item.height) * height}px`,
  });
}

function forget() {
  turn += 1;
  for (const job of made.splice(0)) erase(job);
}

function tile(name, words) {
  const row = document.createElement("li");
  row.innerHTML = `<div class="blank muted small"></div><p class="name"></p><p class="small muted words"></p><p class="small time"></p>`;
  row.querySelector(".blank").textContent = text("trial.waiting");
  row.querySelector(".name").textContent = name;
  row.querySelector(".words").textContent = words;
  results.append(row);
  return row;
}

function fill(row, source, name) {
  const image = Object.assign(document.createElement("img"), { src: source, alt: name });
  row.querySelector(".blank")?.replaceWith(image);
}

async function run() {
  forget();
  const mine = turn;
  const models = shownModels();
  results.replaceChildren();
  const plain = tile(text("trial.plain"), "");
  const rows = models.map((model) => tile(model.name, modelWords(model)));
  let done = 0;
  const tell = () => {
    state.textContent =
      done < models.length ? text("trial.running", { done, count: models.length }) : text("trial.done");
  };
  tell();
  const part = new URLSearchParams({ x: Math.round(at.x), y: Math.round(at.y), w: at.w, h: at.h });
  try {
    const answer = await ask(`/api/preview?${part}`, { method: "POST", body: item.file });
    const cut = await answer.blob();
    for (const [index, model] of models.entries()) {
      if (mine !== turn) return;
      const job = await upload(cut, trialQuery(model.name), () => mine !== turn);
      if (mine !== turn) {
        erase(job);
        return;
      }
      made.push(job);
      if (!index) fill(plain, `/api/jobs/${job.id}/preview?of=original&zoom=1`, text("trial.plain"));
      ended(job).then((end) => {
        if (mine !== turn) return;
        done += 1;
        tell();
        finish(rows[index], model, end);
      });
    }
  } catch (error) {
    if (mine === turn) state.textContent = error instanceof Refused ? error.message : text("state.away");
  }
}

function finish(row, model, job) {
  if (job.status !== "done") {
    row.querySelector(".blank").textContent = job.error ?? text("status.cancelled");
    return;
  }
  fill(row, `/api/jobs/${job.id}/preview?zoom=1`, model.name);
  row.querySelector(".time").textContent = duration(job.seconds);
  const use = Object.assign(document.createElement("button"), { type: "button", textContent: text("trial.use") });
  use.setAttribute("aria-label", text("trial.use.name", { name: model.name }));
  use.onclick = () => {
    choose(model.name);
    dialog.close();
  };
  row.append(use);
}
