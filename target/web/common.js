// What both pages share: asking the API, what the browser remembers, showing and saying things.

export const page = document.body.dataset;
export const api = `/api/events/${page.event}`;
const ASK_TIMEOUT_MS = 15_000;

export const $ = id => document.getElementById(id);
export const pause = ms => new Promise(done => setTimeout(done, ms));
export const jitter = ms => ms * (0.75 + Math.random() / 2);

/** An answer that is not a success: the problem document, or status 0 when there was no answer. */
export class Problem extends Error {
  constructor(status, document, retryAfterS) {
    super(document.title);
    Object.assign(this, { status, document, title: document.title, detail: document.detail ?? "", retryAfterS });
  }
  /** Whether the same request may well succeed later. */
  get passing() { return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500; }
  get text() { return sentence(this.detail ? `${this.title}: ${this.detail}` : this.title); }
}

/** Resolves to {status, body}; rejects with a Problem. */
export async function ask(method, path, { body, headers = {} } = {}) {
  const sent = { device: device(), ...headers };
  if (body !== undefined) sent["content-type"] = "application/json";
  const signal = AbortSignal.timeout(ASK_TIMEOUT_MS);
  let answer, text;
  try {
    answer = await fetch(path, { method, headers: sent, body: body && JSON.stringify(body), signal });
    text = await answer.text();
  } catch {
    throw new Problem(0, { title: "the server cannot be reached" }, 2);
  }
  if (!answer.ok) throw problemOf(answer, text);
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

export function problemOf(answer, text) {
  let document = { title: `the server answered ${answer.status}` };
  try { document = { ...document, ...JSON.parse(text) }; } catch { /* not a problem document: a proxy's page, perhaps */ }
  return new Problem(answer.status, document, Number(answer.headers.get("retry-after")) || 1);
}

// --- what this browser remembers: one object per event, one name for the device

const place = `gatecrash:${page.event}`;
export const recall = () => JSON.parse(localStorage.getItem(place) ?? "{}");
/** Forgets everything but the tickets that were bought. */
export function forget() {
  localStorage.setItem(place, JSON.stringify({ orders: recall().orders }));
}
export function remember(changes) {
  localStorage.setItem(place, JSON.stringify({ ...recall(), ...changes }));
}

export function device() {
  const known = localStorage.getItem("gatecrash:device");
  if (known) return known;
  const name = newId();
  localStorage.setItem("gatecrash:device", name);
  return name;
}

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
}

// --- the page

/** Shows one of the page's views and moves the focus to its heading; keeps quiet when it is shown already. */
export function show(name) {
  const views = [...document.querySelectorAll("[data-view]")];
  const next = views.find(view => view.dataset.view === name);
  if (!next.hidden) return;
  for (const view of views) view.hidden = view !== next;
  next.querySelector("[tabindex='-1']").focus();
}

/** Says what went wrong, at the top of the page; without text the message goes away. */
export function complain(text = "") {
  $("problem").hidden = !text;
  $("problem").textContent = text;
  if (text) $("problem").scrollIntoView({ block: "nearest" });
}

/** Speaks to screen readers only. */
export function speak(text) {
  if ($("spoken").textContent !== text) $("spoken").textContent = text;
}

/** A new element: `el("p", { class: "soft" }, "text", child)`; an attribute of null is left out. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1).replace(/\.?$/, ".") : "";
}

/** 75 → "1:15". */
export function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  const two = number => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** 75 → "1 minute". */
export function span(seconds) {
  const [count, unit] = seconds < 55 ? [Math.ceil(seconds / 5) * 5, "second"] : [Math.round(seconds / 60), "minute"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
