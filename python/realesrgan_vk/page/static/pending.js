// The pictures that are chosen and not yet sent: how they come in, their thumbnails, their plan.

import { ask, json, Refused, upload } from "./api.js";
import { jobQuery, planQuery, videosKnown } from "./settings.js";
import { bytes, duration, size, text } from "./text.js";

const list = document.getElementById("pending");
const refused = document.getElementById("refused");
const plans = new Map(); // by the query; a plan, or the promise of one
let items = []; // {file, name, width, height, url, alpha, row, ...}
let limits = { upload_bytes: Infinity };
let planned = 0;
let sending = false;
let onChange = () => {};

export function setUp(serverLimits, changed) {
  limits = serverLimits;
  onChange = changed;
  const drop = document.getElementById("drop");
  const files = document.getElementById("files");
  const folder = document.getElementById("folder");
  document.getElementById("choose").onclick = () => files.click();
  document.getElementById("choose-folder").onclick = () => folder.click();
  for (const input of [files, folder]) {
    input.onchange = () => {
      add([...input.files], input === folder);
      input.value = "";
    };
  }
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    });
  }
  document.addEventListener("drop", async (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const given = [...event.dataTransfer.files];
    if (entries.some((entry) => entry.isDirectory)) add(await inFolders(entries), true);
    else add(given);
  });
  document.addEventListener("paste", (event) => {
    const given = [...(event.clipboardData?.files ?? [])];
    if (given.length) {
      event.preventDefault();
      add(given);
    }
  });
  document.getElementById("run").onclick = send;
  document.getElementById("clear").onclick = () => [...items].forEach(remove);
}

async function inFolders(entries) {
  const found = [];
  for (const entry of entries) {
    if (entry.isFile) {
      found.push(await new Promise((done, failed) => entry.file(done, failed)));
      continue;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) break;
      found.push(...(await inFolders(some)));
    }
  }
  return found;
}

const PICTURES = /\.(a?png|jpe?g|jpe|jfif|webp|tiff?|bmp|dib|gif|avif|hei[cf]|jp2|jpx|jpf|j2[kc]|jpc|tga|p[bgpnaf]m|pfm)$/i;

const VIDEOS = /\.(mp4|m4v|mov|mkv|webm|avi)$/i;

// Of folders only pictures and videos are taken; of files all, so that others are refused in words.
function add(files, fromFolder = false) {
  refused.hidden = true;
  for (const file of files) {
    if (fromFolder && (!(PICTURES.test(file.name) || VIDEOS.test(file.name)) || file.name.startsWith("."))) continue;
    if (file.size > limits.upload_bytes) {
      refuse(file.name, text("too.large", { bytes: bytes(limits.upload_bytes) }));
      continue;
    }
    const item = { file, name: file.name || "picture.png", width: 0, height: 0, frames: 1, video: false, url: null };
    items.push(item);
    draw(item);
    measure(item);
  }
  onChange();
}

function refuse(name, why) {
  const words = text("refused", { name, why });
  refused.textContent = refused.hidden ? words : `${refused.textContent} ${words}`;
  refused.hidden = false;
}

function draw(item) {
  const row = document.createElement("li");
  row.className = "item";
  row.innerHTML = `<img class="thumb" alt=""><div><p class="name"></p><p class="small muted facts"></p></div><div class="row"><button type="button"></button></div>`;
  row.querySelector(".name").textContent = item.name;
  const button = row.querySelector("button");
  button.onclick = () => remove(item);
  item.row = row;
  item.words = () => {
    button.textContent = text("remove");
    button.setAttribute("aria-label", text("remove.name", { name: item.name }));
    const facts = [bytes(item.file.size)];
    if (item.width) facts.unshift(size(item.width, item.height));
    const plan = item.plan;
    if (plan) {
      facts[0] = text("plan.size", { from: facts[0], to: size(plan.result_width, plan.result_height) });
      facts.push(plan.seconds === null ? text("plan.busy") : text("plan.time", { time: duration(plan.seconds) }));
    }
    row.querySelector(".facts").textContent = item.problem ?? facts.join(" · ");
    row.querySelector(".facts").classList.toggle("problem", Boolean(item.problem));
  };
  item.words();
  list.append(row);
}

// Size and thumbnail, by the browser where it knows the format, else by the server.
async function measure(item) {
  const picture = item.row.querySelector("img");
  const url = URL.createObjectURL(item.file);
  picture.src = url;
  try {
    await picture.decode();
    [item.width, item.height] = [picture.naturalWidth, picture.naturalHeight];
    item.url = url;
  } catch {
    URL.revokeObjectURL(url);
    picture.removeAttribute("src");
    try {
      const plan = await json(`/api/plan?${planQuery()}`, { method: "POST", body: item.file });
      [item.width, item.height] = [plan.width, plan.height];
      item.video = plan.kind === "video";
      if (item.video) item.frames = plan.frames;
      const preview = await ask("/api/preview?side=1024", { method: "POST", body: item.file });
      item.url = URL.createObjectURL(await preview.blob());
      picture.src = item.url;
    } catch (error) {
      remove(item);
      refuse(item.name, error instanceof Refused ? error.message : text("state.away"));
      return;
    }
  }
  item.words();
  replan();
  onChange();
}

function remove(item) {
  items = items.filter((other) => other !== item);
  item.row.remove();
  if (item.url) URL.revokeObjectURL(item.url);
  showPlan();
  onChange();
}

export function first() {
  return items.find((item) => item.url);
}

export function redraw() {
  items.forEach((item) => item.words());
  showPlan();
}

// Forgets the plans, which are of other options than those chosen now.
export function outdate() {
  planned += 1;
  for (const item of items) item.plan = undefined;
  showPlan();
}

// Asks for the plan of every picture with the options as they are; equal ones once.
export async function replan() {
  outdate();
  const turn = planned;
  const query = planQuery().toString();
  for (const item of [...items]) {
    if (!item.width) continue;
    const key = `of_width=${item.width}&of_height=${item.height}&${query}`;
    try {
      if (!plans.has(key)) plans.set(key, json(`/api/plan?${key}`));
      const plan = await plans.get(key);
      if (plan.seconds === null) plans.delete(key); // known once the device is free
      if (turn !== planned) return;
      // Of a video as often as it has frames, as far as its file says how many.
      item.plan = { ...plan, seconds: plan.seconds && item.frames ? plan.seconds * item.frames : null };
      item.problem = undefined;
    } catch (error) {
      plans.delete(key);
      if (turn !== planned) return;
      item.problem = error.message;
    }
    item.words();
    showPlan();
  }
}

function showPlan() {
  document.getElementById("ready").hidden = !items.length;
  const run = document.getElementById("run");
  run.disabled = sending || !items.length;
  if (!sending) {
    const count = items.length;
    const withVideo = items.some((item) => item.video);
    if (count === 1) run.textContent = withVideo ? text("run.video") : text("run.one");
    else run.textContent = withVideo ? text("run.files", { count }) : text("run.many", { count });
  }
  const known = items.map((item) => item.plan).filter(Boolean);
  const words = document.getElementById("plan");
  if (known.length < items.filter((item) => !item.problem).length) {
    words.textContent = text("plan.wait");
    return;
  }
  if (!known.length) {
    words.textContent = "";
    return;
  }
  const seconds = known.reduce((sum, plan) => (plan.seconds === null ? NaN : sum + plan.seconds), 0);
  const memory = Math.max(...known.map((plan) => plan.memory_bytes + plan.picture_bytes));
  words.textContent = [
    Number.isNaN(seconds) ? text("plan.busy") : text("plan.time", { time: duration(seconds) }),
    text("plan.memory", { bytes: bytes(memory) }),
  ].join(" · ");
}

async function send() {
  sending = true;
  const run = document.getElementById("run");
  const chosen = [...items];
  refused.hidden = true;
  for (const [index, item] of chosen.entries()) {
    run.disabled = true;
    run.textContent = text("run.sending", { done: index + 1, count: chosen.length });
    if (!items.includes(item)) continue;
    try {
      if (item.video) await videosKnown;
      await upload(item.file, jobQuery(item.name, item.video), () => !items.includes(item));
    } catch (error) {
      refuse(item.name, error instanceof Refused ? error.message : text("state.away"));
      if (!(error instanceof Refused)) break; // what is left can be sent later
    }
    remove(item);
  }
  sending = false;
  showPlan();
}
