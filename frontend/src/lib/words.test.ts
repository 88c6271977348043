import { describe as group, expect, test } from "vitest";
import { card, cause, MIN } from "../fixtures/build";
import type { CauseKind, SessionCard } from "./types";
import { besides, calling, causeLook, costOrigin, describe, doingVerb, isHushed, mutedWords, permissionFor, putOffWords, snoozed, terminalWords, toolName, whyQuiet } from "./words";

const NOW = new Date(2026, 10, 20, 14, 14).getTime();
const plain = (s: string | null): string => (s ?? "").replaceAll("\u00a0", " ");

function said(more: Partial<SessionCard>): string {
  const s = describe(card(NOW, "a", "a", more), NOW);
  return [s.icon, s.tone, s.words, s.after, s.asked].map((x) => plain(x)).filter((x) => x !== "").join(" | ");
}
const waits = (kind: NonNullable<SessionCard["waiting_for"]>["kind"], more: Partial<NonNullable<SessionCard["waiting_for"]>> = {}): SessionCard["waiting_for"] => ({ kind, tool: null, detail: null, options: [], resets_at_ms: null, ...more });

group("states in words", () => {
  test.each<[string, Partial<SessionCard>, string]>([
    ["permission", { turn_state: "awaiting_permission", waiting_for: waits("permission", { tool: "Bash", detail: "rm -rf x" }) }, "s-permission | blocked | Permission to run a command | rm -rf x"],
    ["permission of nobody knows what", { turn_state: "awaiting_permission", waiting_for: null }, "s-permission | blocked | Waiting for your permission"],
    ["question", { turn_state: "awaiting_answer", waiting_for: waits("question", { detail: "Which?" }) }, "s-question | blocked | Asks you a question | Which?"],
    ["plan", { turn_state: "awaiting_answer", waiting_for: waits("plan", { detail: "1. a\n2. b" }) }, "s-plan | blocked | Plan ready for approval | 2 steps | 1. a\n2. b"],
    ["elicitation", { turn_state: "awaiting_answer", waiting_for: waits("elicitation", { tool: "linear", detail: "team" }) }, "s-question | blocked | linear asks for input | team"],
    ["sign-in", { turn_state: "awaiting_answer", waiting_for: waits("sign_in") }, "s-signin | blocked | Needs you to sign in"],
    ["limit", { turn_state: "errored", waiting_for: waits("limit", { resets_at_ms: NOW + 126 * MIN }) }, "s-limit | error | Stopped by a usage limit | resets 16:20, in 2 h 6 min"],
    ["limit that has reset", { turn_state: "errored", waiting_for: waits("limit", { resets_at_ms: NOW - 4 * MIN }) }, "s-limit | error | Stopped by a usage limit | reset at 14:10"],
    ["error", { turn_state: "errored", waiting_for: waits("error", { detail: "529 overloaded" }) }, "s-error | error | Stopped by an API error | 529 overloaded"],
    ["your turn", { attention: cause("reply", NOW - MIN, "r") }, "s-reply | turn | Awaiting your reply"],
    ["handled: nothing is claimed of you", {}, "s-idle | idle | Idle"],
    ["your turn, and muted: still worded as it is", { attention: cause("reply", NOW - MIN, "r"), muted: "session" }, "s-reply | turn | Awaiting your reply"],
    ["work left behind does not make it your turn", { attention: cause("uncommitted", NOW - MIN, "u") }, "s-idle | idle | Idle"],
    ["waiting, and no process left", { liveness: { state: "dead", source: "process", observed_at_ms: NOW } }, "s-idle | idle | Not running"],
    ["a program's own session, heard of lately", { kind: "sdk", turn_state: "unknown", lifecycle: "active" }, "s-background | background | Active"],
    ["a program's own session, silent", { kind: "sdk", turn_state: "unknown", lifecycle: "idle" }, "s-idle | idle | Quiet"],
    ["completed by the span around it", { kind: "sdk", turn_state: "ended", lifecycle: "completed" }, "s-ended | idle | Completed"],
    ["thinking", { turn_state: "working" }, "s-working | working | Thinking"],
    ["running", { turn_state: "working", doing: { tool: "Bash", target: "cargo\ntest", since_ms: NOW } }, "s-working | working | Running | cargo test"],
    ["background", { turn_state: "background", subagents: { running: 1, total: 2 } }, "s-background | background | In background | 1 subagent"],
    ["interrupted", { turn_state: "interrupted", attention: cause("interrupted", NOW, "i") }, "s-interrupted | turn | You interrupted it"],
    ["crashed", { turn_state: "crashed", attention: cause("crashed", NOW, "c") }, "s-crashed | error | Process gone in mid-turn"],
    ["ended", { turn_state: "ended" }, "s-ended | idle | Ended"],
    ["unknown", { turn_state: "unknown" }, "s-unknown | idle | Not known"],
  ])("%s", (_name, more, text) => {
    expect(said(more)).toBe(text);
  });
});

test("tools are verbs where they are known, and named where not", () => {
  expect(["Bash", "Edit", "WebFetch", "mcp__linear__create_issue", ""].map(permissionFor)).toEqual([
    "Permission to run a command",
    "Permission to edit a file",
    "Permission to fetch a page",
    "Permission to use mcp__linear__create_issue",
    "Waiting for your permission",
  ]);
  expect(["Read", "Grep", "Task", "apply_patch", "exec_command", "mcp__a__b", null].map(doingVerb)).toEqual(["Reading", "Searching", "Delegating", "Editing", "Running", "Using a: b", "Thinking"]);
  expect(toolName("mcp__linear__create_issue")).toBe("linear: create_issue");
});

test("what was put off does not call until its time has come", () => {
  const put = card(NOW, "a", "a", { attention: cause("permission", NOW - MIN, "p", { snoozed_until_ms: NOW + MIN }), causes: [] });
  expect([calling(put, NOW), snoozed(put, NOW)?.cause_id]).toEqual([null, "permission-p"]);
  expect([calling(put, NOW + MIN)?.cause_id, snoozed(put, NOW + MIN)]).toEqual(["permission-p", null]);
});

test("the most urgent of several causes calls, whatever their order", () => {
  const both = card(NOW, "a", "a", { causes: [cause("uncommitted", NOW, "u"), cause("reply", NOW, "r")] });
  expect(calling(both, NOW)?.cause).toBe("reply");
});

test("what is open beside the one that calls is kept, the most urgent first, what is put off too (X13)", () => {
  const off = cause("permission", NOW - 9 * MIN, "p", { snoozed_until_ms: NOW + MIN });
  const all = card(NOW, "a", "a", { attention: cause("reply", NOW - MIN, "r"), causes: [cause("reply", NOW - MIN, "r"), cause("uncommitted", NOW - 8 * MIN, "u"), cause("crashed", NOW - 3 * MIN, "c"), off] });
  expect(calling(all, NOW)?.cause).toBe("reply");
  expect(besides(all, NOW).map((c) => c.cause)).toEqual(["permission", "crashed", "uncommitted"]);
  expect(besides(all, NOW + 2 * MIN).map((c) => c.cause), "the snooze is over").toEqual(["crashed", "reply", "uncommitted"]);
  expect(besides(card(NOW, "b", "b", { attention: off, causes: [off] }), NOW).map((c) => c.cause), "where nothing calls, all of them").toEqual(["permission"]);
});

test("until when something is put off", () => {
  expect(putOffWords(cause("reply", NOW, "r", { snoozed_until_ms: NOW + 126 * MIN }), NOW)).toBe("until 16:20");
  expect(putOffWords(cause("reply", NOW, "r", { snoozed_until_ms: NOW + 9e12, until_change: true }), NOW)).toBe("until it changes");
});

test("a silenced session calls for nothing, keeps what is open, and says who silenced it", () => {
  const asks = (more: Partial<SessionCard>): SessionCard => card(NOW, "a", "a", { turn_state: "awaiting_permission", attention: cause("permission", NOW, "p"), ...more });
  expect([calling(asks({ muted: "session" }), NOW), calling(asks({ muted: "project" }), NOW)]).toEqual([null, null]);
  expect([isHushed(asks({ muted: "session" })), isHushed(asks({})), isHushed(card(NOW, "b", "b", { muted: "session" }))]).toEqual([true, false, false]);
  expect(besides(asks({ muted: "session" }), NOW).map((c) => c.cause)).toEqual(["permission"]);
  expect([mutedWords(asks({ muted: "session" })), mutedWords(asks({ muted: "project" })), mutedWords(asks({}))]).toEqual(["muted by you", "muted with its project", null]);
});

test("one that went on as another does not call: that one does", () => {
  expect(calling(card(NOW, "a", "a", { attention: cause("reply", NOW, "r"), superseded_by: "b" }), NOW)).toBeNull();
});

test("each cause has a word, and those of one colour have shapes of their own", () => {
  const kinds: CauseKind[] = ["permission", "question", "plan", "elicitation", "sign_in", "limit", "error", "reply", "interrupted", "crashed", "uncommitted"];
  const looks = kinds.map(causeLook);
  expect(new Set(looks.map((l) => l.words)).size).toBe(kinds.length);
  // Being asked is one shape, whoever asks.
  expect(new Set(looks.map((l) => l.icon)).size).toBe(kinds.length - 1);
});

test.each<[CauseKind, Partial<SessionCard>]>([
  ["permission", { turn_state: "awaiting_permission", waiting_for: waits("permission", { tool: "Bash" }) }],
  ["permission", { turn_state: "awaiting_permission" }],
  ["question", { turn_state: "awaiting_answer", waiting_for: waits("question") }],
  ["plan", { turn_state: "awaiting_answer", waiting_for: waits("plan") }],
  ["elicitation", { turn_state: "awaiting_answer", waiting_for: waits("elicitation", { tool: "linear" }) }],
  ["elicitation", { turn_state: "awaiting_answer", waiting_for: waits("elicitation") }],
  ["sign_in", { turn_state: "awaiting_answer", waiting_for: waits("sign_in") }],
  ["limit", { turn_state: "errored", waiting_for: waits("limit") }],
  ["error", { turn_state: "errored", waiting_for: waits("error") }],
  ["reply", {}],
  ["interrupted", { turn_state: "interrupted" }],
  ["crashed", { turn_state: "crashed" }],
])("the state %s is in words that hold the word of its cause: one word for one thing", (kind, more) => {
  const same = (text: string): string => text.toLowerCase().replaceAll("-", " ");
  expect(same(describe(card(NOW, "a", "a", { ...more, attention: cause(kind, NOW, "c") }), NOW).words)).toContain(same(causeLook(kind).words));
});

test.each<[string, Partial<SessionCard>, string | null]>([
  ["it calls", { turn_state: "awaiting_permission", attention: cause("permission", NOW, "p") }, null],
  ["handled, or closed while it runs", { turn_state: "awaiting_permission" }, "seen to"],
  ["a question", { turn_state: "awaiting_answer" }, "seen to"],
  ["handled, with work left behind that calls", { turn_state: "awaiting_permission", attention: cause("uncommitted", NOW, "u") }, "seen to"],
  ["an error", { turn_state: "errored" }, "seen to"],
  ["an error of a run without a person", { turn_state: "errored", entry: "print" }, null],
  ["put off", { turn_state: "awaiting_permission", attention: cause("permission", NOW, "p", { snoozed_until_ms: NOW + 126 * MIN }) }, "snoozed until 16:20"],
  ["put off until it changes", { turn_state: "awaiting_permission", attention: cause("permission", NOW, "p", { snoozed_until_ms: NOW + 9e12, until_change: true }) }, "snoozed until it changes"],
  ["a snooze that is over", { turn_state: "awaiting_permission", attention: cause("permission", NOW, "p", { snoozed_until_ms: NOW - 1 }) }, null],
  ["too old to be news", { turn_state: "awaiting_permission", turn_state_since_ms: NOW - 800 * MIN, last_activity_at_ms: NOW - 800 * MIN, liveness: { state: "unknown", source: null, observed_at_ms: null } }, "no longer news"],
  ["handled, and nobody knows whether it runs", { turn_state: "awaiting_permission", liveness: { state: "unknown", source: null, observed_at_ms: null } }, "seen to"],
  ["put away", { turn_state: "awaiting_permission", archived_at_ms: NOW }, null],
  ["went on as another", { turn_state: "awaiting_permission", superseded_by: "b" }, null],
  ["nothing is asked", {}, null],
  ["at work", { turn_state: "working" }, null],
])("why it is quiet: %s", (_name, more, words) => {
  const why = whyQuiet(card(NOW, "a", "a", more), NOW);
  expect(why === null ? null : plain(why.words)).toBe(words);
});

test("where a terminal is, by whoever can raise it", () => {
  expect(terminalWords({ program: "tmux", name: "work:2.1", can_focus: true })).toBe("tmux work:2.1");
  expect(terminalWords({ program: "tty", name: "/dev/pts/4", can_focus: false })).toBe("/dev/pts/4");
  expect(terminalWords({ program: "kitty", name: "claude\u202e\nnvim", can_focus: true })).toBe("kitty claude nvim");
});

test("every dollar figure says where it comes from, and none what a plan pays (A195)", () => {
  const origin = (cost_usd: number | null, cost_source: SessionCard["cost_source"]): string => plain(costOrigin(card(NOW, "a", "a", { cost_usd, cost_source })));
  const all = [origin(1.5, "table"), origin(1.5, "reported"), origin(1.5, "mixed"), origin(null, null)];
  expect(all).toEqual(["$1.50 at list price", "$1.50 as the agent reported it", "$1.50, partly reported, partly list price", "Cost not known: a model in it has no known price"]);
  for (const words of all) expect(words).not.toMatch(/plan|subscription|bill|spent/i);
});
