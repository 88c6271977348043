// A trace as rows under one axis. Pure: the same spans and the same folds give the same picture.
import { cleanLine } from "./clean";
import { count, duration, modelName, NOT_KNOWN } from "./format";
import type { SpanKind, SpanView, Trace } from "./types";
import { toolName } from "./words";

export interface SpanRow {
  span: SpanView;
  /** Place in the trace, before folding. */
  index: number;
  depth: number;
  /** Row of its parent in the whole tree, -1 at the top. */
  parent: number;
  /** Spans under it, at any depth. */
  below: number;
  folded: boolean;
  /** Place among its siblings and their number, for screen readers. */
  place: number;
  siblings: number;
}

/**
 * The tree of a trace. The order is the engine's, each parent before its children; a depth that would jump by more than
 * one level is taken as one, so that every row has its parent above it.
 */
export function tree(spans: readonly SpanView[]): SpanRow[] {
  const rows: SpanRow[] = [];
  const open: number[] = [];
  const families = new Map<number, number[]>();
  spans.forEach((span, index) => {
    const depth = Math.max(0, Math.min(Math.trunc(span.depth), open.length));
    open.length = depth;
    const parent = open[depth - 1] ?? -1;
    rows.push({ span, index, depth, parent, below: 0, folded: false, place: 0, siblings: 0 });
    const family = families.get(parent);
    if (family === undefined) families.set(parent, [index]);
    else family.push(index);
    for (const above of open) {
      const row = rows[above];
      if (row !== undefined) row.below += 1;
    }
    open.push(index);
  });
  for (const family of families.values()) {
    family.forEach((index, n) => {
      const row = rows[index];
      if (row !== undefined) [row.place, row.siblings] = [n + 1, family.length];
    });
  }
  return rows;
}

/** The rows that are seen: what lies under a folded span is left out. */
export function visible(rows: readonly SpanRow[], folded: ReadonlySet<string>): SpanRow[] {
  const out: SpanRow[] = [];
  let n = 0;
  while (n < rows.length) {
    const row = rows[n];
    if (row === undefined) break;
    const shut = row.below > 0 && folded.has(row.span.span_id);
    out.push(shut === row.folded ? row : { ...row, folded: shut });
    n += shut ? row.below + 1 : 1;
  }
  return out;
}

/** Where a span's bar begins and how long it is, as shares of the axis; always inside it. */
export function bar(span: Pick<SpanView, "start_us" | "duration_us">, total_us: number): { start: number; length: number } {
  if (total_us <= 0) return { start: 0, length: 0 };
  const start = Math.min(1, Math.max(0, span.start_us / total_us));
  const length = Math.min(1 - start, Math.max(0, span.duration_us / total_us));
  return { start, length };
}

/** Length of the axis: what the trace says, or what its spans need if that is more. */
export function axisLength(trace: Trace): number {
  return trace.spans.reduce((most, s) => Math.max(most, s.start_us + s.duration_us), trace.trace.duration_us);
}

/** Round moments along the axis, at most `most` of them after its begin. */
export function ticks(total_us: number, most = 5): { at_us: number; part: number; text: string }[] {
  if (total_us <= 0) return [];
  const rough = total_us / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough;
  const out = [];
  for (let n = 0; n * step <= total_us * 0.999; n += 1) out.push({ at_us: n * step, part: (n * step) / total_us, text: n === 0 ? "0" : rounded(duration(n * step)) });
  return out;
}

/** `2.00 s` is `2 s` on an axis. */
function rounded(text: string): string {
  return text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");
}

/** What has to be unfolded for a span to be seen. */
export function ancestors(rows: readonly SpanRow[], index: number): string[] {
  const out: string[] = [];
  let at = rows[index]?.parent ?? -1;
  while (at >= 0) {
    const row = rows[at];
    if (row === undefined) break;
    out.push(row.span.span_id);
    at = row.parent;
  }
  return out;
}

export const KINDS: Record<SpanKind, { word: string; icon: string }> = {
  agent: { word: "agent", icon: "k-agent" },
  llm: { word: "model call", icon: "k-llm" },
  tool: { word: "tool", icon: "k-tool" },
  retrieval: { word: "retrieval", icon: "search" },
  server: { word: "request received", icon: "k-server" },
  client: { word: "request sent", icon: "k-client" },
  blocked: { word: "waiting for a person", icon: "s-permission" },
  other: { word: "step", icon: "k-other" },
};

/** A name without the prefix that all of Claude Code's share: what differs would be cut off. */
export function shortName(name: string): string {
  return cleanLine(name).replace(/^claude_code\./, "") || "no name";
}

/** What a span is called: the model or the tool it is about, when its name does not say so. */
export function spanName(span: SpanView): string {
  const name = shortName(span.name);
  const about = span.tool !== null ? toolName(span.tool) : span.model === null ? null : modelName(span.model);
  if (about === null || name.toLocaleLowerCase().includes(cleanLine(span.tool ?? span.model ?? "").toLocaleLowerCase())) return name;
  // Its icon says that it is a tool.
  return name === "no name" || name === "tool" ? about : `${name} ${about}`;
}

/** A span in a sentence, for who cannot see the bar. */
export function spanSentence(row: SpanRow): string {
  const { span } = row;
  const parts = [`${KINDS[span.kind].word}: ${spanName(span)}`, `${duration(span.duration_us)}, from ${duration(span.start_us)}`];
  if (span.is_error === true) parts.push(`failed${span.message === null ? "" : `: ${cleanLine(span.message)}`}`);
  if (span.is_orphan) parts.push("its parent was not received");
  if (row.folded) parts.push(`${count(row.below, "span")} folded under it`);
  return parts.join(", ");
}

/** Whether it failed, in words; a span need not say. */
export function outcome(span: SpanView): string {
  if (span.is_error === null) return NOT_KNOWN;
  return span.is_error ? "failed" : "ok";
}
