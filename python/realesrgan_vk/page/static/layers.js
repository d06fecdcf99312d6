// A picture of a job, drawn into an element as a view shows it. A view has `zoom`, screen pixels per
// pixel of the result, and `x` and `y`, the place in the result of the left top corner.

import { Refused, ask, pause } from "./api.js";
import { text } from "./text.js";

const SIDE = 512; // of a tile, as the server cuts them
const MOST_KEPT = 240; // tiles that are not seen
const MOST_ASKED = 3; // tiles at a time; the browser has six connections
const MOST_FAILED = 4; // tiles in a row, until no more are asked for
const WAIT = 60; // milliseconds for which a view must stand still
const LONGEST = 65535; // pixels of a side that a part can show whole

export const ratio = () => window.devicePixelRatio || 1;

export function isLarge(job, limits) {
  const { width, height } = job.result;
  const asTiles = width * height > limits.tile_pixels || Math.max(width, height) > LONGEST;
  return Boolean(job.links.result_tiles) && asTiles;
}

// Puts an element where a part of the result is. Its borders are whole pixels of the screen, so that
// what adjoins has no gap.
function put(element, view, part) {
  const at = (place, origin) => Math.round((place - origin) * view.zoom) / ratio();
  const [left, top] = [at(part.x, view.x), at(part.y, view.y)];
  const least = 1 / ratio(); // a line is seen, too
  Object.assign(element.style, {
    left: `${left}px`,
    top: `${top}px`,
    width: `${Math.max(least, at(part.x + part.w, view.x) - left)}px`,
    height: `${Math.max(least, at(part.y + part.h, view.y) - top)}px`,
  });
}

function newImage() {
  return Object.assign(document.createElement("img"), { alt: "", draggable: false });
}

// One image of what is seen, and of `margin` pixels around it, which is fetched anew for each view.
export class Part {
  constructor(element, job, which, margin = 0) {
    Object.assign(this, { element, job, which, margin, region: null, timer: 0, turn: 0, view: null });
    this.image = newImage();
    element.replaceChildren(this.image);
  }

  // `size` is that of the element in pixels of the screen.
  show(view, size) {
    this.view = view;
    if (this.region) put(this.image, view, this.region);
    const seen = this.seen(size, 0);
    if (this.margin && this.region && this.region.zoom === Math.min(1, view.zoom) && holds(this.region, seen)) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(size), this.region ? 2 * WAIT : 0);
  }

  seen([width, height], margin) {
    const { x, y, zoom } = this.view;
    const { result } = this.job;
    const left = Math.max(0, Math.floor(x - margin));
    const top = Math.max(0, Math.floor(y - margin));
    return {
      x: left,
      y: top,
      w: Math.min(result.width, Math.ceil(x + width / zoom + margin)) - left,
      h: Math.min(result.height, Math.ceil(y + height / zoom + margin)) - top,
    };
  }

  fetch(size) {
    const part = this.seen(size, this.margin);
    if (part.w < 1 || part.h < 1) return;
    const zoom = Math.min(1, this.view.zoom);
    this.turn += 1;
    const mine = this.turn;
    const next = new Image();
    next.src = `/api/jobs/${this.job.id}/preview?${new URLSearchParams({ of: this.which, ...part, zoom })}`;
    next.decode().then(
      () => {
        if (mine !== this.turn) return;
        this.region = { ...part, zoom };
        this.image.src = next.src;
        put(this.image, this.view, part);
      },
      () => {},
    );
  }

  close() {
    clearTimeout(this.timer);
    this.turn += 1;
    this.element.replaceChildren();
  }
}

function holds(outer, inner) {
  return (
    outer.x <= inner.x &&
    outer.y <= inner.y &&
    outer.x + outer.w >= inner.x + inner.w &&
    outer.y + outer.h >= inner.y + inner.h
  );
}

// Tiles of the level that suits the zoom. Until they are there, those of other levels are seen.
export class Tiles {
  constructor(element, job, which, tell = () => {}) {
    Object.assign(this, { element, job, which, tell, view: null, size: [0, 0], timer: 0, loading: 0, failed: 0 });
    this.most = Math.ceil(Math.log2(Math.max(job.result.width, job.result.height, 1)));
    this.tiles = new Map(); // by level, column and row; the last used last
    this.wanted = [];
    this.isReady = false;
    this.isClosed = false;
    element.replaceChildren();
    this.prepare();
  }

  // Waits until the server has made what tiles are cut from.
  async prepare() {
    this.isReady = false;
    while (!this.isClosed) {
      try {
        const answer = await ask(this.job.links[`${this.which}_tiles`]);
        if (this.isClosed) return;
        if (answer.status === 200) break;
        const { fraction } = await answer.json();
        this.tell({ fraction });
        await pause(Number(answer.headers.get("Retry-After")) || 1);
      } catch (error) {
        if (this.isClosed) return;
        const isOver = error instanceof Refused;
        this.tell({ problem: isOver ? error.message : text("state.away") });
        if (isOver) return;
        await pause(2);
      }
    }
    if (this.isClosed) return;
    this.tell({});
    this.isReady = true;
    if (this.view) this.draw();
  }

  show(view, size) {
    this.view = view;
    this.size = size;
    for (const tile of this.tiles.values()) put(tile.image, view, tile);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.draw(), this.wanted.length ? WAIT : 0);
  }

  // The level with at least as many pixels as the screen.
  level() {
    const halvings = Math.floor(Math.log2(1 / Math.min(1, this.view.zoom)) + 0.01);
    return Math.max(0, this.most - halvings);
  }

  draw() {
    if (!this.isReady || this.isClosed || !this.view) return;
    const level = this.level();
    const step = SIDE * 2 ** (this.most - level);
    const { x, y, zoom } = this.view;
    const [width, height] = this.size;
    const { result } = this.job;
    const first = [Math.max(0, Math.floor(x / step)), Math.max(0, Math.floor(y / step))];
    const last = [
      Math.ceil(Math.min(result.width, x + width / zoom) / step),
      Math.ceil(Math.min(result.height, y + height / zoom) / step),
    ];
    const middle = [(x + width / zoom / 2) / step - 0.5, (y + height / zoom / 2) / step - 0.5];
    this.wanted = [];
    for (let row = first[1]; row < last[1]; row += 1) {
      for (let column = first[0]; column < last[0]; column += 1) this.wanted.push(this.tile(level, column, row));
    }
    const distance = (tile) => Math.hypot(tile.column - middle[0], tile.row - middle[1]);
    this.wanted.sort((one, other) => distance(one) - distance(other));
    // The whole picture lies under them.
    const whole = Math.min(level, Math.ceil(Math.log2(SIDE)), this.most);
    this.wanted.unshift(this.tile(whole, 0, 0));
    for (const tile of this.wanted) {
      this.tiles.delete(tile.key);
      this.tiles.set(tile.key, tile);
    }
    this.fill();
  }

  tile(level, column, row) {
    const key = `${level}/${column}_${row}`;
    const known = this.tiles.get(key);
    if (known) return known;
    const scale = 2 ** (this.most - level);
    const { result } = this.job;
    const [x, y] = [column * SIDE * scale, row * SIDE * scale];
    // The last pixel of a level may lie in part beyond the picture.
    const w = Math.min(SIDE, Math.ceil(result.width / scale) - column * SIDE) * scale;
    const h = Math.min(SIDE, Math.ceil(result.height / scale) - row * SIDE) * scale;
    const made = { key, level, column, row, x, y, w, h, image: newImage(), state: "new" };
    made.image.style.zIndex = level;
    return made;
  }

  // Asks for what is wanted, a few at a time; gives up what is not any more.
  fill() {
    const wanted = new Set(this.wanted);
    for (const tile of [...this.tiles.values()]) {
      if (tile.state === "asked" && !wanted.has(tile)) {
        tile.state = "new";
        tile.image.removeAttribute("src");
        this.loading -= 1;
      }
    }
    for (const tile of this.wanted) {
      if (this.loading >= MOST_ASKED) break;
      if (tile.state === "new") this.ask(tile);
    }
    const isWhole = this.wanted.every((tile) => tile.state === "shown");
    for (const [key, tile] of [...this.tiles]) {
      if (wanted.has(tile)) continue;
      if (isWhole) tile.image.remove();
      if (tile.state !== "shown" || this.tiles.size > MOST_KEPT + wanted.size) {
        tile.image.remove();
        this.tiles.delete(key);
      }
    }
    for (const tile of this.wanted) {
      if (tile.state !== "shown") continue;
      put(tile.image, this.view, tile);
      if (!tile.image.isConnected) this.element.append(tile.image);
    }
    this.element.dataset.tiles = isWhole ? "all" : "some";
  }

  async ask(tile) {
    tile.state = "asked";
    this.loading += 1;
    // At full size nothing is lost; else small files matter more. JPEG has no transparency.
    const kind = tile.level === this.most || this.job.source.has_alpha ? "png" : "jpg";
    tile.image.src = `/api/jobs/${this.job.id}/${this.which}_files/${tile.key}.${kind}`;
    try {
      await tile.image.decode();
    } catch {
      if (tile.state !== "asked" || this.isClosed) return; // it was given up
      tile.state = "new";
      this.loading -= 1;
      this.tiles.delete(tile.key);
      this.failed += 1;
      if (this.failed > MOST_FAILED) {
        this.tell({ problem: text("tiles.failed") });
        return;
      }
      await pause(1);
      if (!this.isClosed && this.isReady) this.prepare(); // they may have been removed
      return;
    }
    if (tile.state !== "asked" || this.isClosed) return;
    tile.state = "shown";
    this.failed = 0;
    this.loading -= 1;
    this.fill();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    for (const tile of this.tiles.values()) tile.image.removeAttribute("src");
    this.tiles.clear();
    this.element.replaceChildren();
    delete this.element.dataset.tiles;
  }
}
