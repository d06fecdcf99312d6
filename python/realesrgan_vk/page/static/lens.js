// A lens over the picture: the same place before and after, side by side, pixel by pixel.

import { ratio } from "./layers.js";
import { text } from "./text.js";

const lens = document.getElementById("lens");
const mark = document.getElementById("lens-mark");
const place = document.getElementById("lens-place");
const button = document.getElementById("lens-button");
const panes = { original: lens.querySelector(".before"), result: lens.querySelector(".after") };
const MOST_SIDE = 240; // of a pane, in pixels of the page
const GAP = 18; // between the lens and what it shows
let layers = [];
let at = null; // the place in the result that is looked at

export const isOn = () => !lens.hidden;
export const spot = () => at;

// `make` draws a picture of the job into an element.
export function start(make, x, y) {
  lens.hidden = mark.hidden = false;
  button.setAttribute("aria-pressed", "true");
  layers = Object.entries(panes).map(([which, pane]) => make(pane, which));
  at = { x, y };
}

export function stop() {
  lens.hidden = mark.hidden = true;
  button.setAttribute("aria-pressed", "false");
  for (const layer of layers.splice(0)) layer.close();
}

export function look(job, x, y) {
  const { width, height } = job.result;
  at = { x: Math.min(Math.max(x, 0), width), y: Math.min(Math.max(y, 0), height) };
}

// Draws the lens over a stage of this size that shows this view.
export function show(view, stage) {
  const [width, height] = [stage.clientWidth, stage.clientHeight];
  const side = Math.max(48, Math.min(MOST_SIDE, (width - 12) / 2, (height - 12) * 0.6));
  // Where the picture itself is shown pixel by pixel, the lens shows twice as much.
  const zoom = view.zoom < 1 ? 1 : Math.min(16, 2 * view.zoom);
  const pixels = side * ratio();
  const shown = { zoom, x: at.x - pixels / zoom / 2, y: at.y - pixels / zoom / 2 };
  for (const pane of Object.values(panes)) Object.assign(pane.style, { width: `${side}px`, height: `${side}px` });
  for (const layer of layers) layer.show(shown, [pixels, pixels]);
  lens.classList.toggle("pixels", zoom > 1);
  const [x, y] = [((at.x - view.x) * view.zoom) / ratio(), ((at.y - view.y) * view.zoom) / ratio()];
  const half = Math.max(3, (side * view.zoom) / zoom / 2);
  Object.assign(mark.style, {
    left: `${x - half}px`,
    top: `${y - half}px`,
    width: `${2 * half}px`,
    height: `${2 * half}px`,
  });
  place.textContent = text("lens.place", { zoom: zoom === 1 ? "1:1" : `${Math.round(zoom * 10) / 10}:1`, x: Math.round(at.x), y: Math.round(at.y) });
  const [across, down] = [lens.offsetWidth, lens.offsetHeight];
  const above = y - half - GAP - down;
  const below = y + half + GAP;
  const top = above >= 0 || below + down > height ? above : below;
  Object.assign(lens.style, {
    left: `${Math.min(Math.max(x - across / 2, 0), Math.max(0, width - across))}px`,
    top: `${Math.min(Math.max(top, 0), Math.max(0, height - down))}px`,
  });
}
