// Puts the parts of the page together.

import { json, listen, pause } from "./api.js";
import * as jobs from "./jobs.js";
import * as pending from "./pending.js";
import * as settings from "./settings.js";
import * as words from "./text.js";

const language = document.getElementById("language");
const theme = document.getElementById("theme");
const state = document.getElementById("state");

function showTheme() {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

function showState(found) {
  if (found === "ok") {
    delete state.dataset.problem;
    jobs.redraw();
    return;
  }
  state.dataset.problem = found;
  state.textContent = words.text(`state.${found}`);
}

async function fetched(path) {
  for (;;) {
    try {
      return await json(path);
    } catch {
      showState("away");
      await pause(1);
    }
  }
}

theme.value = settings.remembered("theme") ?? "auto";
showTheme();
theme.onchange = () => {
  settings.remember("theme", theme.value);
  showTheme();
};
await words.load(settings.remembered("language"));
language.value = words.language();
language.onchange = async () => {
  settings.remember("language", language.value);
  await words.load(language.value);
  settings.drawModels();
  settings.drawFaces();
  settings.drawVideos();
  pending.redraw();
  jobs.redraw();
};
const [{ models, faces }, { devices, limits }] = await Promise.all(["/api/models", "/api/devices"].map(fetched));
let wait = 0;
settings.setUp(models, faces, devices, () => {
  clearTimeout(wait);
  pending.outdate();
  wait = setTimeout(pending.replan, 300);
});
settings.setVideos(fetched("/api/codecs")); // opens every encoder once, which takes a moment
const dialogs = new Map(); // what opens each; they are loaded when they are first wanted

// Opens a dialog, whose module has `setUp` and `open`.
async function openDialog(name, given) {
  try {
    if (!dialogs.has(name)) {
      const module = await import(`./${name}.js`);
      if (!dialogs.has(name)) module.setUp(limits);
      dialogs.set(name, module.open);
    }
  } catch {
    showState("away");
    return;
  }
  dialogs.get(name)(given);
}

for (const close of document.querySelectorAll("dialog .close")) {
  close.addEventListener("click", () => close.closest("dialog").close());
}
document.getElementById("try").onclick = () => openDialog("trial");
jobs.setUp((job) => openDialog("compare", job));
pending.setUp(limits, () => {
  document.getElementById("try").disabled = !pending.first();
});
listen({ job: jobs.update, removed: jobs.removed, state: showState });
document.documentElement.dataset.ready = "";
