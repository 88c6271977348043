// Runs in words: what a fan-out harness spawned, its state and its money. Pure.
import { cleanLine } from "./clean";
import { count, MINUTE, money, NOT_KNOWN, number } from "./format";
import { idOf } from "./sections";
import type { RunDetail, RunMember, RunSummary, SessionCard } from "./types";
import type { Tone } from "./words";

export interface RunWords {
  icon: string;
  tone: Tone;
  words: string;
}

/** A run is active for as long after its last record as a session is. */
const ACTIVE_MS = 5 * MINUTE;

/**
 * What is going on in a run; who needs you comes first. That it is over is said only where every member is: of a
 * program's own sessions nobody tells whether they work.
 */
export function runState(run: Pick<RunSummary, "members" | "running" | "needs_you" | "failed" | "last_activity_at_ms">, now: number, members: readonly RunMember[] = []): RunWords {
  if (run.needs_you > 0) return { icon: "s-permission", tone: "blocked", words: `${number(run.needs_you)} ${run.needs_you === 1 ? "needs" : "need"} you` };
  if (run.running > 0) return { icon: "s-working", tone: "working", words: run.running === run.members ? "Working" : `${number(run.running)} of ${number(run.members)} working` };
  if (run.failed > 0) return { icon: "s-error", tone: "error", words: `${number(run.failed)} of ${number(run.members)} failed` };
  if (members.length > 0 && members.every((m) => m.card.turn_state === "ended" || m.card.lifecycle === "closed" || m.card.lifecycle === "completed")) return { icon: "s-ended", tone: "idle", words: "Over" };
  if (run.last_activity_at_ms !== null && now - run.last_activity_at_ms <= ACTIVE_MS) return { icon: "s-background", tone: "background", words: "Active" };
  return { icon: "s-idle", tone: "idle", words: "Quiet" };
}

/** The money of a run and what kind of figure it is. Never a claim of what was spent: members may be on a subscription. */
export function runMoney(run: Pick<RunSummary, "cost_usd" | "cost_source" | "unpriced" | "members">): { value: string; kind: string; missing: string | null } {
  const missing = run.unpriced > 0 && run.cost_usd !== null ? `and ${number(run.unpriced)} not known` : null;
  if (run.cost_usd === null) return { value: NOT_KNOWN, kind: "cost", missing: null };
  switch (run.cost_source) {
    case "reported":
      return { value: money(run.cost_usd), kind: "as reported", missing };
    case "mixed":
      return { value: money(run.cost_usd), kind: "implied value, partly reported", missing };
    case "table":
    case null:
      return { value: money(run.cost_usd), kind: "list price", missing };
  }
}

/** The same as a sentence, for hints. */
export function runMoneyOrigin(run: Pick<RunSummary, "cost_usd" | "cost_source" | "unpriced" | "members">): string {
  if (run.cost_usd === null) return `Cost ${NOT_KNOWN}: no member has a known price`;
  const { value, kind } = runMoney(run);
  const part = run.unpriced > 0 ? `; ${count(run.unpriced, "member")} of ${number(run.members)} not known and not in it` : "";
  return `${value}, ${kind}${part}`;
}

export function runName(run: Pick<RunSummary, "run_id">): string {
  return cleanLine(run.run_id) || "no name";
}

/** Whether a change of these sessions is one of this run: a member, or one that says it belongs to it. */
export function touches(detail: RunDetail, changed: Iterable<SessionCard>, removed: Iterable<string>): boolean {
  const ids = new Set(detail.members.map((m) => idOf(m.card)));
  for (const card of changed) if (card.run_id === detail.run.run_id || ids.has(idOf(card))) return true;
  for (const id of removed) if (ids.has(id)) return true;
  return false;
}

/** Deepest indent that is drawn; what lies deeper says its depth in words. */
export const DEEPEST = 8;

/** Indent of a member: from the depth told, never more than one level under the member above it. */
export function indents(members: readonly RunMember[]): number[] {
  let last = -1;
  return members.map((m) => {
    last = Math.max(0, Math.min(Math.trunc(m.depth), last + 1));
    return Math.min(last, DEEPEST);
  });
}
