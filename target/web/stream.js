// Server-sent events over fetch: EventSource cannot send the ticket's header.

import { device, problemOf } from "./common.js";

const SILENCE_MS = 40_000;  // the server writes something at least every 15 s

/** Calls `tell(name, data)` for each event until the stream ends or `tell` returns true. Rejects with a Problem, or
 *  with another error when the connection breaks. `resume.id` is sent, and kept, as the id of the last event. */
export async function follow(path, headers, resume, tell) {
  const breaker = new AbortController();
  let alarm = setTimeout(() => breaker.abort(), SILENCE_MS);
  const sent = { device: device(), ...headers, ...(resume.id && { "last-event-id": resume.id }) };
  try {
    const answer = await fetch(path, { headers: sent, signal: breaker.signal });
    if (!answer.ok) throw problemOf(answer, await answer.text());
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(alarm);
      alarm = setTimeout(() => breaker.abort(), SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = fieldsOf(block);
        if (fields.id) resume.id = fields.id;
        if (fields.event && tell(fields.event, JSON.parse(fields.data))) return;
      }
    }
  } finally {
    clearTimeout(alarm);
    breaker.abort();
  }
}

function fieldsOf(block) {
  const pairs = block.split("\n").map(line => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]);
  return Object.fromEntries(pairs.filter(([name]) => name));
}
