import { expect, test } from "vitest";
import { card, cause, H, MIN, worktree } from "../fixtures/build";
import { scenario } from "../fixtures/scenarios";
import { arrange, idOf, nextTurn, projects, spentOn, successorOf, type Narrowing } from "./sections";
import type { SessionCard, Worktree } from "./types";
import { snoozed } from "./words";

const NOW = Date.UTC(2026, 10, 20, 14, 14);
const ALL: Narrowing = { project: null, filter: "" };

/** The arrangement as text: one line per section. */
function check(cards: SessionCard[], expected: string[], worktrees: Worktree[] = [], narrowing = ALL, now = NOW): void {
  const a = arrange(cards, worktrees, now, narrowing);
  const bare = (ids: string[]): string => ids.map((id) => id.replace(/^.*?:/, "")).join(" ");
  const lines = [
    ["blocked", bare(a.blocked)],
    ["turn", bare(a.turn)],
    ["trees", a.trees.map((t) => `${t.root}[${bare(t.ids)}] ${String(t.files)}`).join(" ")],
    ["resting", a.resting.map((t) => `${t.root}[${bare(t.ids)}] ${String(t.files)} ${t.why.replaceAll("\u00a0", " ")}`).join(" ")],
    ["working", bare(a.working)],
    ["background", bare(a.background)],
    ["quiet", a.quiet.map((g) => `${g.project}(${bare(g.ids)})`).join(" ")],
    ["snoozed", bare(a.snoozed)],
    ["muted", bare(a.muted)],
  ];
  expect(lines.filter(([, text]) => text !== "").map(([name, text]) => `${name}: ${text}`)).toEqual(expected);
}
const asks = (id: string, ago: number, more: Partial<SessionCard> = {}): SessionCard => card(NOW, id, id, { turn_state: "awaiting_permission", attention: cause("permission", NOW - ago, id), ...more });
const replies = (id: string, ago: number, more: Partial<SessionCard> = {}): SessionCard => card(NOW, id, id, { attention: cause("reply", NOW - ago, id), ...more });

test("need before activity, longest wait first", () => {
  check([replies("r1", MIN), asks("b1", MIN), asks("b2", H), replies("r2", 2 * H)], ["blocked: b2 b1", "turn: r2 r1"]);
});

test("what is muted, or went on as another, is quiet; muted ones with something open are listed apart as well", () => {
  check([asks("b", MIN), asks("m", H, { muted: "session" }), replies("p", H, { muted: "project" }), asks("s", H, { superseded_by: "b" }), card(NOW, "calm", "calm", { muted: "session" })], ["blocked: b", "quiet: harbor-api(calm m p s)", "muted: m p"]);
});

test("a successor is of the same agent unless it says another", () => {
  expect([successorOf(card(NOW, "a", "a")), successorOf(card(NOW, "a", "a", { agent: "codex", superseded_by: "b" })), successorOf(card(NOW, "a", "a", { superseded_by: "codex:b" }))]).toEqual([null, "codex:b", "codex:b"]);
});

test("equal waits keep one order", () => {
  check([asks("y", MIN), asks("x", MIN)], ["blocked: x y"]);
});

test("work by age of the session, so that steps do not move rows; background apart", () => {
  const works = (id: string, started: number, state: SessionCard["turn_state"] = "working"): SessionCard => card(NOW, id, id, { turn_state: state, started_at_ms: NOW - started });
  check([works("old", 3 * H), works("new", MIN), works("bg", H, "background"), works("starts", 2 * H, "starting")], ["working: new starts old", "background: bg"]);
});

test("quiet by project, latest first, the nameless last", () => {
  check(
    [
      card(NOW, "n", "n", { project: null }),
      card(NOW, "z1", "z", { project: "zoo", last_activity_at_ms: NOW - H }),
      card(NOW, "z2", "z", { project: "zoo", last_activity_at_ms: NOW - MIN }),
      card(NOW, "a", "a", { project: "ant" }),
    ],
    ["quiet: ant(a) zoo(z2 z1) No project(n)"],
  );
});

test("a waiting state without an open cause was handled: it is quiet", () => {
  check([card(NOW, "h", "h", { turn_state: "awaiting_permission" })], ["quiet: harbor-api(h)"]);
});

test("snoozed is quiet and counted, and calls again when its time has come", () => {
  const put = asks("s", H, { attention: cause("permission", NOW - H, "s", { snoozed_until_ms: NOW + MIN }) });
  check([put], ["quiet: harbor-api(s)", "snoozed: s"]);
  check([put], ["blocked: s"], [], ALL, NOW + MIN);
  expect(nextTurn({ sessions: [put] }, NOW)).toBe(NOW + MIN);
  expect(nextTurn({ sessions: [put] }, NOW + MIN)).toBeNull();
});

test("what was put off is counted although the session left work as well, and whatever the order of its causes", () => {
  const left = cause("uncommitted", NOW - H, "u");
  const off = cause("reply", NOW - H, "r", { snoozed_until_ms: NOW + H });
  const at = (causes: SessionCard["causes"], more: Partial<SessionCard> = {}): SessionCard => card(NOW, "s", "s", { lifecycle: "stale", attention: left, causes, git: { state: "dirty", dirty_files: 3, root: "/w", reason: null }, ...more });
  check([at([left, off])], ["trees: /w[s] 3", "snoozed: s"]);
  check([at([left, off, cause("question", NOW - H, "q")], { attention: null })], ["blocked: s", "trees: /w[s] 3"]);
  const both = at([{ ...left, snoozed_until_ms: NOW + H }, off], { attention: null });
  check([both], ["quiet: harbor-api(s)", "snoozed: s"]);
  expect(snoozed(both, NOW)?.cause_id, "that is what wake wakes").toBe("reply-r");
  check([at([left, { ...left, cause_id: "other", snoozed_until_ms: NOW + H }])], ["trees: /w[s] 3"]);
});

test("one item per worktree, naming its sessions; old ones are told by it alone", () => {
  const left = (id: string, ago: number, more: Partial<SessionCard> = {}): SessionCard =>
    card(NOW, id, id, { turn_state: "ended", lifecycle: "stale", last_activity_at_ms: NOW - ago, attention: cause("uncommitted", NOW - ago, "tree"), git: { state: "dirty", dirty_files: 3, root: "/w", reason: null }, ...more });
  check([left("older", 2 * H), left("newer", H)], ["trees: /w[newer older] 3"], [worktree("/w", 3, [], NOW)]);
  check([left("fresh", MIN, { lifecycle: "idle" })], ["trees: /w[fresh] 3", "quiet: harbor-api(fresh)"]);
});

test("a file that is staged and changed again counts once, as the notification counts it", () => {
  const at = (dirty_files: number | null): SessionCard =>
    card(NOW, "x", "x", { turn_state: "ended", lifecycle: "stale", attention: cause("uncommitted", NOW - H, "tree"), git: { state: "dirty", dirty_files, root: "/w", reason: null } });
  const both = { ...worktree("/w", 3, [], NOW), staged: 3 };
  check([at(3)], ["trees: /w[x] 3"], [both]);
  check([at(null)], ["trees: /w[x] 6"], [both]);
});

test("uncommitted work beside a need is shown with both", () => {
  const both = replies("x", MIN, { causes: [cause("reply", NOW - MIN, "x"), cause("uncommitted", NOW, "u")], git: { state: "dirty", dirty_files: null, root: "/w", reason: null } });
  check([both], ["turn: x", "trees: /w[x] null"]);
});

test("every worktree at risk is listed once: what calls, and what was seen to, put off, muted or put away", () => {
  const left = (id: string, more: Partial<SessionCard> = {}): SessionCard => card(NOW, id, id, { turn_state: "ended", git: { state: "dirty", dirty_files: 3, root: `/${id}`, reason: null }, ...more });
  const trees = ["calls", "seen", "off", "hushed", "gone"].map((id) => worktree(`/${id}`, 2, [`claude-code:${id}`], NOW));
  const cards = [
    left("calls", { attention: cause("uncommitted", NOW - H, "1") }),
    left("seen"),
    left("off", { attention: cause("uncommitted", NOW - H, "2", { snoozed_until_ms: NOW + 9e12, until_change: true }) }),
    left("hushed", { attention: cause("uncommitted", NOW - H, "3"), muted: "session" }),
  ];
  const a = arrange(cards, trees, NOW, ALL);
  expect(a.trees.map((t) => t.root)).toEqual(["/calls"]);
  expect(a.resting.map((t) => `${t.root} ${t.why}`)).toEqual(["/gone archived session", "/hushed muted by you", "/off snoozed until it changes", "/seen seen to"]);
  expect(arrange(cards, trees, NOW, { project: null, filter: "gone" }).resting.map((t) => t.root)).toEqual(["/gone"]);
  expect(arrange(cards, trees, NOW, { project: "harbor-api", filter: "" }).resting.map((t) => t.root), "of no known project").toEqual(["/hushed", "/off", "/seen"]);
});

test("what no agent left is not at risk, and a clean status has none", () => {
  check([], [], [{ ...worktree("/w", 2, ["claude-code:a"], NOW), is_at_risk: false }]);
  check([], ["resting: /w[a b] 2 archived sessions"], [worktree("/w", 2, ["claude-code:a", "claude-code:b"], NOW)]);
});

test("a filter asks for every word, anywhere on the card", () => {
  const cards = [asks("one", MIN, { label: "Stripe webhook", branch: "feat/x" }), asks("two", MIN, { label: "Stripe report", project: "infra" })];
  check(cards, ["blocked: one"], [], { project: null, filter: "  STRIPE feat " });
  check(cards, ["blocked: two"], [], { project: "infra", filter: "" });
  check(cards, [], [], { project: "infra", filter: "webhook" });
});

test("every session of a large status stands somewhere, exactly once in the list", () => {
  const { status } = scenario("three-hundred", NOW);
  const a = arrange(status.sessions, status.worktrees, NOW, ALL);
  const listed = [...a.blocked, ...a.turn, ...a.working, ...a.background, ...a.quiet.flatMap((g) => g.ids)];
  const trees = new Set(a.trees.flatMap((t) => t.ids));
  expect(new Set(listed).size).toBe(listed.length);
  for (const c of status.sessions) expect(listed.includes(idOf(c)) || trees.has(idOf(c)), c.label).toBe(true);
});

test("projects count live sessions; the dot is for blocked, not for your turn", () => {
  expect(projects([asks("a", MIN), replies("b", MIN), replies("c", MIN, { project: "infra" }), card(NOW, "d", "d", { project: null })], NOW)).toEqual([
    { name: "harbor-api", live: 2, blocked: true },
    { name: "infra", live: 1, blocked: false },
  ]);
});

test("a project's money is what is known of it, and says how much is not (A41)", () => {
  const priced = [card(NOW, "a", "a", { cost_usd: 0.25 }), card(NOW, "b", "b", { cost_usd: 1.5 })];
  expect(spentOn(priced)).toEqual({ usd: 1.75, unknown: 0 });
  expect(spentOn([...priced, card(NOW, "c", "c", { cost_usd: null }), null])).toEqual({ usd: 1.75, unknown: 1 });
  expect(spentOn([])).toEqual({ usd: 0, unknown: 0 });
});
