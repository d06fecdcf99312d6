// The options of the next jobs. They are remembered in this browser only.

import { text, has } from "./text.js";

const form = document.getElementById("settings");
const KEY = "realesrgan-vk.settings";
const LOSSY = new Set(["", "jpg", "webp", "avif"]);
const EXAMPLES = new Set(["realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3"]);
const DENOISED = "realesr-general-x4v3";
let models = [];
let faces = { missing: {} };
let videos = { missing: null, codecs: [] };
export let videosKnown = Promise.resolve(); // how they can be written
let shownCodec = null; // whose presets and crf are shown

export function shownModels() {
  return models;
}

export function modelWords(model) {
  const key = `model.${model.name}`;
  return has(key) ? text(key) : model.made_for;
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "{}");
  } catch {
    return {};
  }
}

export function remembered(name) {
  return read("realesrgan-vk.page")[name];
}

export function remember(name, value) {
  localStorage.setItem("realesrgan-vk.page", JSON.stringify({ ...read("realesrgan-vk.page"), [name]: value }));
}

// Networks that are another one with a resize behind it: the size says the same.
function isVariant(model, all) {
  const base = model.name.replace(/-x[234]$/, "");
  return base !== model.name && all.some((other) => other.name === base);
}

export function setUp(found, forFaces, devices, changed) {
  faces = forFaces;
  models = found.filter((model) => !isVariant(model, found) && model.name !== faces.model);
  form.elements.device.append(
    ...devices.map((device) => {
      const option = new Option(device.id === "cpu" ? text("device.cpu") : device.name, device.id);
      if (device.id === "cpu") option.dataset.text = "device.cpu";
      return option;
    }),
  );
  drawModels();
  drawFaces();
  restore(read(KEY));
  if (!form.elements.model.value) form.querySelector('[name="model"]').checked = true;
  const update = () => {
    adapt();
    store();
    changed();
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  adapt();
}

// Chooses again what was remembered, as far as it can be chosen.
function restore(kept) {
  for (const element of form.elements) {
    if (!element.name || !(element.name in kept)) continue;
    if (element.type === "checkbox") element.checked = kept[element.name];
    else if (element.type === "radio") element.checked = element.value === kept[element.name];
    else if (element.tagName !== "SELECT" || [...element.options].some((o) => o.value === kept[element.name])) {
      element.value = kept[element.name];
    }
  }
}

// Shows how videos can be written, once that is known.
export function setVideos(found) {
  const kept = read(KEY);
  videosKnown = found.then((known) => {
    videos = known;
    drawVideos();
    // The codec first, on which the others depend.
    restore({ container: kept.container, codec: kept.codec });
    adapt();
    restore({ crf: kept.crf ?? form.elements.crf.value, preset: kept.preset });
    adapt();
  });
}

export function drawModels() {
  const chosen = form.elements.model?.value;
  document.getElementById("models").replaceChildren(
    ...models.map((model) => {
      const label = document.createElement("label");
      label.className = "model";
      const radio = Object.assign(document.createElement("input"), { type: "radio", name: "model", value: model.name });
      radio.checked = model.name === chosen;
      const name = document.createElement("b");
      name.textContent = model.name;
      label.append(radio, name);
      const words = modelWords(model);
      if (words) {
        const small = document.createElement("small");
        small.textContent = words;
        label.append(small);
      }
      if (EXAMPLES.has(model.name)) {
        const example = Object.assign(new Image(112, 56), { src: `/static/example-${model.name}.webp` });
        example.alt = example.title = text("example");
        label.append(example);
      }
      return label;
    }),
  );
}

// Whether faces can be restored, or what is missing for it.
export function drawFaces() {
  const words = [];
  if ("detector" in faces.missing) words.push(text("faces.detector"));
  if ("network" in faces.missing) words.push(text("faces.network"));
  const missing = document.getElementById("faces-missing");
  missing.hidden = !words.length;
  missing.textContent = words.join(" ");
  form.elements.faces.disabled = words.length > 0;
}

// Whether videos can be written, and by which codecs.
export function drawVideos() {
  const missing = document.getElementById("videos-missing");
  missing.hidden = videos.missing === null;
  missing.textContent = text("video.missing");
  const { codec, container, crf, preset } = form.elements;
  for (const element of [codec, container, crf, preset]) element.disabled = videos.missing !== null;
  for (const { name } of videos.codecs) {
    if (![...codec.options].some((option) => option.value === name)) codec.add(new Option(text(`codec.${name}`), name));
  }
  for (const option of codec.options) {
    if (option.value) option.text = text(`codec.${option.value}`);
  }
  shownCodec = null;
  for (const option of container.options) {
    option.hidden = option.value !== "" && !videos.codecs.some((each) => each.containers.includes(option.value));
  }
}

// Shows what the codec has; one that the container cannot hold is not to be chosen.
function adaptVideos() {
  const { codec, container, crf, preset } = form.elements;
  for (const { name, containers } of videos.codecs) {
    const option = [...codec.options].find((each) => each.value === name);
    option.disabled = container.value !== "" && !containers.includes(container.value);
    if (option.disabled && option.selected) codec.value = "";
  }
  const wanted = codec.value || (container.value === "webm" ? "vp9" : "x264");
  const found = videos.codecs.find(({ name }) => name === wanted);
  if (shownCodec !== wanted) {
    const old = preset.value;
    const isNew = shownCodec !== null;
    shownCodec = wanted;
    preset.replaceChildren(new Option(text("preset.auto"), ""));
    for (const name of found?.presets ?? []) preset.add(new Option(name, name));
    if (!isNew && [...preset.options].some((option) => option.value === old)) preset.value = old;
    crf.max = found?.crf?.most ?? 51;
    if (isNew || !crf.dataset.default) crf.value = found?.crf?.default ?? 0;
    crf.dataset.default = found?.crf?.default ?? "";
  }
  document.getElementById("crf-label").hidden = !found?.crf;
  document.getElementById("crf-value").textContent = crf.value;
  document.getElementById("preset-label").hidden = !found?.presets.length;
}

function restoresFaces() {
  return form.elements.faces.checked && !form.elements.faces.disabled;
}

export function choose(model) {
  const radio = form.querySelector(`[name="model"][value="${CSS.escape(model)}"]`);
  if (!radio) return;
  radio.checked = true;
  form.dispatchEvent(new Event("input"));
}

// Shows the options that mean something with the others.
function adapt() {
  const { sizing, amount, format, quality, denoise, strength, model } = form.elements;
  document.getElementById("amount-label").hidden = sizing.value === "own";
  if (sizing.value !== "own" && !amount.value) amount.value = sizing.value === "scale" ? 2 : 1920;
  if (sizing.value === "scale" && Number(amount.value) > 256) amount.value = 2;
  if (sizing.value !== "own" && sizing.value !== "scale" && Number(amount.value) < 16) amount.value = 1920;
  document.getElementById("quality-label").hidden = !LOSSY.has(format.value);
  document.getElementById("quality-value").textContent = quality.value;
  document.getElementById("denoise-label").hidden = model.value !== DENOISED;
  document.getElementById("denoise-value").textContent = denoise.value;
  document.getElementById("strength-value").textContent = strength.value;
  document.getElementById("face-strength-label").hidden = !restoresFaces();
  document.getElementById("face-strength-value").textContent = form.elements.face_strength.value;
  adaptVideos();
}

function store() {
  const kept = {};
  for (const element of form.elements) {
    if (!element.name || (element.type === "radio" && !element.checked)) continue;
    kept[element.name] = element.type === "checkbox" ? element.checked : element.value;
  }
  localStorage.setItem(KEY, JSON.stringify(kept));
}

// The options of the network and the size, as a query; of a plan.
export function planQuery() {
  const { model, sizing, amount, tta, alpha, device, denoise, strength } = form.elements;
  const query = new URLSearchParams({ model: model.value, device: device.value, alpha: alpha.value });
  if (tta.checked) query.set("tta", "true");
  if (strength.value !== "1") query.set("strength", strength.value);
  if (model.value === DENOISED) query.set("denoise", denoise.value);
  if (sizing.value !== "own" && amount.value) {
    query.set(sizing.value, sizing.value === "scale" ? amount.value : String(Math.round(Number(amount.value))));
  }
  return query;
}

// All options, of a job; a video has no file type of pictures.
export function jobQuery(name, isVideo = false) {
  const { format, quality, strip, face_strength } = form.elements;
  const query = planQuery();
  query.set("name", name);
  if (!isVideo && format.value) query.set("format", format.value);
  if (!isVideo && LOSSY.has(format.value)) query.set("quality", quality.value);
  if (!isVideo && strip.checked) query.set("strip", "true");
  if (isVideo) addVideo(query);
  if (restoresFaces()) {
    query.set("faces", "true");
    query.set("face_strength", face_strength.value);
  }
  return query;
}

function addVideo(query) {
  const { codec, container, crf, preset } = form.elements;
  if (container.value) query.set("format", container.value);
  if (codec.value) query.set("codec", codec.value);
  const found = videos.codecs.find(({ name }) => name === shownCodec);
  if (found?.crf && crf.value !== crf.dataset.default) query.set("crf", crf.value);
  if (found?.presets.includes(preset.value)) query.set("preset", preset.value);
}

export function trialQuery(model) {
  const { device, denoise, strength } = form.elements;
  const query = new URLSearchParams({ model, device: device.value, scale: "4", trial: "true", name: "crop.png" });
  if (strength.value !== "1") query.set("strength", strength.value);
  if (model === DENOISED) query.set("denoise", denoise.value);
  return query;
}
