// Before and after, one over the other. Only what is seen is fetched, at its zoom.

import { follow } from "./gestures.js";
import { isLarge, Part, ratio, Tiles } from "./layers.js";
import * as lens from "./lens.js";
import { text, percent } from "./text.js";

const dialog = document.getElementById("compare");
const stage = document.getElementById("stage");
const slider = document.getElementById("slider");
const state = document.getElementById("stage-state");
const clip = stage.querySelector(".clip");
const elements = { original: stage.querySelector(":scope > .before"), result: clip.querySelector(".after") };
const THUMB = 44; // pixels, as in the style sheet
const MOST = 8; // screen pixels per pixel of the result
const MARGIN = 200; // pixels around the lens that are fetched with what it shows
let limits = { tile_pixels: Infinity };
let job = null;
let view = null;
let layers = [];

export function setUp(serverLimits) {
  limits = serverLimits;
  slider.addEventListener("input", divide);
  document.getElementById("zoom-fit").onclick = fit;
  document.getElementById("zoom-one").onclick = () => zoomTo(1);
  document.getElementById("zoom-in").onclick = () => zoomTo(view.zoom * 1.5);
  document.getElementById("zoom-out").onclick = () => zoomTo(view.zoom / 1.5);
  document.getElementById("lens-button").onclick = toggleLens;
  stage.addEventListener("wheel", wheel, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    if (event.target !== slider) view.zoom >= 1 ? fit() : zoomTo(1, event);
  });
  dialog.addEventListener("keydown", key);
  // With the lens a finger moves it, as a mouse does that is not held down.
  follow(
    stage,
    (dx, dy, event) => {
      if (lens.isOn() && event.pointerType === "touch") return;
      move((-dx * ratio()) / view.zoom, (-dy * ratio()) / view.zoom);
    },
    (factor, middle) => {
      move((-middle.dx * ratio()) / view.zoom, (-middle.dy * ratio()) / view.zoom);
      zoomTo(view.zoom * factor, middle);
    },
  );
  for (const kind of ["pointermove", "pointerdown"]) stage.addEventListener(kind, point);
  new ResizeObserver(() => {
    if (!view) return;
    divide();
    show();
  }).observe(stage);
  dialog.addEventListener("close", () => {
    lens.stop();
    for (const layer of layers.splice(0)) layer.close();
    view = null;
  });
}

export function open(chosen) {
  job = chosen;
  document.getElementById("compare-title").textContent = job.name;
  const save = document.getElementById("compare-download");
  save.href = job.links.result;
  save.download = job.result_name;
  state.hidden = true;
  layers = Object.entries(elements).map(([which, element]) => {
    element.setAttribute("aria-label", text(which === "result" ? "after" : "before"));
    return make(element, which, 0, which === "result" ? tell : undefined);
  });
  dialog.showModal();
  slider.value = 50;
  divide();
  fit();
  slider.focus();
}

function make(element, which, margin, told) {
  return isLarge(job, limits) ? new Tiles(element, job, which, told) : new Part(element, job, which, margin);
}

// How far the tiles are, or why there are none.
function tell({ fraction, problem }) {
  state.textContent = problem ?? text("tiles.making", { percent: percent(fraction ?? 1) });
  state.hidden = fraction === undefined && problem === undefined;
}

function toggleLens() {
  if (lens.isOn()) {
    lens.stop();
    return;
  }
  const [width, height] = screen();
  const middle = [view.x + width / view.zoom / 2, view.y + height / view.zoom / 2];
  lens.start((pane, which) => make(pane, which, MARGIN), ...middle);
  stage.focus({ preventScroll: true }); // whose keys move it
  show();
}

// The place in the result under a pointer.
function under(event) {
  const box = stage.getBoundingClientRect();
  const at = (pixels) => (pixels * ratio()) / view.zoom;
  return [view.x + at(event.clientX - box.left), view.y + at(event.clientY - box.top)];
}

function point(event) {
  if (!view || !lens.isOn() || event.target === slider) return;
  lens.look(job, ...under(event));
  lens.show(view, stage);
}

const screen = () => [stage.clientWidth * ratio(), stage.clientHeight * ratio()];

function divide() {
  const at = THUMB / 2 + ((stage.clientWidth - THUMB) * Number(slider.value)) / 100;
  clip.style.clipPath = `inset(0 0 0 ${at}px)`;
  slider.setAttribute("aria-valuetext", percent(1 - Number(slider.value) / 100));
}

function fitting() {
  const [width, height] = screen();
  return Math.min(width / job.result.width, height / job.result.height, 1);
}

function fit() {
  view = { zoom: fitting(), x: 0, y: 0 };
  show();
}

// Zooms, and keeps the pixel under the pointer, or the middle, where it is.
function zoomTo(wanted, event) {
  const [width, height] = screen();
  const box = stage.getBoundingClientRect();
  const x = event ? (event.clientX - box.left) * ratio() : width / 2;
  const y = event ? (event.clientY - box.top) * ratio() : height / 2;
  const zoom = Math.min(MOST, Math.max(Math.min(fitting(), 1), wanted));
  view = { zoom, x: view.x + x / view.zoom - x / zoom, y: view.y + y / view.zoom - y / zoom };
  show();
}

function wheel(event) {
  event.preventDefault();
  zoomTo(view.zoom * Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0015)), event);
}

function move(dx, dy) {
  view = { ...view, x: view.x + dx, y: view.y + dy };
  show();
}

// Of the dialog, but for those of the control that has the focus; arrow keys are the picture's only.
function key(event) {
  if (!view || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "=") zoomTo(view.zoom * 1.5);
  else if (event.key === "-") zoomTo(view.zoom / 1.5);
  else if (event.key === "0") fit();
  else if (event.key === "1") zoomTo(1);
  else if (event.key === "l" || event.key === "L") toggleLens();
  else if (event.target !== stage || !arrow(event)) return;
  event.preventDefault();
}

function arrow(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!(event.key in steps)) return false;
  const [across, down] = steps[event.key];
  if (!lens.isOn()) {
    const step = (60 * ratio()) / view.zoom;
    move(across * step, down * step);
    return true;
  }
  const step = event.shiftKey ? 1 : (16 * ratio()) / view.zoom;
  const { x, y } = lens.spot();
  lens.look(job, x + across * step, y + down * step);
  // What it shows stays in the picture that is seen.
  const [width, height] = screen();
  const outside = (at, from, length) => Math.min(0, at - from) + Math.max(0, at - from - length);
  const spot = lens.spot();
  move(outside(spot.x, view.x, width / view.zoom), outside(spot.y, view.y, height / view.zoom));
  return true;
}

// A picture smaller than the screen is in its middle; another one covers it.
function held(at, shown, whole) {
  return shown >= whole ? (whole - shown) / 2 : Math.min(Math.max(at, 0), whole - shown);
}

function show() {
  const size = screen();
  const { zoom } = view;
  view.x = held(view.x, size[0] / zoom, job.result.width);
  view.y = held(view.y, size[1] / zoom, job.result.height);
  document.getElementById("zoom-value").textContent = zoom < 0.01 ? percent(zoom, 3) : percent(zoom);
  stage.classList.toggle("pixels", zoom > 1);
  for (const layer of layers) layer.show(view, size);
  if (lens.isOn()) lens.show(view, stage);
}
