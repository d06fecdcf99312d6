// The jobs of the server, as its events tell them.

import { ask } from "./api.js";
import { bytes, duration, number, percent, size, text } from "./text.js";

const list = document.getElementById("jobs");
const live = document.getElementById("live");
const rows = new Map(); // by id: {job, row, told}
const FINISHED = new Set(["done", "failed", "cancelled"]);
const ENDED = 2; // beyond any fraction
const trials = new Map(); // by id, as they are
const watchers = new Map(); // by the id of a trial: called when it has ended
let compare = () => {};
let opened = Infinity; // when the page was, in milliseconds since 1970

export function setUp(openCompare) {
  compare = openCompare;
  opened = Date.now();
  document.getElementById("tidy").onclick = () => {
    for (const { job } of rows.values()) if (FINISHED.has(job.status)) erase(job);
  };
}

export function erase(job) {
  return ask(`/api/jobs/${job.id}`, { method: "DELETE" }).catch(() => {});
}

// Resolves with a trial once it has ended.
export function ended(job) {
  return new Promise((done) => {
    const now = trials.get(job.id) ?? job;
    if (FINISHED.has(now.status)) done(now);
    else watchers.set(job.id, done);
  });
}

export function update(job) {
  if (job.trial) {
    trials.set(job.id, job);
    if (FINISHED.has(job.status)) {
      watchers.get(job.id)?.(job);
      watchers.delete(job.id);
    }
    return;
  }
  let known = rows.get(job.id);
  if (!known) {
    // What had ended before the page was opened is no news.
    const isOld = FINISHED.has(job.status) && Date.parse(job.created) < opened;
    known = { row: make(job), told: isOld ? ENDED : 0 };
    rows.set(job.id, known);
    const older = [...list.children].find((row) => row.dataset.created < job.created);
    list.insertBefore(known.row, older ?? null); // the newest first
  }
  known.job = job;
  draw(known);
  tell(known);
  summary();
}

export function removed({ id }) {
  trials.delete(id);
  const known = rows.get(id);
  if (!known) return;
  const focused = known.row.contains(document.activeElement);
  known.row.remove();
  rows.delete(id);
  summary();
  if (focused) (list.querySelector("button, a") ?? document.getElementById("main")).focus();
}

export function redraw() {
  for (const known of rows.values()) draw(known);
  summary();
}

function make(job) {
  const row = document.createElement("li");
  row.className = "item";
  row.dataset.id = job.id;
  row.dataset.created = job.created;
  row.innerHTML = `<img class="thumb" alt="" loading="lazy"><div><p class="name"></p><p class="small"><span class="status"></span> <span class="muted facts"></span></p><p class="small muted notes" hidden></p><progress max="1" hidden></progress></div><div class="row"></div>`;
  row.querySelector(".name").textContent = job.name;
  const zoom = Math.min(1, 160 / Math.max(job.plan.result_width, job.plan.result_height));
  const shown = `/api/jobs/${job.id}/preview?zoom=${Math.max(zoom, 1e-8)}`;
  row.querySelector("img").src = `${shown}&of=original`;
  row.dataset.shown = shown;
  row.querySelector("img").onerror = (event) => event.target.removeAttribute("src");
  return row;
}

function draw({ job, row }) {
  const status = row.querySelector(".status");
  status.className = `status status-${job.status}`;
  status.textContent = text(`status.${job.status}`, {
    percent: percent(job.fraction),
    time: job.seconds === null ? "" : duration(job.seconds),
    why: job.error ?? "",
  });
  const result = job.result ?? { width: job.plan.result_width, height: job.plan.result_height };
  const sizes = text("plan.size", {
    from: size(job.source.width, job.source.height),
    to: size(result.width, result.height),
  });
  if (job.source.kind === "video" && job.shown && row.dataset.frame !== String(job.shown)) {
    row.dataset.frame = job.shown;
    row.querySelector("img").src = `${row.dataset.shown}&of=result&turn=${job.shown}`;
  }
  const speed = job.frames_per_second && text("fps", { n: number(job.frames_per_second) });
  const length = job.source.duration && duration(job.source.duration);
  row.querySelector(".facts").textContent = [length, sizes, job.result && bytes(job.result.bytes), job.model, speed]
    .filter(Boolean)
    .map((fact) => `· ${fact}`)
    .join(" ");
  const notes = row.querySelector(".notes");
  notes.hidden = !job.notes.length;
  notes.textContent = job.notes.join("; ");
  const bar = row.querySelector("progress");
  bar.hidden = job.status !== "running";
  bar.value = job.fraction;
  bar.setAttribute("aria-label", job.name);
  const buttons = row.querySelector(".row");
  const kind = FINISHED.has(job.status) ? job.status : "active";
  const wanted = `${kind} ${document.documentElement.lang}`;
  if (buttons.dataset.kind === wanted) return;
  const focused = buttons.contains(document.activeElement);
  buttons.dataset.kind = wanted;
  const made = [];
  if (kind === "done") {
    const show = button("compare", job, () => compare(rows.get(job.id).job));
    const save = document.createElement("a");
    save.className = "button";
    save.href = job.links.result;
    save.download = job.result_name;
    save.textContent = text("download");
    save.setAttribute("aria-label", text("download.name", { name: job.result_name }));
    made.push(show, save);
  }
  made.push(button(kind === "active" ? "cancel" : "remove", job, () => erase(job)));
  buttons.replaceChildren(...made);
  if (focused) made[0].focus();
}

function button(key, job, action) {
  const made = Object.assign(document.createElement("button"), { type: "button", onclick: action });
  made.textContent = text(key);
  made.setAttribute("aria-label", text(`${key}.name`, { name: job.name }));
  return made;
}

// What a screen reader says: each quarter of a job, and its end.
function tell(known) {
  const { job } = known;
  const part = FINISHED.has(job.status) ? ENDED : Math.floor(job.fraction * 4) / 4;
  if (part <= known.told) return;
  known.told = part;
  live.textContent = FINISHED.has(job.status)
    ? text(`live.${job.status}`, { name: job.name })
    : text("live.running", { name: job.name, percent: percent(part) });
}

function summary() {
  const all = [...rows.values()].map(({ job }) => job.status);
  document.getElementById("empty").hidden = all.length > 0;
  document.getElementById("all").hidden = all.filter((status) => status === "done").length < 2;
  document.getElementById("tidy").hidden = !all.some((status) => FINISHED.has(status));
  const running = all.filter((status) => status === "running").length;
  const waiting = all.filter((status) => status === "queued").length;
  const state = document.getElementById("state");
  if (!state.dataset.problem) state.textContent = running + waiting ? text("state.queue", { running, waiting }) : "";
}
