// Set-up in words: who is connected, what would be written, what was done. Pure.
import { count, number } from "./format";
import type { SetupAgentState, SetupChange, SetupOutcome, SetupState } from "./types";
import type { Tone } from "./words";

interface StatusWords {
  icon: string;
  tone: Tone;
  words: string;
}

/** How far an agent is connected. */
export function agentStatus(agent: SetupAgentState): StatusWords {
  switch (agent.status) {
    case "connected":
      return agent.hooks_trusted === false ? { icon: "s-permission", tone: "blocked", words: "Waits for your consent" } : { icon: "check", tone: "working", words: "Connected" };
    case "partly":
      return { icon: "warn", tone: "blocked", words: "Partly connected" };
    case "not_connected":
      return { icon: "s-idle", tone: "idle", words: "Not connected" };
    case "absent":
      return { icon: "s-idle", tone: "idle", words: "Not found" };
    case "unreadable":
      return { icon: "s-error", tone: "error", words: "Its settings cannot be read" };
  }
}

/** What of it is: hooks and telemetry, each as it was found. */
export function agentParts(agent: SetupAgentState): string {
  if (agent.status === "absent") return "It is not installed, or was never started.";
  if (agent.status === "unreadable") return "They are left alone.";
  const parts = [];
  if (agent.hooks_wanted > 0) parts.push(agent.hooks === 0 ? "no hooks" : agent.hooks >= agent.hooks_wanted ? count(agent.hooks, "hook") : `${number(agent.hooks)} of ${count(agent.hooks_wanted, "hook")}`);
  switch (agent.telemetry) {
    case "here":
      parts.push("telemetry comes here");
      break;
    case "elsewhere":
      parts.push("telemetry goes elsewhere, by your own settings");
      break;
    case "off":
      parts.push("no telemetry");
      break;
    case null:
      parts.push("telemetry not known");
  }
  if (agent.edited_since) parts.push("edited since it was set up");
  return parts.join(", ");
}

/** Whether set-up can do anything for it. */
export function canConnect(agent: SetupAgentState): boolean {
  return agent.status !== "absent" && agent.status !== "unreadable";
}

/** The title is the answer. */
export function setupHeadline(state: SetupState): { title: string; sub: string } {
  const there = state.agents.filter((a) => a.status !== "absent");
  const done = there.filter((a) => a.status === "connected");
  const waits = done.filter((a) => a.hooks_trusted === false);
  const sub = "Lamplight works without it. Connected agents tell what they ask a moment sooner, and what they cost.";
  if (there.length === 0) return { title: "No agent was found", sub };
  if (waits.length > 0) return { title: `${waits.map((a) => a.name).join(" and ")} waits for your consent`, sub };
  if (done.length === 0) return { title: there.some((a) => a.status === "partly") ? "Nothing is fully connected yet" : "Nothing is connected yet", sub };
  if (done.length === there.length) return { title: there.length === 1 ? `${there[0]?.name ?? "It"} is connected` : "Everything is connected", sub };
  return { title: `${number(done.length)} of ${count(there.length, "agent")} connected`, sub };
}

/** What becomes of a file, before it is written. */
export function changeWords(change: SetupChange): string {
  const added = change.lines.filter((l) => l.kind === "added").length;
  const removed = change.lines.filter((l) => l.kind === "removed").length;
  if (!change.exists) return `new, ${count(added, "line")}`;
  const parts = [];
  if (added > 0) parts.push(`${count(added, "line")} more`);
  if (removed > 0) parts.push(`${count(removed, "line")} less`);
  return parts.length === 0 ? "rewritten" : parts.join(", ");
}

const OUTCOMES: Record<SetupOutcome, string> = {
  written: "written",
  restored: "as it was, byte for byte",
  removed: "removed; it was not there before",
  taken_out: "Lamplight’s entries taken out, the rest stays",
  kept: "left as it is",
  failed: "could not be dealt with, is as it was",
};

export function outcomeWords(outcome: SetupOutcome): string {
  return OUTCOMES[outcome];
}
