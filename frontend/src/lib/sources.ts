// Sources in the words of the footer: one entry per agent, from the worst of what it is read through.
import type { Hidden, SourceView } from "./types";
import { cleanLine } from "./clean";
import { agent, count } from "./format";

export interface SourceSummary {
  key: string;
  name: string;
  /** Filled, ring, or red square. */
  dot: "live" | "part" | "bad";
  words: string;
}

/** `claude-code transcripts` reads `Claude Code transcripts`. */
export function sourceName(name: string): string {
  const [id = "", ...rest] = cleanLine(name).split(" ");
  return [agent(id).name, ...rest].join(" ");
}

export function summarise(sources: SourceView[]): SourceSummary[] {
  const groups = new Map<string, SourceView[]>();
  for (const source of sources) {
    const key = source.name.split(" ")[0] ?? source.name;
    groups.set(key, [...(groups.get(key) ?? []), source]);
  }
  return [...groups].map(([key, group]) => {
    const name = agent(key).name;
    const broken = group.find((s) => s.state === "degraded");
    if (broken) return { key, name, dot: "bad" as const, words: cleanLine(broken.issues[0]?.message ?? "failing") };
    if (group.every((s) => s.state === "absent")) return { key, name, dot: "part" as const, words: "not found" };
    // Transcripts alone say what was said, not what waits now.
    const live = group.some((s) => /registry|lock|hook|listener/.test(s.name) && s.state === "ok");
    return live ? { key, name, dot: "live" as const, words: "live" } : { key, name, dot: "part" as const, words: "files only" };
  });
}

/** What is not shown, counted: `3 empty sessions, 12 subagents` or null when everything is shown. */
export function notShown(hidden: Hidden): string | null {
  const parts: [number, string][] = [
    [hidden.zombie, "empty session"],
    [hidden.subagent, "subagent"],
    [hidden.title_thread, "title thread"],
    [hidden.spare, "spare process"],
    [hidden.muted, "muted session"],
  ];
  const said = parts.filter(([n]) => n > 0).map(([n, word]) => count(n, word, word.endsWith("s") ? `${word}es` : `${word}s`));
  return said.length === 0 ? null : said.join(", ");
}
