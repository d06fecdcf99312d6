// Before and after, one over the other. Only the part that is seen is fetched, at its zoom.

import { text, percent } from "./text.js";

const dialog = document.getElementById("compare");
const stage = document.getElementById("stage");
const slider = document.getElementById("slider");
const clip = stage.querySelector(".clip");
const images = { original: stage.querySelector(".before"), result: stage.querySelector(".after") };
const THUMB = 44; // pixels, as in the style sheet
const MOST = 8; // screen pixels per pixel of the result
let job = null;
let view = null; // zoom (screen pixels per pixel), x and y of the left top corner in the result
let timer = 0;
let turn = 0;

export function setUp() {
  slider.addEventListener("input", divide);
  for (const close of document.querySelectorAll("dialog .close")) {
    close.addEventListener("click", () => close.closest("dialog").close());
  }
  document.getElementById("zoom-fit").onclick = fit;
  document.getElementById("zoom-one").onclick = () => zoomTo(1);
  document.getElementById("zoom-in").onclick = () => zoomTo(view.zoom * 1.5);
  document.getElementById("zoom-out").onclick = () => zoomTo(view.zoom / 1.5);
  stage.addEventListener("wheel", wheel, { passive: false });
  stage.addEventListener("dblclick", (event) => (view.zoom >= 1 ? fit() : zoomTo(1, event)));
  stage.addEventListener("keydown", key);
  drag(stage, (dx, dy) => move(-dx * ratio() / view.zoom, -dy * ratio() / view.zoom));
  new ResizeObserver(() => {
    if (!view) return;
    divide();
    show();
  }).observe(stage);
  dialog.addEventListener("close", () => {
    view = null;
    for (const image of Object.values(images)) image.removeAttribute("src");
  });
}

export function open(chosen) {
  job = chosen;
  document.getElementById("compare-title").textContent = job.name;
  const save = document.getElementById("compare-download");
  save.href = job.links.result;
  save.download = job.result_name;
  dialog.showModal();
  slider.value = 50;
  divide();
  fit();
  slider.focus();
}

// Calls `moved` with the distance that a pointer that is held down has gone since the last call.
export function drag(element, moved) {
  element.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest("input, button")) return;
    element.setPointerCapture(event.pointerId);
    let [x, y] = [event.clientX, event.clientY];
    const follow = (next) => {
      moved(next.clientX - x, next.clientY - y);
      [x, y] = [next.clientX, next.clientY];
    };
    element.addEventListener("pointermove", follow);
    const end = () => element.removeEventListener("pointermove", follow);
    for (const kind of ["pointerup", "pointercancel"]) element.addEventListener(kind, end, { once: true });
  });
}

const ratio = () => window.devicePixelRatio || 1;
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

function key(event) {
  if (event.target === slider) return;
  const step = (60 * ratio()) / view.zoom;
  const steps = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (event.key in steps) move(...steps[event.key]);
  else if (event.key === "+" || event.key === "=") zoomTo(view.zoom * 1.5);
  else if (event.key === "-") zoomTo(view.zoom / 1.5);
  else if (event.key === "0") fit();
  else if (event.key === "1") zoomTo(1);
  else return;
  event.preventDefault();
}

// A picture smaller than the screen is in its middle; another one covers it.
function held(at, shown, whole) {
  return shown >= whole ? (whole - shown) / 2 : Math.min(Math.max(at, 0), whole - shown);
}

function show() {
  const [width, height] = screen();
  const { zoom } = view;
  view.x = held(view.x, width / zoom, job.result.width);
  view.y = held(view.y, height / zoom, job.result.height);
  document.getElementById("zoom-value").textContent = percent(zoom);
  stage.classList.toggle("pixels", zoom > 1);
  for (const image of Object.values(images)) place(image);
  clearTimeout(timer);
  timer = setTimeout(fetchPart, images.result.hasAttribute("src") ? 120 : 0);
}

// Puts an image, which shows a part, where that part is now.
function place(image) {
  const part = image.region;
  if (!part) return;
  const scale = view.zoom / ratio();
  Object.assign(image.style, {
    left: `${(part.x - view.x) * scale}px`,
    top: `${(part.y - view.y) * scale}px`,
    width: `${part.w * scale}px`,
    height: `${part.h * scale}px`,
  });
}

function fetchPart() {
  if (!view) return;
  const [width, height] = screen();
  const x = Math.max(0, Math.floor(view.x));
  const y = Math.max(0, Math.floor(view.y));
  const part = {
    x,
    y,
    w: Math.min(job.result.width, Math.ceil(view.x + width / view.zoom)) - x,
    h: Math.min(job.result.height, Math.ceil(view.y + height / view.zoom)) - y,
  };
  turn += 1;
  const mine = turn;
  for (const [which, image] of Object.entries(images)) {
    const query = new URLSearchParams({ of: which, ...part, zoom: Math.min(1, view.zoom) });
    const next = new Image();
    next.src = `/api/jobs/${job.id}/preview?${query}`;
    next.decode().then(
      () => {
        if (mine !== turn || !view) return;
        image.region = part;
        image.src = next.src;
        image.alt = text(which === "result" ? "after" : "before");
        place(image);
      },
      () => {},
    );
  }
}
