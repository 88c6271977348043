// Where each session stands on the Now screen. Pure: the same cards and the same moment give the same arrangement.
import { basename } from "./format";
import type { Attention, SessionCard, Status, Worktree } from "./types";
import { asleep, calling, isHushed, isPutOff, mutedWords, openCauses, putOffWords } from "./words";

/** `agent:session_id`, the one name a session has on every screen and route. */
export function idOf(card: { agent: string; session_id: string }): string {
  return `${card.agent}:${card.session_id}`;
}

/** The session that took this one's place; it is of the same agent. */
export function successorOf(card: SessionCard): string | null {
  if (card.superseded_by === null) return null;
  return card.superseded_by.includes(":") ? card.superseded_by : `${card.agent}:${card.superseded_by}`;
}

/** One worktree with work left behind and the sessions that worked there. */
export interface Tree {
  /** Root directory, the key. */
  root: string;
  /** What it is called: by its project, else by its folder. */
  name: string;
  /** Files that differ, `null` when not known. */
  files: number | null;
  /** The sessions, latest first; the first one is what copy and open act on. */
  ids: string[];
  /** The causes that call for it: what is put off or waved away with it, whatever else is open in its sessions. */
  calls: Attention[];
  /** The causes that were put off. */
  putOff: Attention[];
}

/** One for which something calls. */
export interface LeftTree extends Tree {
  /** Since when nobody works there. */
  since: number;
  worktree: Worktree | null;
}

/** One that calls nobody any more: it was seen to, or its sessions were put away. */
export interface RestingTree extends Tree {
  /** Why nothing calls for it: `seen to`, `snoozed until 16:20`, `archived session`. */
  why: string;
}

/** The name a worktree's row has among the rows of the list. */
export function treeKey(tree: { root: string }): string {
  return `tree ${tree.root}`;
}

export interface Group {
  project: string;
  ids: string[];
}

/** Ids in the order of the screen. */
export interface Arrangement {
  blocked: string[];
  turn: string[];
  trees: LeftTree[];
  /** Worktrees at risk for which nothing calls. The same number of both as tray and terminal say. */
  resting: RestingTree[];
  working: string[];
  background: string[];
  quiet: Group[];
  snoozed: string[];
  /** Silenced, with something open. They stand where their state puts them as well. */
  muted: string[];
}

export const NO_PROJECT = "No project";

export function projectOf(card: SessionCard): string {
  return card.project ?? NO_PROJECT;
}

/** The lane a session is in, told apart by its need first and by what it does second. */
export type Lane = "blocked" | "turn" | "working" | "background" | "quiet";

export function laneOf(card: SessionCard, now: number): Lane {
  const cause = calling(card, now);
  if (cause?.tier === 1) return "blocked";
  if (cause?.tier === 2) return "turn";
  switch (card.turn_state) {
    case "starting":
    case "working":
      return "working";
    case "background":
      return "background";
    case "awaiting_permission":
    case "awaiting_answer":
    case "awaiting_reply":
    case "interrupted":
    case "errored":
    case "ended":
    case "crashed":
    case "unknown":
      return "quiet";
  }
}

/** Since when a session is in its state: the cause's age first, since that is what waits. */
export function sinceOf(card: SessionCard, now: number): number | null {
  const cause = calling(card, now);
  if (cause !== null && cause.tier < 3) return cause.since_ms;
  switch (laneOf(card, now)) {
    case "working":
    case "background":
      return card.turn_state_since_ms ?? card.last_activity_at_ms;
    case "blocked":
    case "turn":
    case "quiet":
      return card.last_activity_at_ms ?? card.turn_state_since_ms;
  }
}

export interface Narrowing {
  project: string | null;
  filter: string;
}

function wordsOf(filter: string): string[] {
  return filter.toLocaleLowerCase().split(/\s+/).filter((w) => w !== "");
}

/** Whether a session matches what was typed: every word, somewhere in what the card shows. */
export function matches(card: SessionCard, narrowing: Narrowing): boolean {
  if (narrowing.project !== null && projectOf(card) !== narrowing.project) return false;
  const words = wordsOf(narrowing.filter);
  if (words.length === 0) return true;
  const text = [card.label, card.label_default, card.project, card.branch, card.agent, card.model, card.session_id, card.excerpt, card.waiting_for?.detail]
    .filter((part) => part != null)
    .join("\n")
    .toLocaleLowerCase();
  return words.every((word) => text.includes(word));
}

/** Everything in its place. */
export function arrange(cards: Iterable<SessionCard>, worktrees: Worktree[], now: number, narrowing: Narrowing): Arrangement {
  const out: Arrangement = { blocked: [], turn: [], trees: [], resting: [], working: [], background: [], quiet: [], snoozed: [], muted: [] };
  const all = [...cards];
  const shown = all.filter((card) => matches(card, narrowing));
  const byId = new Map(shown.map((card) => [idOf(card), card]));

  out.trees = leftTrees(shown, worktrees, now);
  out.resting = restingTrees(all, shown, worktrees, new Set(out.trees.map((tree) => tree.root)), now, narrowing);
  const inTrees = new Set(out.trees.flatMap((tree) => tree.ids));
  const quiet = new Map<string, string[]>();

  for (const card of shown) {
    const id = idOf(card);
    if (isHushed(card)) out.muted.push(id);
    else if (asleep(card, now) !== null) out.snoozed.push(id);
    const lane = laneOf(card, now);
    if (lane !== "quiet") {
      out[lane].push(id);
      continue;
    }
    // What is only there for the work it left is told once, by its worktree.
    if (inTrees.has(id) && card.lifecycle !== "active" && card.lifecycle !== "idle") continue;
    const project = projectOf(card);
    const group = quiet.get(project);
    if (group) group.push(id);
    else quiet.set(project, [id]);
  }

  const age = (id: string): number => {
    const card = byId.get(id);
    return (card && sinceOf(card, now)) ?? now;
  };
  const longestFirst = (a: string, b: string): number => age(a) - age(b) || a.localeCompare(b);
  const latestFirst = (a: string, b: string): number => age(b) - age(a) || a.localeCompare(b);
  const begun = (id: string): number => byId.get(id)?.started_at_ms ?? 0;
  out.blocked.sort(longestFirst);
  out.turn.sort(longestFirst);
  // What works is ordered by its own birth: every other order would make rows jump at each step.
  out.working.sort((a, b) => begun(b) - begun(a) || a.localeCompare(b));
  out.background.sort(longestFirst);
  out.snoozed.sort(longestFirst);
  out.muted.sort(longestFirst);
  out.quiet = [...quiet]
    .map(([project, ids]) => ({ project, ids: ids.sort(latestFirst) }))
    .sort((a, b) => Number(a.project === NO_PROJECT) - Number(b.project === NO_PROJECT) || a.project.localeCompare(b.project));
  return out;
}

/** One item per worktree with uncommitted work that calls, whatever number of sessions worked there. */
function leftTrees(cards: SessionCard[], worktrees: Worktree[], now: number): LeftTree[] {
  const byRoot = new Map(worktrees.map((w) => [w.root, w]));
  const rootOf = new Map(worktrees.flatMap((w) => w.sessions.map((id) => [id, w.root] as const)));
  const trees = new Map<string, LeftTree & { latest: number }>();
  const cardsLatestFirst = [...cards].sort((a, b) => (b.last_activity_at_ms ?? 0) - (a.last_activity_at_ms ?? 0));
  for (const card of cardsLatestFirst) {
    if (card.muted !== null) continue;
    const open = card.attention === null ? card.causes : [card.attention, ...card.causes];
    const cause = open.find((c) => c.cause === "uncommitted" && !(c.snoozed_until_ms !== null && c.snoozed_until_ms > now));
    if (cause === undefined) continue;
    const id = idOf(card);
    const root = card.git?.root ?? rootOf.get(id) ?? card.cwd ?? id;
    const tree = trees.get(root);
    if (tree) {
      tree.ids.push(id);
      if (!tree.calls.some((c) => c.cause_id === cause.cause_id)) tree.calls.push(cause);
      tree.since = Math.min(tree.since, cause.since_ms);
      continue;
    }
    const worktree = byRoot.get(root) ?? null;
    trees.set(root, {
      root,
      name: card.project ?? basename(root),
      files: card.git?.dirty_files ?? changedFiles(worktree),
      since: cause.since_ms,
      ids: [id],
      calls: [cause],
      putOff: [],
      worktree,
      latest: card.last_activity_at_ms ?? 0,
    });
  }
  // The cause is one session's; the others that worked there are named beside it.
  for (const tree of trees.values()) {
    tree.ids.push(...(tree.worktree?.sessions ?? []).filter((id) => !tree.ids.includes(id)));
  }
  return [...trees.values()].sort((a, b) => a.since - b.since || a.root.localeCompare(b.root));
}

/** The worktrees at risk that are not among those that call. One without a session on the list goes by its path. */
function restingTrees(all: SessionCard[], shown: SessionCard[], worktrees: Worktree[], calls: Set<string>, now: number, narrowing: Narrowing): RestingTree[] {
  const byId = new Map(all.map((card) => [idOf(card), card]));
  const listed = new Set(shown.map(idOf));
  const words = wordsOf(narrowing.filter);
  const fits = (w: Worktree, cards: SessionCard[]): boolean => {
    if (cards.length > 0) return cards.some((card) => listed.has(idOf(card)));
    const text = [w.root, ...w.sessions].join("\n").toLocaleLowerCase();
    return narrowing.project === null && words.every((word) => text.includes(word));
  };
  return worktrees
    .filter((w) => w.is_at_risk && !calls.has(w.root))
    .flatMap((w) => {
      const cards = w.sessions.flatMap((id) => byId.get(id) ?? []);
      if (!fits(w, cards)) return [];
      const known = cards.find((card) => card.git?.root === w.root)?.git?.dirty_files;
      const putOff = leftBy(cards).flatMap(({ cause }) => (isPutOff(cause, now) ? [cause] : []));
      return [{ root: w.root, name: cards[0]?.project ?? basename(w.root), files: known ?? changedFiles(w), ids: w.sessions, calls: [], putOff, why: whyResting(w, cards, now) }];
    })
    .sort((a, b) => a.root.localeCompare(b.root));
}

/** What is still open of the work that these sessions left. */
function leftBy(cards: SessionCard[]): { card: SessionCard; cause: Attention }[] {
  return cards.flatMap((card) => openCauses(card).filter((cause) => cause.cause === "uncommitted").map((cause) => ({ card, cause })));
}

function whyResting(w: Worktree, cards: SessionCard[], now: number): string {
  const left = leftBy(cards);
  const putOff = left.find(({ cause }) => isPutOff(cause, now));
  if (putOff !== undefined) return `snoozed ${putOffWords(putOff.cause, now)}`;
  const muted = left.map(({ card }) => mutedWords(card)).find((words) => words !== null);
  if (muted !== undefined) return muted;
  // Waving it away, and putting its session away, both mean that its person knows.
  return cards.length > 0 ? "seen to" : w.sessions.length > 1 ? "archived sessions" : "archived session";
}

/** At most so many: a file that is staged and changed again is in two of the counts. */
function changedFiles(w: Worktree | null): number | null {
  if (w === null) return null;
  const parts = [w.staged, w.unstaged, w.untracked, w.conflicted].filter((n) => n !== null);
  return parts.length === 0 ? null : parts.reduce((a, b) => a + b, 0);
}

/** Money of some sessions: what is known of it, and how many have no known price. */
export interface Spent {
  usd: number;
  unknown: number;
}

/** Sums what is known; a session without a known price is counted, never taken as 0. */
export function spentOn(cards: Iterable<SessionCard | null>): Spent {
  const sum = { usd: 0, unknown: 0 };
  for (const card of cards) {
    if (card === null) continue;
    if (card.cost_usd === null) sum.unknown += 1;
    else sum.usd += card.cost_usd;
  }
  return sum;
}

/** Counts of the rail: live sessions of each project, and whether one of them is blocked. */
export function projects(cards: Iterable<SessionCard>, now: number): { name: string; live: number; blocked: boolean }[] {
  const found = new Map<string, { live: number; blocked: boolean }>();
  for (const card of cards) {
    if (card.project === null) continue;
    const entry = found.get(card.project) ?? { live: 0, blocked: false };
    entry.live += 1;
    entry.blocked ||= laneOf(card, now) === "blocked";
    found.set(card.project, entry);
  }
  return [...found]
    .map(([name, entry]) => ({ name, ...entry }))
    .sort((a, b) => b.live - a.live || a.name.localeCompare(b.name));
}

/** The next moment a snooze ends or a day begins: when an arrangement changes without news. */
export function nextTurn(status: Pick<Status, "sessions">, now: number): number | null {
  let next: number | null = null;
  for (const card of status.sessions) {
    for (const cause of card.attention === null ? card.causes : [card.attention, ...card.causes]) {
      const until = cause.snoozed_until_ms;
      if (until !== null && until > now && (next === null || until < next)) next = until;
    }
  }
  return next;
}
