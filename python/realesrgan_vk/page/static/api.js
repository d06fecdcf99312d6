// Requests to the server, and the stream of its events.

export class Refused extends Error {
  constructor(status, detail, retry) {
    super(detail);
    this.status = status;
    this.retry = retry;
  }
}

export async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  let detail = `${answer.status} ${answer.statusText}`;
  try {
    detail = (await answer.json()).detail ?? detail;
  } catch {
    // An answer without a body.
  }
  throw new Refused(answer.status, detail, Number(answer.headers.get("Retry-After")) || 0);
}

export async function json(path, options) {
  return (await ask(path, options)).json();
}

export const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

// Sends a picture; while the queue is full, again and again.
export async function upload(file, query, stopped = () => false) {
  for (;;) {
    try {
      return await json(`/api/jobs?${query}`, { method: "POST", body: file });
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 503 || !error.retry || stopped()) throw error;
      await pause(error.retry);
    }
  }
}

// Tells `handlers.job` and `handlers.removed` of every change, and `handlers.state` when the server
// is away ("away", "token") or there ("ok"). A hidden tab holds no connection.
export function listen(handlers) {
  let source = null;
  let last = "";

  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(`/api/events?after=${encodeURIComponent(last)}`);
    source.onopen = () => handlers.state("ok");
    for (const kind of ["job", "removed"]) {
      source.addEventListener(kind, (event) => {
        last = event.lastEventId;
        handlers[kind](JSON.parse(event.data));
      });
    }
    source.onerror = async () => {
      close();
      let state = "away";
      try {
        const answer = await fetch("/api/devices");
        state = answer.status === 401 ? "token" : "ok";
      } catch {
        // The server does not answer.
      }
      if (state !== "ok") handlers.state(state);
      await pause(1);
      open();
    };
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
