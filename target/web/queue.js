// The waiting room: from the form to the pass. What is shown follows from what the browser remembers and the stream says.

import { $, Problem, api, ask, clock, complain, forget, jitter, newId, page, pause, recall, remember, sentence, show, span,
         speak } from "./common.js";
import { tellDraw } from "./draw.js";
import { prove } from "./proof.js";
import { follow } from "./stream.js";

const RETRY_MS_MAX = 15_000;
const SPEAK_EVERY_MS = 15_000;
const PACE_OVER_MS = 60_000;
const PROOFS_MAX = 3;
const UNSOLVED = "the challenge is not solved";  // not so a code or a device that is refused: it stays refused

const ticket = () => ({ authorization: `Queue ${recall().ticket}` });
const resume = { id: "" };
let clockLead_s = 0;  // how far this browser's clock is ahead of the server's
let opensAt_s = Number(page.opensAt);
let seen = [];  // [ms, position] of the last minute
let first = 0;
let spoken_ms = 0;

// --- joining

async function join() {
  const { ticket: held, fan, identity, code, accessible } = recall();
  if (held) {
    try {
      return await ask("POST", `${api}/queue`, { headers: ticket() });
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      remember({ ticket: undefined });
    }
  }
  for (let tries = 1; ; tries++) {
    show("checking");
    $("checking-note").textContent = "Your browser is solving a short task, so that programs cannot fill the queue.";
    try {
      const headers = { challenge: await prove(fan), ...code && { "access-code": code } };
      return await ask("POST", `${api}/queue`, { headers, body: { fan, identity, ...accessible && { accessible } } });
    } catch (problem) {
      const stale = problem.status === 401 || problem.title === UNSOLVED;  // the challenge ran out meanwhile
      if (!stale || tries === PROOFS_MAX) throw problem;
    }
  }
}

async function wait() {
  for (let failures = 0; ;) {
    try {
      const { body } = await join();
      failures = 0;
      remember({ ticket: body.ticket });
      complain();
      tell(body.state, body);
      if (body.state === "admitted") return;
      let admitted = false;
      await follow(`${api}/queue/positions`, ticket(), resume, (name, data) => {
        tell(name, data);
        return admitted = name === "admitted";
      });
      if (admitted) return;
    } catch (problem) {
      if (problem instanceof Problem && !problem.passing) return refuse(problem);
      failures++;
      lose(problem);
      const least_ms = 1000 * (problem.retryAfterS ?? 1);
      await pause(jitter(Math.max(least_ms, Math.min(RETRY_MS_MAX, 500 * 2 ** failures))));
    }
  }
}

function refuse(problem) {
  forget();
  show("join");
  complain(problem.text);
}

/** The connection or the server is away: said beside the place where there is one. */
function lose(problem) {
  const busy = problem.status === 429;
  const why = problem instanceof Problem ? problem.text : "The connection was lost.";
  const shown = document.querySelector("[data-view]:not([hidden])")?.dataset.view;
  $("checking-note").textContent = "Waiting to join.";
  if (shown === "place") notice(busy ? why : "The connection was lost. Your place is kept; trying again.");
  else complain(`${why} ${busy ? `Trying again in ${span(problem.retryAfterS)}.` : "Trying again."}`);
}

// --- what the stream says

function tell(name, data) {
  if (data.at) clockLead_s = Date.now() / 1000 - data.at;
  if (name === "waiting" || name === "gathering") return gather(data);
  if (name === "paused") return stall();
  if (name === "admitted") return takeTurn();
  if (Number.isInteger(data.position)) return tellPlace(data.position);
  return undefined;
}

function gather(data) {
  if (data.opens_at) opensAt_s = data.opens_at;
  show("gathering");
  complain();
  $("gathering-note").textContent = page.policy === "shuffle"
    ? "Everybody who is here by then gets a place by lot: coming earlier is no advantage. Keep this page open."
    : "Places are given in the order of joining. Keep this page open.";
  count();
}

function tellPlace(position) {
  const now = Date.now();
  seen = [...seen.filter(([at]) => now - at < PACE_OVER_MS), [now, position]];
  first = Math.max(first, position);
  show("place");
  notice();
  complain();
  $("place").textContent = position.toLocaleString("en");
  $("place-label").textContent = position === 1 ? "You are next" : "Your place";
  $("progress").max = first;
  $("progress").value = first - position + 1;
  $("wait").textContent = waitText(position);
  document.title = `${position} – waiting room – ${page.title}`;
  if (now - spoken_ms > SPEAK_EVERY_MS || position === 1) {
    spoken_ms = now;
    speak(position === 1 ? "You are next." : `Your place: ${position}. ${$("wait").textContent}`);
  }
}

function waitText(position) {
  const ahead = position - 1;
  const people = ahead === 0 ? "Nobody is before you." : ahead === 1 ? "One person is before you."
    : `${ahead.toLocaleString("en")} people are before you.`;
  const [[from, was], [to, is]] = [seen[0], seen.at(-1)];
  if (to - from < 3000 || was <= is) return people;
  return `${people} About ${span(position / ((was - is) / (to - from)) / 1000)} to go.`;
}

function stall() {
  show("place");
  if (!seen.length) $("place").textContent = "…";
  $("wait").textContent = "";
  notice("The queue is paused for a moment. Your place is kept.");
}

function notice(text = "") {
  $("notice").hidden = !text;
  if ($("notice").textContent !== text) $("notice").textContent = text;
}

// --- the opening

function count() {
  const left_s = opensAt_s - Date.now() / 1000 + clockLead_s;
  $("countdown").textContent = left_s > 0 ? clock(left_s) : "now";
  $("opening").hidden = left_s <= 0;
  $("opening").querySelector("time").textContent = new Date(opensAt_s * 1000).toLocaleString("en", {
    dateStyle: "medium", timeStyle: "medium" });
}

// --- the end of the queue

function takeTurn() {
  if (recall().pass) return location.assign(`/seats/${page.event}`);
  show("turn");
  complain();
  document.title = `● Your turn – ${page.title}`;
  $("turn-note").textContent = `Go on within ${span(Number(page.turnValidS))}, or your turn passes to the next.`;
  $("enter").focus();
}

async function enter() {
  $("enter").disabled = true;
  try {
    const { body } = await ask("POST", `${api}/admission`, { headers: ticket() });
    remember({ pass: body.pass });
    location.assign(`/seats/${page.event}`);
  } catch (problem) {
    if (problem.status === 425) return start();
    if (problem.passing) complain(`${problem.text} Your turn is kept; please try again.`);
    else end(problem);
  } finally {
    $("enter").disabled = false;
  }
}

function end(problem) {
  show("ended");
  complain();
  $("ended-title").textContent = problem.status === 410 ? "Your turn is over" : "This place cannot be used";
  $("ended-note").textContent = sentence(problem.detail || problem.title);
  $("back").hidden = !recall().pass;
}

function start() {
  const { ticket: held, fan } = recall();
  if (held || fan) return wait();
  show("join");
  return undefined;
}

$("rule").textContent = page.policy === "shuffle" && opensAt_s
  ? "Everybody who joins before the opening gets a place by lot; then places are given in the order of joining."
  : "Places are given in the order of joining.";
$("need").hidden = !page.accessible;
$("join").addEventListener("submit", event => {
  event.preventDefault();
  complain();
  const code = new URLSearchParams(location.search).get("code") ?? "";  // the mail to fans links here with theirs
  remember({ fan: newId(), identity: $("identity").value.trim().toLowerCase(), code,
             accessible: $("accessible").checked });
  wait();
});
$("enter").addEventListener("click", enter);
$("again").addEventListener("click", () => { forget(); first = 0; seen = []; show("join"); });
count();
setInterval(count, 250);
tellDraw();
start();
