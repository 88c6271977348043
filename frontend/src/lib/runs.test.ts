import { describe, expect, test } from "vitest";
import { card, MIN } from "../fixtures/build";
import { run } from "../fixtures/telemetry";
import { DEEPEST, indents, runMoney, runMoneyOrigin, runState, touches } from "./runs";
import type { RunMember, RunSummary } from "./types";

const NOW = new Date(2026, 10, 20, 14, 14).getTime();
const member = (id: string, depth: number, more: Parameters<typeof card>[3] = {}): RunMember => ({ card: card(NOW, id, id, more), depth, parent: null });
const sums = (more: Partial<RunSummary>): RunSummary => ({ ...run(NOW, "r", [member("a", 0)]).run, members: 8, running: 0, needs_you: 0, failed: 0, unpriced: 0, cost_usd: 3.2, cost_source: "table", ...more });

test.each<[string, Partial<RunSummary>, string]>([
  ["who needs you comes first", { needs_you: 1, running: 7, failed: 2 }, "1 needs you"],
  ["some work", { running: 3, failed: 1 }, "3 of 8 working"],
  ["all work", { running: 8 }, "Working"],
  ["over, with failures", { failed: 2 }, "2 of 8 failed"],
  ["nothing at work, heard of a moment ago", {}, "Active"],
  ["nothing at work, and silent", { last_activity_at_ms: NOW - 6 * MIN }, "Quiet"],
  ["nobody knows when", { last_activity_at_ms: null }, "Quiet"],
])("a run's state: %s", (_, more, said) => {
  expect(runState(sums(more), NOW).words).toBe(said);
});

test("a run is over only when every member is: what programs do in their own sessions nobody tells", () => {
  const ended = member("a", 0, { turn_state: "ended" });
  const completed = member("b", 1, { kind: "sdk", turn_state: "unknown", lifecycle: "completed" });
  const open = member("c", 1, { kind: "sdk", turn_state: "unknown", lifecycle: "active" });
  expect(runState(sums({}), NOW, [ended, completed]).words).toBe("Over");
  expect(runState(sums({}), NOW, [ended, completed, open]).words).toBe("Active");
});

describe("the money of a run is never a hard claim of spend (A133)", () => {
  test.each<[string, Partial<RunSummary>, string]>([
    ["reported by all", { cost_source: "reported" }, "$3.20 | as reported | "],
    ["list price", { cost_source: "table" }, "$3.20 | list price | "],
    ["mixed", { cost_source: "mixed" }, "$3.20 | implied value, partly reported | "],
    ["with members that have no price", { cost_source: "mixed", unpriced: 3 }, "$3.20 | implied value, partly reported | and 3 not known"],
    ["none known", { cost_usd: null, cost_source: null, unpriced: 8 }, "not known | cost | "],
  ])("%s", (_, more, said) => {
    const { value, kind, missing } = runMoney(sums(more));
    expect(`${value} | ${kind} | ${missing ?? ""}`).toBe(said);
    expect(`${kind} ${runMoneyOrigin(sums(more))}`).not.toMatch(/spent|paid|charged/i);
  });

  test("the hint counts what is not in the sum", () => {
    expect(runMoneyOrigin(sums({ unpriced: 3 }))).toBe("$3.20, list price; 3 members of 8 not known and not in it");
  });
});

test("a change touches a run through a member, a new one, or one that left", () => {
  const detail = run(NOW, "r", [member("a", 0), member("b", 1)]);
  expect(touches(detail, [card(NOW, "a", "a")], [])).toBe(true);
  expect(touches(detail, [card(NOW, "z", "z", { run_id: "r" })], [])).toBe(true);
  expect(touches(detail, [], ["claude-code:b"])).toBe(true);
  expect(touches(detail, [card(NOW, "z", "z", { run_id: "other" })], ["claude-code:z"])).toBe(false);
});

test("members are indented under who started them, one level at most, and not without end (A132)", () => {
  expect(indents([0, 1, 2, 1, 0, 5, -3].map((d, n) => member(String(n), d)))).toEqual([0, 1, 2, 1, 0, 1, 0]);
  expect(Math.max(...indents(Array.from({ length: 50 }, (_, n) => member(String(n), n))))).toBe(DEEPEST);
});
