import { describe, expect, test } from "vitest";
import { MINUTE } from "./format";
import { areaPath, bars, barsPath, errorRates, linePath, minuteAt, MINUTES, quarters, upTo } from "./series";
import type { ServiceSeries } from "./types";

const FROM = 1_763_640_000_000 - (1_763_640_000_000 % MINUTE);
const BOX = { width: 120, height: 28 };
const ramp: ServiceSeries = { from_ms: FROM, calls: Array.from({ length: 60 }, (_, n) => n), errors: Array.from({ length: 60 }, (_, n) => (n % 10 === 0 ? n : 0)), cost_usd: Array.from({ length: 60 }, () => 0.01) };
/** Numbers that are the same every time. */
function random(seed: number): () => number {
  let x = seed;
  return () => (x = (x * 48_271) % 2_147_483_647) / 2_147_483_647;
}

describe("the grid is sixty minutes, filled with zeros, and ends now (A77)", () => {
  test.each([0, 1, 7, 59, 60, 61, 5_000])("%i minutes after it was sent", (late) => {
    const s = upTo(ramp, FROM + 59 * MINUTE + late * MINUTE + 30_000);
    expect([s.calls.length, s.errors.length, s.cost_usd.length]).toEqual([60, 60, 60]);
    expect(s.from_ms).toBe(FROM + late * MINUTE);
    for (let n = 0; n < MINUTES; n += 1) {
      const was = n + late;
      expect(s.calls[n]).toBe(was < 60 ? was : 0);
    }
  });

  test("a clock that is behind moves nothing back", () => {
    expect(upTo(ramp, FROM - 999 * MINUTE)).toEqual(ramp);
  });

  test("a shorter one is filled at its beginning", () => {
    const s = upTo({ from_ms: FROM, calls: [4, 5], errors: [0, 1], cost_usd: [0, 0] }, FROM + MINUTE);
    expect(s.calls.slice(-3)).toEqual([0, 4, 5]);
    expect(s.from_ms + 59 * MINUTE).toBe(FROM + MINUTE);
  });
});

test("share of failed calls by minute: none without calls, never above one", () => {
  const rates = errorRates({ from_ms: 0, calls: [0, 4, 4, 2, 0], errors: [0, 1, 4, 3, 2], cost_usd: [] });
  expect(rates).toEqual([0, 0.25, 1, 1, 1]);
});

test("lines and bars stay inside their box, for any numbers", () => {
  const next = random(7);
  for (let round = 0; round < 300; round += 1) {
    const values = Array.from({ length: 1 + Math.floor(next() * 60) }, () => (next() < 0.3 ? 0 : next() * 10 ** Math.floor(next() * 12 - 4)));
    for (const path of [linePath(values, BOX), areaPath(values, BOX)]) {
      for (const [, x, y] of path.matchAll(/[ML]([\d.-]+) ([\d.-]+)/g)) {
        expect(Number(x)).toBeGreaterThanOrEqual(0);
        expect(Number(x)).toBeLessThanOrEqual(BOX.width);
        expect(Number(y)).toBeGreaterThanOrEqual(0);
        expect(Number(y)).toBeLessThanOrEqual(BOX.height);
      }
      expect(path).not.toMatch(/NaN|Infinity/);
    }
    const drawn = bars(values, BOX, Math.max(...values));
    expect(drawn.length).toBe(values.filter((v) => v > 0).length);
    for (const b of drawn) {
      expect(b.x).toBeGreaterThanOrEqual(0);
      expect(b.x + b.width).toBeLessThanOrEqual(BOX.width + 1e-9);
      expect(b.y).toBeGreaterThanOrEqual(0);
      expect(b.y + b.height).toBeCloseTo(BOX.height);
      expect(b.height).toBeGreaterThanOrEqual(2);
    }
  }
});

test("nothing is a flat line at the foot, and no bar", () => {
  expect(linePath([0, 0], BOX)).toBe("M0.0 27.0 L120.0 27.0");
  expect(barsPath(bars([0, 0], BOX, 0))).toBe("");
});

test("the minute under the pointer, and the quarters of the axis", () => {
  expect([-1, 0, 0.5, 0.999, 1, 7].map(minuteAt)).toEqual([0, 0, 30, 59, 59, 59]);
  const marks = quarters(ramp);
  expect(marks.length).toBe(4);
  for (const m of marks) expect([m.at_ms % (15 * MINUTE), m.part >= 0 && m.part < 1]).toEqual([0, true]);
});
