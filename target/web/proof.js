// The proof of work that is asked for at the entrance: see GET …/challenge.

import { Problem, api, ask } from "./common.js";

const BATCH = 128;
const encoder = new TextEncoder();

/** The value of the Challenge header for this fan; "" when nothing is asked. */
export async function prove(fan) {
  const { body: offer } = await ask("GET", `${api}/challenge`);
  if (offer.kind === "none") return "";
  if (!crypto.subtle) throw new Problem(0, { title: "this page needs HTTPS: without it the browser cannot compute" });
  for (let first = 0; ; first += BATCH) {
    const hits = await Promise.all(
      Array.from({ length: BATCH }, (_, n) => zeroBits(`${offer.challenge}|${fan}|${first + n}`)));
    const hit = hits.findIndex(bits => bits >= offer.bits);
    if (hit >= 0) return `${offer.challenge}:${first + hit}`;
  }
}

async function zeroBits(text) {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(text));
  return Math.clz32(new DataView(digest).getUint32(0));  // at most 32 are asked for
}
