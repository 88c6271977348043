import { describe, expect, test } from "vitest";
import { hostileTrace, trace } from "../fixtures/telemetry";
import type { SpanView, Trace } from "./types";
import { ancestors, axisLength, bar, spanName, spanSentence, ticks, tree, visible } from "./waterfall";

const NOW = new Date(2026, 10, 20, 14, 14).getTime();
const plain = (s: string): string => s.replaceAll("\u00a0", " ");
function random(seed: number): () => number {
  let x = seed;
  return () => (x = (x * 48_271) % 2_147_483_647) / 2_147_483_647;
}
const first = trace(NOW, 0, 1).spans[0] as SpanView;
const span = (n: number, more: Partial<SpanView> = {}): SpanView => ({ ...first, span_id: n.toString(16).padStart(16, "0"), name: `s${String(n)}`, ...more });

/** A tree in the engine's order, and for some rounds depths that no tree has. */
function any(seed: number): SpanView[] {
  const next = random(seed);
  const count = Math.floor(next() * 80);
  let depth = -1;
  return Array.from({ length: count }, (_, n) => {
    depth = seed % 3 === 0 ? Math.floor(next() * 40) - 5 : Math.floor(next() * (depth + 2));
    return span(n, { depth, start_us: Math.floor(next() * 9_000) - (seed % 5 === 0 ? 500 : 0), duration_us: next() < 0.2 ? 0 : Math.floor(next() * 20_000) });
  });
}

describe("every span exactly once, parents before children, bars inside the axis: for any trace", () => {
  test.each(Array.from({ length: 120 }, (_, n) => n + 1))("seed %i", (seed) => {
    const spans = any(seed);
    const rows = tree(spans);
    expect(rows.map((r) => r.span.span_id)).toEqual(spans.map((s) => s.span_id));
    for (const row of rows) {
      expect(row.parent).toBeLessThan(row.index);
      expect(row.depth).toBe(row.parent < 0 ? 0 : (rows[row.parent]?.depth ?? -9) + 1);
      // What is under a row is what follows it directly.
      const under = rows.filter((r) => ancestors(rows, r.index).includes(row.span.span_id)).map((r) => r.index);
      expect(under).toEqual(Array.from({ length: row.below }, (_, n) => row.index + 1 + n));
      expect(row.place >= 1 && row.place <= row.siblings).toBe(true);
    }
    const total = axisLength({ trace: { ...trace(NOW, 0, 1).trace, duration_us: 0 }, spans, cut: 0 });
    for (const s of spans) {
      const { start, length } = bar(s, total);
      expect(start).toBeGreaterThanOrEqual(0);
      expect(length).toBeGreaterThanOrEqual(0);
      expect(start + length).toBeLessThanOrEqual(1 + 1e-12);
    }
    // Folding leaves out exactly what lies under what is folded, and nothing else.
    const next = random(seed + 1_000);
    const folded = new Set(rows.filter(() => next() < 0.3).map((r) => r.span.span_id));
    const seen = visible(rows, folded);
    const hidden = rows.filter((r) => ancestors(rows, r.index).some((id) => folded.has(id)));
    expect(new Set([...seen, ...hidden].map((r) => r.span.span_id)).size).toBe(rows.length);
    expect(seen.length + hidden.length).toBe(rows.length);
    expect(seen.map((r) => r.index)).toEqual(seen.map((r) => r.index).sort((a, b) => a - b));
    for (const r of seen) expect(r.folded).toBe(r.below > 0 && folded.has(r.span.span_id));
  });
});

test("a row that does not change stays the same object, so that it is not drawn again", () => {
  const rows = tree(trace(NOW, 1, 60).spans);
  expect(visible(rows, new Set())).toEqual(rows);
  expect(visible(rows, new Set()).every((r, n) => r === rows[n])).toBe(true);
});

test("two thousand spans and a thousand levels are laid out", () => {
  expect(tree(trace(NOW, 1, 2_000).spans).length).toBe(2_000);
  const deep = tree(Array.from({ length: 1_000 }, (_, n) => span(n, { depth: n })));
  expect([deep[0]?.below, deep[999]?.depth]).toEqual([999, 999]);
});

test("the axis is as long as its spans need, whatever the trace says of itself", () => {
  expect(axisLength(hostileTrace(NOW))).toBeGreaterThan(1_000_000);
});

test.each<[number, string]>([
  [2_100_000, "0 · 500 ms · 1 s · 1.50 s · 2 s"],
  [10_000_000, "0 · 2 s · 4 s · 6 s · 8 s"],
  [1_234, "0 · 250 µs · 500 µs · 750 µs · 1 ms"],
  [60_000_000 * 7, "0 · 1 min 40 s · 3 min 20 s · 5 min · 6 min 40 s"],
  [0, ""],
])("round moments along %i µs", (total, said) => {
  const marks = ticks(total);
  expect(plain(marks.map((m) => m.text).join(" · "))).toBe(said.replace("1.50 s", "1.5 s"));
  for (const m of marks) expect(m.part >= 0 && m.part < 1).toBe(true);
});

describe("words", () => {
  test.each<[string, Partial<SpanView>, string]>([
    ["the name says it", { name: "chat gpt-5.5", model: "gpt-5.5" }, "chat gpt-5.5"],
    ["the name does not", { name: "chat", model: "gpt-5.5" }, "chat gpt-5.5"],
    ["a tool of a server", { name: "execute_tool", tool: "mcp__linear__create" }, "execute_tool linear: create"],
    ["a model by its long name", { name: "chat", model: "claude-opus-4-8-20260501" }, "chat opus 4.8"],
    ["Claude Code's", { name: "claude_code.llm_request", model: "claude-haiku-5-5" }, "llm_request haiku 5.5"],
    ["Claude Code's tools", { name: "claude_code.tool", tool: "Agent" }, "Agent"],
    ["Claude Code's parts of them", { name: "claude_code.tool.execution" }, "tool.execution"],
    ["no name", { name: "", model: null, tool: null }, "no name"],
    ["escapes and direction characters", { name: "\u001b[31mred\u001b[0m \u202etxet" }, "red txet"],
  ])("%s", (_, more, said) => {
    expect(spanName(span(1, more))).toBe(said);
  });

  test("a span in a sentence, for who cannot see its bar", () => {
    const [row] = tree([span(1, { kind: "tool", name: "search", start_us: 1_500, duration_us: 0, is_error: true, message: "503", is_orphan: true })]);
    expect(plain(row === undefined ? "" : spanSentence(row))).toBe("tool: search, 0 ms, from 1.5 ms, failed: 503, its parent was not received");
  });
});

test("what a trace of strangers says is text", () => {
  const t: Trace = hostileTrace(NOW);
  // eslint-disable-next-line no-control-regex
  for (const row of tree(t.spans)) expect(spanSentence(row)).not.toMatch(/[\u0000-\u0008\u001b\u202e]/);
});
