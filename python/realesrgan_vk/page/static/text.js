// The page's words: one file a language, chosen by the user, else by the browser.

let words = {};
let fallback = {};
let locale = "en";

export function language() {
  return locale;
}

export async function load(wanted) {
  const known = wanted ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  locale = known === "zh" ? "zh" : "en";
  const get = async (name) => (await fetch(`/static/${name}.json`)).json();
  [fallback, words] = await Promise.all([get("en"), get(locale)]);
  document.documentElement.lang = locale === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = text(element.dataset.text);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
}

export function has(key) {
  return key in words || key in fallback;
}

export function text(key, values = {}) {
  const found = words[key] ?? fallback[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function percent(fraction, digits = 0) {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: digits }).format(fraction);
}

export function number(value) {
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 2 }).format(value);
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  const digits = unit > 1 && count < 100 ? 1 : 0;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(count)}\u00a0${units[unit]}`;
}

export function duration(seconds) {
  const [unit, value] =
    seconds < 90 ? ["seconds", seconds] : seconds < 5400 ? ["minutes", seconds / 60] : ["hours", seconds / 3600];
  const digits = value < 10 ? 1 : 0;
  return text(unit, { n: new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value) });
}

export function size(width, height) {
  return `${width}\u00a0×\u00a0${height}`; // no line ends within
}
