import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { card, cause, change, MIN, sources, status } from "../fixtures/build";
import { scenario } from "../fixtures/scenarios";
import { service } from "../fixtures/telemetry";
import { Clock } from "./clock.svelte";
import { idOf } from "./sections";
import { Store } from "./store.svelte";
import type { SessionCard, Status, StreamMessage } from "./types";

let now = Date.UTC(2026, 10, 20, 14, 14);
let store: Store;

beforeEach(() => {
  vi.useFakeTimers({ now });
  localStorage.clear();
  now = Date.now();
  store = new Store(new Clock(() => Date.now()));
});
afterEach(() => {
  store.dispose();
  vi.useRealTimers();
});

const asks = (id: string, ago: number, more: Partial<SessionCard> = {}): SessionCard => card(now, id, id, { turn_state: "awaiting_permission", attention: cause("permission", now - ago, id), ...more });
const works = (id: string): SessionCard => card(now, id, id, { turn_state: "working" });
const snapshot = (sessions: SessionCard[], more: Partial<Status> = {}): void => { store.apply({ type: "snapshot", ...status(now, sessions, more) }); };
let revision = 1;
const news = (upserted: SessionCard[], removed: string[] = [], more: Partial<Extract<StreamMessage, { type: "change" }>> = {}): void => {
  const base = change(revision, (revision += 1)) as Extract<StreamMessage, { type: "change" }>;
  store.apply({ ...base, upserted, removed, ...more });
};
const names = (ids: string[]): string => ids.map((id) => id.split(":")[1]).join(" ");

describe("the stream", () => {
  test("a snapshot replaces, a change adds, changes and removes", () => {
    snapshot([asks("a", MIN), works("b")], { archived: 7 });
    news([works("c"), asks("b", 2 * MIN)], ["claude-code:a"], { archived: 8 });
    expect([names(store.whole.blocked), names(store.whole.working), store.archived]).toEqual(["b", "c", 8]);
    snapshot([works("z")]);
    expect([names(store.whole.blocked), names(store.whole.working)]).toEqual(["", "z"]);
  });

  test("an unchanged card stays the same object, so that it is not drawn again", () => {
    snapshot([asks("a", MIN), works("b")]);
    const before = store.card("claude-code:a");
    news([works("b")]);
    expect(store.card("claude-code:a")).toBe(before);
  });

  test("a service that falls silent is said once, and one that was silent before is not", () => {
    const live = service(now, "etl");
    const quiet = { ...live, state: "quiet" as const };
    snapshot([], { services: [live, service(now, "old", { state: "quiet" })] });
    expect(store.announcement).toBe("");
    news([], [], { services: [quiet, service(now, "old", { state: "quiet" })] });
    expect(store.announcement).toBe("etl went quiet. It may be an outage");
    store.announcement = "";
    news([], [], { services: [quiet] });
    expect(store.announcement).toBe("");
    news([], [], { services: null });
    expect(store.services.map((s) => s.name)).toEqual(["etl"]);
  });

  test("the import's progress comes and goes; sources stay until they change", () => {
    snapshot([], { importing: { files_done: 1, files_total: 2, bytes_done: 1, bytes_total: 2 } });
    news([], [], { importing: { files_done: 2, files_total: 2, bytes_done: 2, bytes_total: 2 } });
    expect(store.importing?.files_done).toBe(2);
    news([], [], { importing_done: true, sources: sources(now).map((s) => ({ ...s, state: "degraded" as const })) });
    expect([store.importing, store.failing.length]).toEqual([null, sources(now).length]);
  });
});

describe("a hand on the list", () => {
  test("holds the order; contents and counts go on being true; arrivals are counted", () => {
    snapshot([asks("a", MIN), works("b")]);
    store.pointerMoved();
    news([asks("b", 9 * MIN), asks("c", MIN), { ...asks("a", MIN), excerpt: "news" }]);
    expect(names(store.shown.blocked)).toBe("a");
    expect(names(store.shown.working)).toBe("b");
    expect(store.card("claude-code:a")?.excerpt).toBe("news");
    expect([store.counts.needs, store.needs, store.arrivals]).toEqual([3, 3, 2]);
    store.pointerLeft();
    expect([names(store.shown.blocked), store.arrivals]).toEqual(["b a c", 0]);
  });

  test("what leaves meanwhile is still drawn, as it was seen last", () => {
    snapshot([asks("a", MIN)]);
    store.pointerMoved();
    news([], ["claude-code:a"]);
    expect([names(store.shown.blocked), store.card("claude-code:a")?.label]).toEqual(["a", "a"]);
    store.pointerLeft();
    expect([names(store.shown.blocked), store.card("claude-code:a")]).toEqual(["", null]);
  });

  test("a pointer that rests lets go; a menu does not", async () => {
    snapshot([asks("a", MIN)]);
    store.pointerMoved();
    const letGo = store.hold();
    news([asks("b", 9 * MIN)]);
    vi.advanceTimersByTime(60_000);
    expect(names(store.shown.blocked)).toBe("a");
    letGo();
    await Promise.resolve();
    expect(names(store.shown.blocked)).toBe("b a");
  });

  test("what a menu leads to takes its hold over; who asks for what arrived gets it, whoever holds the list", async () => {
    snapshot([asks("a", MIN)]);
    const menu = store.hold();
    news([asks("b", 9 * MIN)]);
    menu();
    const field = store.hold();
    await Promise.resolve();
    expect([names(store.shown.blocked), store.arrivals]).toEqual(["a", 1]);
    store.showArrivals();
    expect([names(store.shown.blocked), store.arrivals]).toEqual(["b a", 0]);
    field();
    await Promise.resolve();
    news([asks("c", 10 * MIN)]);
    expect(names(store.shown.blocked)).toBe("c b a");
  });

  test("what a snapshot no longer has is still drawn while the list is held", () => {
    snapshot([asks("a", MIN), asks("b", MIN)]);
    store.pointerMoved();
    snapshot([asks("b", MIN)]);
    expect([names(store.shown.blocked), store.card("claude-code:a")?.label]).toEqual(["a b", "a"]);
  });

  test("the person's own doing moves the list at once", () => {
    snapshot([asks("a", MIN), asks("b", 2 * MIN)]);
    store.pointerMoved();
    news([works("b")]);
    store.release();
    expect(names(store.shown.blocked)).toBe("a");
  });
});

describe("what is remembered and chosen", () => {
  test("the chip survives; a value nobody knows falls back to what needs you, as where nobody chose (X15)", () => {
    expect(new Store(new Clock()).chip).toBe("needs");
    store.chooseChip("quiet");
    expect(new Store(new Clock()).chip).toBe("quiet");
    localStorage.setItem("lamplight.chip", "<b>");
    expect(new Store(new Clock()).chip).toBe("needs");
  });

  test("a project narrows and, chosen again, widens; the headline's count does not move", () => {
    snapshot([asks("a", MIN), asks("b", MIN, { project: "infra" })]);
    store.chooseProject("infra");
    expect([names(store.shown.blocked), store.counts.needs, store.needs]).toEqual(["b", 1, 2]);
    store.chooseProject("infra");
    expect(names(store.shown.blocked)).toBe("a b");
  });

  test("dense by itself above thirty", () => {
    snapshot(Array.from({ length: 30 }, (_, n) => works(String(n))));
    expect(store.dense).toBe(false);
    news([works("one more")]);
    expect(store.dense).toBe(true);
  });
});

describe("said aloud", () => {
  test("a new blocked session once; what was so at the start never; a reply never", () => {
    snapshot([asks("old", MIN)]);
    expect(store.announcement).toBe("");
    news([asks("new", MIN)]);
    expect(store.announcement).toBe("new: Waiting for your permission");
    store.announcement = "";
    news([asks("new", MIN), card(now, "r", "r", { attention: cause("reply", now, "r") })]);
    expect(store.announcement).toBe("");
  });
});

test("a snooze that ends calls again without any news", () => {
  snapshot([asks("s", MIN, { attention: cause("permission", now - MIN, "s", { snoozed_until_ms: now + 5_000 }) })]);
  expect([names(store.whole.blocked), names(store.whole.snoozed)]).toEqual(["", "s"]);
  vi.advanceTimersByTime(5_100);
  expect([names(store.whole.blocked), names(store.whole.snoozed), store.announcement]).toEqual(["s", "", "s: Waiting for your permission"]);
});

test("today's money counts what was active today, and says how much is not known", () => {
  snapshot([
    card(now, "a", "a", { cost_usd: 1.5 }),
    card(now, "b", "b", { cost_usd: null }),
    card(now, "c", "c", { cost_usd: 99, last_activity_at_ms: now - 48 * 60 * MIN }),
  ]);
  expect(store.spent).toEqual({ usd: 1.5, unknown: 1, sessions: 2 });
});

test("at midnight what was active yesterday is no longer today's", () => {
  snapshot([card(now, "a", "a", { cost_usd: 1.5 })]);
  expect(store.spent.sessions).toBe(1);
  vi.advanceTimersByTime(24 * 60 * MIN);
  store.retime();
  expect(store.spent.sessions).toBe(0);
});

test("a new name shows before the stream tells it, and touches nothing else", () => {
  snapshot([works("a")]);
  const id = "claude-code:a";
  store.relabel({ ...card(now, "a", "new name"), label_source: "rename", turn_state: "ended" });
  expect([store.card(id)?.label, store.card(id)?.label_source, store.card(id)?.turn_state]).toEqual(["new name", "rename", "working"]);
});

test("every fixture is a status the store can show", () => {
  for (const name of ["empty", "importing", "clear", "three", "thirty", "three-hundred", "long-names", "error", "stale"]) {
    const s = scenario(name, now);
    snapshot(s.status.sessions, s.status);
    const shown = [...store.shown.blocked, ...store.shown.turn, ...store.shown.working, ...store.shown.background, ...store.shown.quiet.flatMap((g) => g.ids)];
    expect(shown.every((id) => store.card(id) !== null), name).toBe(true);
    expect(new Set(s.status.sessions.map(idOf)).size, name).toBe(s.status.sessions.length);
  }
});
