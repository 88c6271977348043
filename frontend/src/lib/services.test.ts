import { describe, expect, test } from "vitest";
import { H, MIN } from "../fixtures/build";
import { hostileServices, manyServices, service, services } from "../fixtures/telemetry";
import { costToday, costTodayOrigin, counted, errorWords, railCount, rateWords, reuse, serviceHeadline, serviceKey, serviceState, zones } from "./services";
import type { Service } from "./types";

const NOW = new Date(2026, 10, 20, 14, 14).getTime();
const plain = (s: string): string => s.replaceAll("\u00a0", " ");
const one = (more: Partial<Service> = {}): Service => service(NOW, "a", more);
const names = (list: Service[]): string => list.map((s) => s.name).join(" ");

describe("zones", () => {
  test("every service stands in exactly one, whatever their number (A73, A75)", () => {
    const all = manyServices(NOW, 300);
    const { quiet, live, dormant } = zones(all);
    expect([...quiet, ...live, ...dormant].map(serviceKey).sort()).toEqual(all.map(serviceKey).sort());
    expect(quiet.every((s) => s.state === "quiet") && live.every((s) => s.state === "live") && dormant.every((s) => s.state === "dormant")).toBe(true);
  });

  test("the zone is the engine's word: nothing is guessed from time or session ids (A79, A80, A81)", () => {
    const odd = [one({ state: "quiet", last_seen_ms: NOW }), one({ name: "b", state: "dormant", last_seen_ms: NOW }), one({ name: "c", state: "live", last_seen_ms: NOW - 99 * H })];
    const z = zones(odd);
    expect([names(z.quiet), names(z.dormant), names(z.live)]).toEqual(["a", "b", "c"]);
    expect(odd.map((s) => serviceState(s).words)).toEqual(["Went quiet", "Dormant", "Live"]);
    expect(odd.map((s) => serviceState(s).tone)).toEqual(["blocked", "idle", "working"]);
  });

  test("dormant and quiet by last seen, live by name: what calls must not jump (A82)", () => {
    const z = zones([one({ name: "old", last_seen_ms: NOW - 9 * H }), one({ name: "older", last_seen_ms: NOW - 90 * H }), one({ name: "b" }), one({ name: "a", last_seen_ms: NOW - 1 }), one({ name: "q2", last_seen_ms: NOW - 20 * MIN }), one({ name: "q1", last_seen_ms: NOW - 6 * MIN })]);
    expect([names(z.dormant), names(z.live), names(z.quiet)]).toEqual(["old older", "a b", "q1 q2"]);
  });

  test("one name in two projects is two services", () => {
    const z = zones([one({ namespace: "x" }), one({ namespace: null })]);
    expect(new Set(z.live.map(serviceKey)).size).toBe(2);
    expect(serviceKey(one({ namespace: null }))).not.toBe(serviceKey(one({ namespace: "" })));
  });

  test.each([
    ["support", "triage-agent"],
    ["GPT harbor", "billing-bot"],
    ["  ", "billing-bot doc-indexer-eu-central-1-canary edge-gateway nightly-etl old-scraper triage-agent 請求書-抽出エージェント"],
    ["nothing like it", ""],
  ])("the filter %o finds %s", (filter, found) => {
    const z = zones(services(NOW), filter);
    expect([...z.quiet, ...z.live, ...z.dormant].map((s) => s.name).sort().join(" ")).toBe(found);
  });
});

describe("words", () => {
  test.each<[string, Service[], string]>([
    ["one quiet", [one({ state: "quiet" }), one({ name: "b" }), one({ name: "c", state: "dormant" })], "1 service went quiet | 1 live, 1 dormant"],
    ["only quiet", [one({ state: "quiet" }), one({ name: "b", state: "quiet" })], "2 services went quiet | no other is known"],
    ["live", [one(), one({ name: "b" }), one({ name: "c" })], "3 services live | none went quiet"],
    ["dormant", [one({ state: "dormant" })], "No service is live | 1 dormant"],
    ["none at all: coding agents alone leave it empty, and that is no error (A85)", [], "No service yet | "],
  ])("the title is the answer: %s", (_, list, said) => {
    const { title, sub } = serviceHeadline(zones(list));
    expect(`${title} | ${sub}`).toBe(said);
  });

  test("the rail says what is missing first", () => {
    expect(railCount(services(NOW))).toEqual({ text: "1 quiet", lit: true });
    expect(railCount([one(), one({ name: "b" })])).toEqual({ text: "2", lit: false });
    expect(railCount([one({ state: "dormant" })])).toBeNull();
  });

  test("what today cost is plain dollars, never a subscription's value; unknown is not zero (A83)", () => {
    const said = (more: Partial<Service>): string => plain(`${costToday(one(more))} · ${costTodayOrigin(one(more))}`);
    expect(said({ cost_today_usd: 3.12, cost_source: "reported" })).toBe("$3.12 · Since midnight, as the service reported it");
    expect(said({ cost_today_usd: 0.004, cost_source: "table" })).toBe("<$0.01 · Since midnight, at list price per token");
    expect(said({ cost_today_usd: null, cost_source: null })).toBe("not known · Since midnight. A model it called has no known price");
    expect(said({ cost_today_usd: 0, cost_source: null })).toBe("$0.00 · Since midnight. Nothing was called today");
    expect(said({ measures: "requests", cost_today_usd: null })).toBe("no model calls · It called no model, so there is no token cost");
    for (const s of manyServices(NOW, 60)) expect(`${costToday(s)} ${costTodayOrigin(s)}`).not.toMatch(/API value|subscription|plan/i);
  });

  test("rate and errors of one that fell silent are what they were (A78)", () => {
    expect([plain(rateWords(one({ requests_per_minute: 42 }))), plain(rateWords(one({ state: "quiet", requests_per_minute: 9 })))]).toEqual(["42 / min", "was 9 / min"]);
    expect([0, 0.0004, 0.012, 0.5, 1].map((error_rate) => plain(errorWords(one({ error_rate }))))).toEqual(["0 %", "<0.1 %", "1.2 %", "50 %", "100 %"]);
    expect(errorWords(one({ error_rate: null }))).toBe("no calls");
  // After a day the minutes are gone: what they were is not known, and not zero.
  expect([rateWords(one({ state: "dormant", calls: 0, requests_per_minute: 0 })), errorWords(one({ state: "dormant", calls: 0, error_rate: null }))]).toEqual(["not known", "not known"]);
    expect([counted(1, "requests"), counted(2, "model_calls"), counted(0, "logs")]).toEqual(["1 request", "2 model calls", "0 log records"]);
  });
});

test("a service that says the same stays the same object, so that its row is not drawn again", () => {
  const before = [one(), one({ name: "b" })];
  const after = reuse(before, [structuredClone(one()), { ...one({ name: "b" }), calls: 1 }, one({ name: "c" })]);
  expect(after[0]).toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
  expect(after.map((s) => s.name)).toEqual(["a", "b", "c"]);
});

test("names nobody would choose have a place too", () => {
  const z = zones(hostileServices(NOW));
  expect(z.quiet.length + z.live.length + z.dormant.length).toBe(5);
});
