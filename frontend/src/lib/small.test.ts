import { expect, test } from "vitest";
import { sources } from "../fixtures/build";
import type { SourceView } from "./types";
import { card } from "../fixtures/build";
import { byDay } from "./archive.svelte";
import { pieces } from "./marks";
import { parseRoute, routeHash, type Route } from "./router.svelte";
import { amounts, givesStates, isNewsOnly, leaves, news, notShown, receivers, sourceName, summarise, troubles } from "./sources";

test.each<[Route, string]>([
  [{ page: "now" }, "#/"],
  [{ page: "archive", query: "" }, "#/archive"],
  [{ page: "archive", query: "a b&c=ü" }, "#/archive?q=a+b%26c%3D%C3%BC"],
  [{ page: "session", id: "claude-code:7c1e" }, "#/session/claude-code%3A7c1e"],
  [{ page: "services" }, "#/services"],
  [{ page: "service", name: "a/b?c#d", namespace: null }, "#/service/a%2Fb%3Fc%23d"],
  [{ page: "service", name: "請求書", namespace: "x&y=ü" }, "#/service/%E8%AB%8B%E6%B1%82%E6%9B%B8?project=x%26y%3D%C3%BC"],
  [{ page: "service", name: "a", namespace: "" }, "#/service/a?project="],
  [{ page: "trace", id: "0af7651916cd43dd8448eb211c80319c" }, "#/trace/0af7651916cd43dd8448eb211c80319c"],
  [{ page: "runs" }, "#/runs"],
  [{ page: "setup" }, "#/setup"],
  [{ page: "run", id: "nightly 42/é" }, "#/run/nightly%2042%2F%C3%A9"],
])("route %o there and back", (route, hash) => {
  expect(routeHash(route)).toBe(hash);
  expect(parseRoute(hash)).toEqual(route);
});

test.each(["", "#", "#/nowhere", "#/session", "#/session/%E0%A4%A", "#/service", "#/run"])("an address that means nothing is Now: %s", (hash) => {
  expect(parseRoute(hash)).toEqual({ page: "now" });
});

test("search marks whole words of the query, as text", () => {
  const show = (text: string, query: string): string => pieces(text, query).map((p) => (p.hit ? `[${p.text}]` : p.text)).join("");
  expect(show("the Idempotency-Key header", "key idempotency")).toBe("the [Idempotency]-[Key] header");
  expect(show("a+b (c)", "+ (c)")).toBe("a[+]b [(c)]");
  expect(show("nothing", " ")).toBe("nothing");
});

test("days head the sessions below them", () => {
  const now = new Date(2026, 10, 20, 12).getTime();
  const rows = byDay([card(now, "a", "a"), card(now, "b", "b"), card(now, "c", "c", { last_activity_at_ms: now - 86_400_000 }), card(now, "d", "d", { last_activity_at_ms: null })], now);
  expect(rows.map((r) => (r.kind === "day" ? r.text : r.card.session_id))).toEqual(["Today", "a", "b", "Yesterday", "c", "Time not known", "d"]);
});

test("sources are told by agent, from the worst of what it is read through", () => {
  const all = sources(0).filter((s) => s.name !== "otlp");
  const words = (list: typeof all): string[] => summarise(list).map((s) => `${s.dot} ${s.name}: ${s.words}`);
  expect(words(all)).toEqual(["live Claude Code: live", "live Codex: live"]);
  expect(words(all.map((s) => (s.name === "codex locks" ? { ...s, state: "absent" } : s)))).toEqual(["live Claude Code: live", "part Codex: files only"]);
  expect(words(all.map((s) => (s.name === "codex rollouts" ? { ...s, state: "degraded", issues: [{ kind: "unreadable", message: "Cannot read it.", path: null, count: 1, last_at_ms: 0 }] } : s)))).toEqual(["live Claude Code: live", "bad Codex: Cannot read it."]);
  expect(words(all.map((s) => ({ ...s, state: "absent" })))).toEqual(["part Claude Code: not found", "part Codex: not found"]);
  const other = (name: string, last: number | null): typeof all => all.slice(0, 1).map((s) => ({ ...s, name, last_fact_at_ms: last }));
  expect(words(other("otlp", null))).toEqual(["part OTLP: listening"]);
  expect(words(other("otlp", 1))).toEqual(["live OTLP: receiving"]);
  expect(words(other("hooks", null))).toEqual(["part Hooks: none received"]);
  expect(words(other("hooks", null).map((s) => ({ ...s, state: "absent" })))).toEqual(["part Hooks: off"]);
  expect(words(other("forward", null))).toEqual(["part Forwarding: nothing sent yet"]);
  expect(words(other("forward", 1))).toEqual(["live Forwarding: sending"]);
  expect(sourceName("claude-code registry")).toBe("Claude Code registry");
});

test("what leaves the machine is said, and forwarding counts what waits", () => {
  const forward = { name: "forward", path: "https://collector.example.org:4318 (http)", state: "ok" as const, files: 3, bytes: 2_048, skipped: 1, issues: [], last_fact_at_ms: null };
  expect(leaves(sources(0))).toBe("Nothing is sent anywhere.");
  expect(leaves([...sources(0), forward])).toBe("Telemetry is forwarded to https://collector.example.org:4318 (http), as your settings say.");
  expect(amounts(forward)).toMatch(/^3 records waiting, 2\sKB, 1 dropped or refused$/);
  expect(amounts({ ...forward, files: 0, bytes: 0, skipped: 0 })).toBe("0 records waiting");
  expect(amounts({ ...forward, name: "otlp", files: 0 })).toBeNull();
  const opencode = { ...forward, name: "opencode sessions", files: 12, bytes: 3_000_000, skipped: 0 };
  expect(amounts(opencode)).toMatch(/^12 sessions in 3\sMB$/);
  expect(amounts({ ...opencode, files: 1, bytes: 0, skipped: 2 })).toBe("1 session, 2 skipped");
});

test("what is not shown is counted, and nothing is said when all is shown", () => {
  const none = { zombie: 0, subagent: 0, title_thread: 0, spare: 0, muted: 0, services: 0 };
  expect(notShown(none)).toBeNull();
  expect(notShown({ ...none, zombie: 1, subagent: 12, spare: 2 })).toBe("1 empty session, 12 subagents, 2 spare processes");
});

test("where telemetry is received: HTTP first, then gRPC; nothing that is no address", () => {
  const at = (path: string): unknown => receivers([{ name: "otlp", path, state: "ok", files: 0, bytes: 0, skipped: 0, issues: [], last_fact_at_ms: null }]);
  expect(at("127.0.0.1:4318, 127.0.0.1:4317")).toEqual({ http: "127.0.0.1:4318", grpc: "127.0.0.1:4317" });
  expect(at("[::1]:4318")).toEqual({ http: "[::1]:4318", grpc: null });
  expect(at("")).toEqual({ http: null, grpc: null });
  expect(at("$(rm -rf ~):1")).toEqual({ http: null, grpc: null });
  expect(receivers([])).toEqual({ http: null, grpc: null });
});

test("news of the settings is no trouble; trouble with what states are read from comes first", () => {
  const issue = (message: string) => ({ kind: "setting", message, path: null, count: 1, last_at_ms: 0 });
  const late = "[[roots]] was changed: the change holds from the next start on.";
  const wrong = "[notify] sound must be true or false; it is ignored.";
  const bad = (name: string, ...messages: string[]) => ({ ...(sources(0)[0] as SourceView), name, state: "degraded" as const, issues: messages.map(issue) });
  expect([isNewsOnly(bad("settings", late)), isNewsOnly(bad("settings", late, wrong)), isNewsOnly(bad("otlp", late))]).toEqual([true, false, false]);
  expect(news([bad("settings", wrong, late), bad("otlp", late)])).toEqual([late]);
  expect(troubles([bad("settings", late)])).toEqual([]);
  expect(troubles([bad("settings", late, wrong), bad("codex rollouts", "x")]).map((s) => [s.name, s.issues.map((i) => i.message)])).toEqual([["codex rollouts", ["x"]], ["settings", [wrong]]]);
  expect(["settings", "otlp", "forward", "store", "hooks", "codex rollouts"].filter((name) => givesStates(bad(name)))).toEqual(["store", "hooks", "codex rollouts"]);
  expect(summarise([bad("settings", late)])).toEqual([{ key: "settings", name: "Settings", dot: "part", words: "a change waits for the next start" }]);
});
