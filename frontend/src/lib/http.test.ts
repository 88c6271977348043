import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { card, change, snapshot, status } from "../fixtures/build";
import type { Connection } from "./client";
import { HttpClient, takeToken } from "./http";
import type { StreamMessage } from "./types";

interface Asked {
  url: string;
  headers: Headers;
  method: string;
  body: string | null;
  /** Sends bytes of the answer. */
  send: (text: string) => void;
  end: () => void;
}

let asked: Asked[] = [];
/** Resolves when the n-th request was made. */
let waiting: { n: number; resolve: (a: Asked) => void }[] = [];
let answer: (url: string) => Response | null = () => null;

function request(n: number): Promise<Asked> {
  const there = asked[n];
  return there ? Promise.resolve(there) : new Promise((resolve) => { waiting.push({ n, resolve }); });
}

const frame = (m: StreamMessage): string => {
  const { type, ...data } = m;
  return `event: ${type}\nid: ${m.engine_id}-${String(m.revision)}\ndata: ${JSON.stringify(data)}\n\n`;
};

beforeEach(() => {
  asked = [];
  waiting = [];
  answer = () => null;
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({ start: (c) => { controller = c; } });
    init.signal?.addEventListener("abort", () => { controller?.error(new DOMException("aborted", "AbortError")); });
    const made: Asked = {
      url,
      headers: new Headers(init.headers),
      method: init.method ?? "GET",
      body: typeof init.body === "string" ? init.body : null,
      send: (text) => { controller?.enqueue(new TextEncoder().encode(text)); },
      end: () => { controller?.close(); },
    };
    const n = asked.push(made) - 1;
    for (const w of waiting.filter((w) => w.n === n)) w.resolve(made);
    return Promise.resolve(answer(url) ?? new Response(body));
  });
});
afterEach(() => { vi.unstubAllGlobals(); });

/** A subscriber whose messages and states can be awaited one by one. */
function subscribe(): { next: () => Promise<string>; stop: () => void } {
  const log: string[] = [];
  const waiters: ((s: string) => void)[] = [];
  const put = (line: string): void => {
    const waiter = waiters.shift();
    if (waiter) waiter(line);
    else log.push(line);
  };
  const stop = new HttpClient("t0ken").subscribe(
    (m) => { put(`${m.type} ${String(m.revision)}`); },
    (s: Connection, e) => { put(e === undefined ? s : `${s} (${e.code})`); },
  );
  return {
    next: () => {
      const line = log.shift();
      return line === undefined ? new Promise((resolve) => { waiters.push(resolve); }) : Promise.resolve(line);
    },
    stop,
  };
}

test("the token travels in a header only", async () => {
  const s = subscribe();
  const first = await request(0);
  expect(first.url).toBe("/api/v1/stream");
  expect(first.headers.get("authorization")).toBe("Bearer t0ken");
  expect(first.headers.get("last-event-id")).toBeNull();
  s.stop();
});

test("a snapshot, then changes, split anywhere", async () => {
  const s = subscribe();
  const r = await request(0);
  const text = frame(snapshot(1)) + frame(change(1, 2));
  r.send(text.slice(0, 30));
  r.send(text.slice(30));
  expect([await s.next(), await s.next(), await s.next()]).toEqual(["snapshot 1", "live", "change 2"]);
  s.stop();
});

test("a gap asks for a new snapshot at once, without the last id", async () => {
  const s = subscribe();
  (await request(0)).send(frame(snapshot(1)) + frame(change(7, 8)));
  expect([await s.next(), await s.next(), await s.next()]).toEqual(["snapshot 1", "live", "reconnecting (interrupted)"]);
  const again = await request(1);
  expect(again.headers.get("last-event-id")).toBeNull();
  again.send(frame(snapshot(8)));
  expect([await s.next(), await s.next()]).toEqual(["snapshot 8", "live"]);
  s.stop();
});

test("another engine's change is a gap", async () => {
  const s = subscribe();
  (await request(0)).send(frame(snapshot(1)) + frame(change(1, 2, "other")));
  expect([await s.next(), await s.next(), await s.next()]).toEqual(["snapshot 1", "live", "reconnecting (interrupted)"]);
  s.stop();
});

test("a lost line resumes where it was, and nothing is applied twice", async () => {
  const s = subscribe();
  const r = await request(0);
  r.send(`retry: 1\n\n${frame(snapshot(1))}${frame(change(1, 2))}`);
  expect([await s.next(), await s.next(), await s.next()]).toEqual(["snapshot 1", "live", "change 2"]);
  r.end();
  expect(await s.next()).toBe("reconnecting (interrupted)");
  const again = await request(1);
  expect(again.headers.get("last-event-id")).toBe("e-2");
  expect(await s.next()).toBe("live");
  again.send(frame(change(1, 2)) + frame(change(2, 3)));
  expect(await s.next()).toBe("change 3");
  s.stop();
});

test("a refused token is stale at once and says so", async () => {
  answer = () => Response.json({ code: "unauthorized", message: "no" }, { status: 401 });
  const s = subscribe();
  expect(await s.next()).toBe("stale (unauthorized)");
  s.stop();
});

test("requests are spelt as the contract says, and refusals carry its words", async () => {
  const client = new HttpClient("t");
  const c = card(0, "id/1", "x");
  answer = (url) => (url.includes("causes") ? new Response(null, { status: 204 }) : url.includes("/sessions?") ? Response.json({ sessions: [c], next: null, total: 1 }) : Response.json(c));
  await client.sessions({ before: "b c", limit: 5, query: "a&b" });
  await client.setLabel("claude-code:id/1", null);
  await client.setCause("c/1", { type: "snooze", until_ms: 7 });
  await client.closeSession("claude-code:x");
  expect(asked.map((a) => `${a.method} ${a.url} ${a.body ?? ""}`.trim())).toEqual([
    "GET /api/v1/sessions?before=b+c&limit=5&q=a%26b",
    'POST /api/v1/sessions/claude-code%3Aid%2F1/label {"label":null}',
    'POST /api/v1/causes/c%2F1 {"type":"snooze","until_ms":7}',
    'POST /api/v1/sessions/close {"session_id":"claude-code:x"}',
  ]);
  asked.length = 0;
  answer = (url) => Response.json(url.includes("/runs/") ? { run: {}, members: [{ card: c, depth: 0, parent: null }] } : {});
  await client.service("a/b ü", null);
  await client.service("a", "x&y");
  await client.traces({ service: "a", namespace: null, before: "c d" });
  await client.traces({ session: "claude-code:1", limit: 3 });
  await client.trace("0af7/../x");
  await client.runs({ limit: 2 });
  await client.run("nightly 42");
  expect(asked.map((a) => `${a.method} ${a.url}`)).toEqual([
    "GET /api/v1/services/a%2Fb%20%C3%BC?namespace=",
    "GET /api/v1/services/a?namespace=x%26y",
    "GET /api/v1/traces?service=a&namespace=&before=c+d",
    "GET /api/v1/traces?session=claude-code%3A1&limit=3",
    "GET /api/v1/traces/0af7%2F..%2Fx",
    "GET /api/v1/runs?limit=2",
    "GET /api/v1/runs/nightly%2042",
  ]);
  answer = () => Response.json({ code: "not_found", message: "There is no such session." }, { status: 404 });
  await expect(client.session("x")).rejects.toMatchObject({ code: "not_found", message: "There is no such session." });
});

test("copying needs no request once the card was seen, and works where the clipboard hangs", async () => {
  let copied = "";
  vi.stubGlobal("navigator", { clipboard: { writeText: () => new Promise(() => undefined) } });
  document.execCommand = () => {
    copied = document.activeElement instanceof HTMLTextAreaElement ? document.activeElement.value : "";
    return true;
  };
  const client = new HttpClient("t");
  const c = card(0, "s1", "x", { cwd: "/a" });
  let stop = (): void => undefined;
  const seen = new Promise<void>((resolve) => { stop = client.subscribe(() => { resolve(); }, () => undefined); });
  (await request(0)).send(frame({ type: "snapshot", ...status(0, [c]) }));
  await seen;
  expect(await client.copyResume("claude-code:s1")).toEqual({ command: "cd /a && claude --resume s1" });
  expect(asked).toHaveLength(1);
  expect(copied).toBe("cd /a && claude --resume s1");
  stop();
});

test("the token leaves the address bar at once and survives a reload of the page", () => {
  const hex = "ab12".repeat(16);
  history.replaceState(null, "", `/?x=1#token=${hex}`);
  expect(takeToken(location, history, sessionStorage)).toBe(hex);
  expect(location.href).not.toContain(hex);
  expect(location.search).toBe("?x=1");
  expect(takeToken(location, history, sessionStorage)).toBe(hex);
  sessionStorage.clear();
  history.replaceState(null, "", "/#/archive");
  expect(takeToken(location, history, sessionStorage)).toBeNull();
});
