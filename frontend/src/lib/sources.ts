// Sources in the words of the footer: one entry per agent, from the worst of what it is read through.
import type { Hidden, SourceView } from "./types";
import { cleanLine } from "./clean";
import { agent, bytes, count, number } from "./format";

export interface SourceSummary {
  key: string;
  name: string;
  /** Filled, ring, or red square. */
  dot: "live" | "part" | "bad";
  words: string;
}

/** Sources that are no agent: what they are called, and what they do while they work. */
const OTHERS: Record<string, { name: string; works: string; idle: string }> = {
  otlp: { name: "OTLP", works: "receiving", idle: "listening" },
  hooks: { name: "Hooks", works: "live", idle: "none received" },
  forward: { name: "Forwarding", works: "sending", idle: "nothing sent yet" },
  store: { name: "Database", works: "live", idle: "live" },
  sources: { name: "Reading", works: "live", idle: "live" },
  settings: { name: "Settings", works: "read", idle: "read" },
};

/** `claude-code transcripts` reads `Claude Code transcripts`. */
export function sourceName(name: string): string {
  const [id = "", ...rest] = cleanLine(name).split(" ");
  return [OTHERS[id]?.name ?? agent(id).name, ...rest].join(" ");
}

/** Forwarding reads nothing: its numbers are what waits to be sent. */
export function isForward(source: SourceView): boolean {
  return source.name === "forward";
}

/** A sentence about the settings that asks for nothing: what was changed waits for the next start. */
function isNews(message: string): boolean {
  return /holds? from the next start on\.?$/.test(message);
}

/** What was changed in the settings and waits for the next start, a sentence each. */
export function news(sources: SourceView[]): string[] {
  return sources.filter((s) => s.name === "settings").flatMap((s) => s.issues.map((issue) => cleanLine(issue.message)).filter(isNews));
}

/** Whether all that a source has to say is such news. */
export function isNewsOnly(source: SourceView): boolean {
  return source.name === "settings" && source.issues.length > 0 && source.issues.every((issue) => isNews(cleanLine(issue.message)));
}

/** Whether states of sessions are read from it: no state is missing or old for the settings, telemetry or forwarding. */
export function givesStates(source: SourceView): boolean {
  return !["settings", "otlp", "forward"].includes(source.name);
}

/** What fails, without what is only news; what states are read from comes first. */
export function troubles(sources: SourceView[]): SourceView[] {
  return sources
    .filter((s) => s.state === "degraded" && !isNewsOnly(s))
    .map((s) => (s.name === "settings" ? { ...s, issues: s.issues.filter((issue) => !isNews(cleanLine(issue.message))) } : s))
    .sort((a, b) => Number(givesStates(b)) - Number(givesStates(a)));
}

/** What leaves the machine, in a sentence. */
export function leaves(sources: SourceView[]): string {
  const to = sources.find(isForward);
  if (to === undefined) return "Nothing is sent anywhere.";
  return `Telemetry is forwarded to ${cleanLine(to.path)}, as your settings say.`;
}

/** `12 sessions in 3 MB, 1 skipped`. */
function held(source: SourceView): string {
  const skipped = source.skipped > 0 ? `, ${number(source.skipped)} skipped` : "";
  return `${count(source.files, "session")}${source.bytes > 0 ? ` in ${bytes(source.bytes)}` : ""}${skipped}`;
}

/** How much a source holds: `2 files, 3 MB read, 1 skipped`, or null when there is nothing to say. */
export function amounts(source: SourceView): string | null {
  if (isForward(source)) {
    const lost = source.skipped > 0 ? `, ${number(source.skipped)} dropped or refused` : "";
    return `${count(source.files, "record")} waiting${source.bytes > 0 ? `, ${bytes(source.bytes)}` : ""}${lost}`;
  }
  if (source.files === 0) return null;
  // One database holds them all; it is not read by bytes.
  if (source.name === "opencode sessions") return held(source);
  return `${count(source.files, "file")}${source.bytes > 0 ? `, ${bytes(source.bytes)} read` : ""}${source.skipped > 0 ? `, ${number(source.skipped)} skipped` : ""}`;
}

export function summarise(sources: SourceView[]): SourceSummary[] {
  const groups = new Map<string, SourceView[]>();
  for (const source of sources) {
    const key = source.name.split(" ")[0] ?? source.name;
    groups.set(key, [...(groups.get(key) ?? []), source]);
  }
  return [...groups].map(([key, group]) => {
    const other = OTHERS[key];
    const name = other?.name ?? agent(key).name;
    const broken = troubles(group)[0];
    if (broken) return { key, name, dot: "bad" as const, words: cleanLine(broken.issues[0]?.message ?? "failing") };
    if (group.some(isNewsOnly)) return { key, name, dot: "part" as const, words: "a change waits for the next start" };
    if (group.every((s) => s.state === "absent")) return { key, name, dot: "part" as const, words: other ? "off" : "not found" };
    if (other) {
      const works = group.some((s) => s.last_fact_at_ms !== null);
      return works ? { key, name, dot: "live" as const, words: other.works } : { key, name, dot: "part" as const, words: other.idle };
    }
    // Transcripts alone say what was said, not what waits now.
    const live = group.some((s) => /registry|lock|hook|listener/.test(s.name) && s.state === "ok");
    return live ? { key, name, dot: "live" as const, words: "live" } : { key, name, dot: "part" as const, words: "files only" };
  });
}

/** Addresses telemetry is received at, as the source tells them: HTTP first, then gRPC; what is not listened on is null. */
export function receivers(sources: SourceView[]): { http: string | null; grpc: string | null } {
  const source = sources.find((s) => s.name === "otlp");
  const addresses = source === undefined ? [] : source.path.split(",").map((a) => a.trim()).filter((a) => /^[\w.:[\]-]+:\d+$/.test(a));
  return { http: addresses[0] ?? null, grpc: addresses[1] ?? null };
}

/** What is not shown, counted: `3 empty sessions, 12 subagents` or null when everything is shown. */
export function notShown(hidden: Hidden): string | null {
  const parts: [number, string][] = [
    [hidden.zombie, "empty session"],
    [hidden.subagent, "subagent"],
    [hidden.title_thread, "title thread"],
    [hidden.spare, "spare process"],
    [hidden.muted, "muted session"],
    [hidden.services, "long silent service"],
  ];
  const said = parts.filter(([n]) => n > 0).map(([n, word]) => count(n, word, word.endsWith("s") ? `${word}es` : `${word}s`));
  return said.length === 0 ? null : said.join(", ");
}
