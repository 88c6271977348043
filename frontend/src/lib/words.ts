// The words a session is described with, from README's table. One function turns a card into what the screen says;
// components only lay it out.
import type { Attention, CauseKind, NoticeView, SessionCard, Terminal, WaitKind } from "./types";
import { clean, cleanLine, reveal } from "./clean";
import { count, HOUR, isMoment, money, NOT_KNOWN, upcoming, within } from "./format";

/** Which pair of colours a state has (`data-s`). */
export type Tone = "blocked" | "turn" | "working" | "background" | "idle" | "error" | "risk";

export interface Said {
  /** Symbol of the state in the sprite. */
  icon: string;
  tone: Tone;
  /** The state in words; the reason first. */
  words: string;
  /** What follows the words in grey: `resets 16:20`. */
  after: string | null;
  /** What is asked: a command, path or question. */
  asked: string | null;
  /** Whether `asked` is code: shown in mono, every hidden character revealed. */
  code: boolean;
  options: string[];
}

const TOOL_VERBS: [RegExp, string, string][] = [
  [/^(bash|shell|exec|exec_command|local_shell|powershell|unified_exec)/i, "to run a command", "Running"],
  [/^(edit|write|multiedit|notebookedit|apply_patch|str_replace)/i, "to edit a file", "Editing"],
  [/^(webfetch|web_fetch|fetch)/i, "to fetch a page", "Fetching"],
  [/^(websearch|web_search|grep|glob|search)/i, "to search", "Searching"],
  [/^(read|notebookread|view|ls)/i, "to read a file", "Reading"],
  [/^(task|agent|spawn_agent)/i, "to start a subagent", "Delegating"],
];

/** Permission to do what, by tool. */
export function permissionFor(tool: string | null): string {
  if (tool === null || tool === "") return "Waiting for your permission";
  const known = TOOL_VERBS.find(([pattern]) => pattern.test(tool));
  return `Permission ${known ? known[1] : `to use ${cleanLine(tool)}`}`;
}

/** What it does, by tool: `Running`, `Editing`, …; without a tool the model thinks. */
export function doingVerb(tool: string | null): string {
  if (tool === null || tool === "") return "Thinking";
  const known = TOOL_VERBS.find(([pattern]) => pattern.test(tool));
  if (known) return known[2];
  if (/^compact/i.test(tool)) return "Compacting";
  if (/^retry/i.test(tool)) return "Retrying";
  return `Using ${toolName(tool)}`;
}

/** `mcp__linear__create_issue` reads `linear: create_issue`. */
export function toolName(tool: string): string {
  const m = /^mcp__(.+?)__(.+)$/.exec(tool);
  return cleanLine(m ? `${m[1] ?? ""}: ${m[2] ?? ""}` : tool);
}

/** What the session waits for, by kind. */
function waiting(kind: WaitKind, card: SessionCard, now: number): Said {
  const w = card.waiting_for;
  const detail = w?.detail ?? null;
  const base = { after: null, asked: detail === null ? null : clean(detail), code: false, options: (w?.options ?? []).map(cleanLine) };
  switch (kind) {
    case "permission":
      return {
        ...base,
        icon: "s-permission",
        tone: "blocked",
        words: permissionFor(w?.tool ?? null),
        asked: detail === null ? null : reveal(detail),
        code: true,
      };
    case "question":
      return { ...base, icon: "s-question", tone: "blocked", words: "Asks you a question" };
    case "plan":
      return { ...base, icon: "s-plan", tone: "blocked", words: "Plan ready for approval", after: planSteps(detail) };
    case "elicitation":
      return { ...base, icon: "s-question", tone: "blocked", words: `${w?.tool ? toolName(w.tool) : "It"} asks for input` };
    case "sign_in":
      return { ...base, icon: "s-signin", tone: "blocked", words: "Needs you to sign in" };
    case "limit": {
      const at = w?.resets_at_ms != null && isMoment(w.resets_at_ms) ? w.resets_at_ms : null;
      const reset = at === null ? null : at > now ? `resets ${upcoming(at, now)}, ${within(at, now)}` : `reset at ${upcoming(at, now)}`;
      return { ...base, icon: "s-limit", tone: "error", words: "Stopped by a usage limit", after: reset };
    }
    case "error":
      return { ...base, icon: "s-error", tone: "error", words: "Stopped by an API error" };
    case "reply":
      return { ...base, icon: "s-reply", tone: "turn", words: "Awaiting your reply", asked: null, options: [] };
  }
}

/** `7 steps`, when the plan is a numbered list. */
function planSteps(detail: string | null): string | null {
  const steps = detail?.match(/^\s*\d+[.)]\s/gm)?.length ?? 0;
  return steps < 2 ? null : count(steps, "step");
}

const WAIT_OF_CAUSE: Record<CauseKind, WaitKind | null> = {
  permission: "permission",
  question: "question",
  plan: "plan",
  elicitation: "elicitation",
  sign_in: "sign_in",
  limit: "limit",
  error: "error",
  reply: "reply",
  interrupted: null,
  crashed: null,
  uncommitted: null,
};

/** All open causes, each once. The engine names the most urgent one in both places. */
export function openCauses(card: SessionCard): Attention[] {
  if (card.attention === null) return card.causes;
  const first = card.attention;
  return [first, ...card.causes.filter((c) => c.cause_id !== first.cause_id)];
}

/** Whether a cause is put off at this moment. */
export function isPutOff(cause: Attention, now: number): boolean {
  return cause.snoozed_until_ms !== null && cause.snoozed_until_ms > now;
}

/**
 * The cause that calls for its person now: open, not put off, the most urgent one. A silenced session calls for nothing,
 * and neither does one that went on as another: that one calls.
 */
export function calling(card: SessionCard, now: number): Attention | null {
  if (card.muted !== null || card.superseded_by !== null) return null;
  let best: Attention | null = null;
  for (const cause of openCauses(card)) {
    if (isPutOff(cause, now)) continue;
    if (best === null || cause.tier < best.tier) best = cause;
  }
  return best;
}

/** The open causes beside the one that calls, the most urgent and oldest first; where none calls, all of them. */
export function besides(card: SessionCard, now: number): Attention[] {
  const first = calling(card, now);
  return openCauses(card)
    .filter((c) => c.cause_id !== first?.cause_id)
    .sort((a, b) => a.tier - b.tier || a.since_ms - b.since_ms);
}

/** Whether the person silenced a session in which something is open. */
export function isHushed(card: SessionCard): boolean {
  return card.muted !== null && openCauses(card).length > 0;
}

/** The cause that was put off, if one was; the most urgent of several. */
export function snoozed(card: SessionCard, now: number): Attention | null {
  let best: Attention | null = null;
  for (const cause of openCauses(card)) if (isPutOff(cause, now) && (best === null || cause.tier < best.tier)) best = cause;
  return best;
}

/** The cause for which a session is quiet that would call otherwise. Work that was left beside it is told by its worktree, and does not hide it. */
export function asleep(card: SessionCard, now: number): Attention | null {
  const [putOff, calls] = [snoozed(card, now), calling(card, now)];
  return calls === null || (calls.tier === 3 && putOff?.tier !== 3) ? putOff : null;
}

/** Until when a cause is put off, in words. */
export function putOffWords(cause: Attention, now: number): string {
  if (cause.until_change) return "until it changes";
  return cause.snoozed_until_ms === null ? "" : `until ${upcoming(cause.snoozed_until_ms, now)}`;
}

/** How long something that waits is news; the engine lets go of it then, where no process runs it. */
const NEWS_MS = 12 * HOUR;

/** What a session that waits for its person, and calls nobody, says beside its state. */
export interface WhyQuiet {
  /** Two or three words: `seen to`, `snoozed until 16:20`. */
  words: string;
  /** The same as a sentence. */
  sentence: string;
}

/**
 * Why a session is quiet that waits for its person, or stopped; `null` where it calls, or where its state asks for
 * nothing. Muted ones and those that went on as another say so by themselves.
 */
export function whyQuiet(card: SessionCard, now: number): WhyQuiet | null {
  const asks = openCauses(card).filter((cause) => cause.tier < 3);
  if (asks.some((cause) => !isPutOff(cause, now))) return null;
  const putOff = asks[0] ?? snoozed(card, now);
  if (putOff !== null) {
    const words = `snoozed ${putOffWords(putOff, now)}`;
    return { words, sentence: `It is ${words}: nothing calls for it before.` };
  }
  if (card.superseded_by !== null || card.archived_at_ms !== null || card.lifecycle === "completed") return null;
  const seen: WhyQuiet = { words: "seen to", sentence: "You have seen to it: nothing calls for it until it goes on." };
  switch (card.turn_state) {
    case "interrupted":
    case "errored":
      // Nobody waits at a run that was started without a person.
      if (card.entry === "print") return null;
      break;
    case "awaiting_permission":
    case "awaiting_answer":
      break;
    case "starting":
    case "working":
    case "awaiting_reply":
    case "background":
    case "ended":
    case "crashed":
    case "unknown":
      return null;
  }
  if (card.liveness.state === "alive" || card.lifecycle === "closed") return seen;
  const last = Math.max(card.last_activity_at_ms ?? 0, card.turn_state_since_ms ?? 0);
  return now - last <= NEWS_MS ? seen : { words: "no longer news", sentence: "It stands for more than 12 h, and no process is known to run it: nothing calls for it." };
}

const LOOKS: Record<CauseKind, { icon: string; tone: Tone; words: string }> = {
  permission: { icon: "s-permission", tone: "blocked", words: "Permission" },
  question: { icon: "s-question", tone: "blocked", words: "Question" },
  plan: { icon: "s-plan", tone: "blocked", words: "Plan" },
  elicitation: { icon: "s-question", tone: "blocked", words: "Input" },
  sign_in: { icon: "s-signin", tone: "blocked", words: "Sign-in" },
  limit: { icon: "s-limit", tone: "error", words: "Usage limit" },
  error: { icon: "s-error", tone: "error", words: "Error" },
  reply: { icon: "s-reply", tone: "turn", words: "Reply" },
  interrupted: { icon: "s-interrupted", tone: "turn", words: "Interrupted" },
  crashed: { icon: "s-crashed", tone: "error", words: "Process gone" },
  uncommitted: { icon: "s-risk", tone: "risk", words: "Uncommitted work" },
};

/** A cause in one or two words, the same ones that are in the sentence of its state, with its symbol and colour. */
export function causeLook(kind: CauseKind): { icon: string; tone: Tone; words: string } {
  return LOOKS[kind];
}

/** The kind of each reason of the log as it was known last: what is asked may be told apart only after it was told. */
export function kindsOf(newestFirst: NoticeView[], cards: Iterable<SessionCard>): ReadonlyMap<string, CauseKind> {
  const kinds = new Map<string, CauseKind>();
  for (const entry of newestFirst) if (!kinds.has(entry.cause_id)) kinds.set(entry.cause_id, entry.cause);
  for (const card of cards) for (const cause of openCauses(card)) if (kinds.has(cause.cause_id)) kinds.set(cause.cause_id, cause.cause);
  return kinds;
}

/** Who silenced it; `null` when nobody did. */
export function mutedWords(card: SessionCard): string | null {
  switch (card.muted) {
    case "session":
      return "muted by you";
    case "project":
      return "muted with its project";
    case null:
      return null;
  }
}

/** Where its terminal is: `tmux work:2.1`; one that nobody is known to show is called by its line alone. */
export function terminalWords(terminal: Terminal): string {
  return cleanLine(terminal.program === "tty" ? terminal.name : `${terminal.program} ${terminal.name}`);
}

/** What the screen says of a session. */
export function describe(card: SessionCard, now: number): Said {
  const plain = { after: null, asked: null, code: false, options: [] };
  // A silenced session is worded as it is: that nothing calls for it is said beside it.
  const cause = calling(card.muted === null ? card : { ...card, muted: null }, now);
  switch (card.turn_state) {
    case "starting":
      return { ...plain, icon: "s-starting", tone: "working", words: "Starting" };
    case "working": {
      const target = card.doing?.target ?? null;
      return {
        ...plain,
        icon: "s-working",
        tone: "working",
        words: doingVerb(card.doing?.tool ?? null),
        asked: target === null ? null : reveal(target).replace(/\s+/g, " "),
        code: true,
      };
    }
    case "awaiting_permission":
      return waiting(card.waiting_for?.kind ?? "permission", card, now);
    case "awaiting_answer":
      return waiting(card.waiting_for?.kind ?? "question", card, now);
    case "awaiting_reply": {
      const kind = cause === null ? null : WAIT_OF_CAUSE[cause.cause];
      if (kind !== null) return waiting(kind, card, now);
      return { ...plain, icon: "s-idle", tone: "idle", words: card.liveness.state === "dead" ? "Not running" : "Idle" };
    }
    case "background": {
      const said = [];
      if (card.subagents.running > 0) said.push(count(card.subagents.running, "subagent"));
      return { ...plain, icon: "s-background", tone: "background", words: "In background", after: said.length > 0 ? said.join(", ") : null };
    }
    case "interrupted":
      return { ...plain, icon: "s-interrupted", tone: cause !== null && cause.tier < 3 ? "turn" : "idle", words: "You interrupted it" };
    case "errored":
      return waiting(card.waiting_for?.kind === "limit" ? "limit" : "error", card, now);
    case "ended":
      return { ...plain, icon: "s-ended", tone: "idle", words: card.lifecycle === "completed" ? "Completed" : "Ended" };
    case "crashed":
      return {
        ...plain,
        icon: "s-crashed",
        tone: cause !== null && cause.tier < 3 ? "error" : "idle",
        words: "Process gone in mid-turn",
      };
    case "unknown":
      // A program's own session tells no turns; what is known is whether it was heard of lately.
      if (card.kind === "sdk") return card.lifecycle === "active" ? { ...plain, icon: "s-background", tone: "background", words: "Active" } : { ...plain, icon: "s-idle", tone: "idle", words: "Quiet" };
      return { ...plain, icon: "s-unknown", tone: "idle", words: "Not known" };
  }
}

/** A whole question about where a name comes from, for its tooltip. */
export function labelOrigin(card: SessionCard): string {
  switch (card.label_source) {
    case "config_exact":
    case "config_prefix":
      return "Named in your configuration";
    case "rename":
      return `Named by you in Lamplight. Before: “${cleanLine(card.label_default)}”`;
    case "agent_user":
      return "Named by you in the agent";
    case "instance_id":
      return "Named by service.instance.id";
    case "agent_title":
      return "Titled by the agent";
    case "first_prompt":
      return "Named from its first prompt";
    case "short_id":
      return "It has no name yet; this is the end of its id";
  }
}

/** Words under a cost: where it comes from. */
export function costOrigin(card: SessionCard): string {
  if (card.cost_usd === null) return `Cost ${NOT_KNOWN}: a model in it has no known price`;
  switch (card.cost_source) {
    case "reported":
      return `${money(card.cost_usd)} as the agent reported it`;
    case "mixed":
      return `${money(card.cost_usd)}, partly reported, partly list price`;
    case "table":
    case null:
      return `${money(card.cost_usd)} at list price`;
  }
}

/** What ends a state, for its evidence. */
export function clears(kind: CauseKind): string {
  switch (kind) {
    case "permission":
      return "Clears when it is allowed or refused, or when the process ends.";
    case "question":
    case "elicitation":
      return "Clears when you answer, or when the process ends.";
    case "plan":
      return "Clears when you approve or refuse the plan, or when the process ends.";
    case "sign_in":
      return "Clears when you have signed in, or when the process ends.";
    case "limit":
      return "Clears when it goes on after the limit has reset, or when you end it.";
    case "error":
    case "interrupted":
    case "reply":
      return "Clears when you write to it, or when you end it.";
    case "crashed":
      return "Clears when it is resumed. A lost terminal does not clear it.";
    case "uncommitted":
      return "Clears when the work is committed or an agent works there again.";
  }
}
