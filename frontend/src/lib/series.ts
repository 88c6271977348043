// Sixty minutes on a fixed grid: lines, bars and their words. Pure.
import { MINUTE } from "./format";
import type { ServiceSeries } from "./types";

export const MINUTES = 60;

/**
 * The series as it stands at `now`: minutes that went by since it was sent had no call, else it would have been sent
 * again. Always 60 entries, the last one being the minute that runs.
 */
export function upTo(series: ServiceSeries, now: number): ServiceSeries {
  const last = series.from_ms + (series.calls.length - 1) * MINUTE;
  const late = Math.max(0, Math.floor((Math.floor(now / MINUTE) * MINUTE - last) / MINUTE));
  const grid = (values: number[]): number[] => {
    const kept = [...values, ...new Array<number>(Math.min(late, MINUTES)).fill(0)].slice(-MINUTES);
    return [...new Array<number>(MINUTES - kept.length).fill(0), ...kept];
  };
  return { from_ms: last + late * MINUTE - (MINUTES - 1) * MINUTE, calls: grid(series.calls), errors: grid(series.errors), cost_usd: grid(series.cost_usd) };
}

/** Share of failed calls of each minute, 0 to 1; a minute without calls has none and is 0. */
export function errorRates(series: ServiceSeries): number[] {
  return series.calls.map((calls, n) => {
    const errors = series.errors[n] ?? 0;
    return errors <= 0 ? 0 : Math.min(1, errors / Math.max(calls, errors));
  });
}

export interface Box {
  width: number;
  height: number;
}

/** Coordinates to a tenth: what is finer cannot be seen and would only be drawn again. */
function at(n: number): string {
  return n.toFixed(1);
}

export function peak(values: readonly number[]): number {
  return values.reduce((a, b) => (Number.isFinite(b) ? Math.max(a, b) : a), 0);
}

/** A line through the minutes, from the left edge to the right; the largest value stands 2 below the top. */
export function linePath(values: readonly number[], box: Box): string {
  const most = peak(values);
  const step = box.width / Math.max(1, values.length - 1);
  const foot = box.height - 1;
  return values.map((v, n) => `${n === 0 ? "M" : "L"}${at(n * step)} ${at(most === 0 ? foot : foot - (Math.max(0, v) / most) * (foot - 2))}`).join(" ");
}

/** The same, closed along the foot. */
export function areaPath(values: readonly number[], box: Box): string {
  return `${linePath(values, box)} L${at(box.width)} ${at(box.height)} L0 ${at(box.height)}Z`;
}

export interface Bar {
  index: number;
  x: number;
  width: number;
  y: number;
  height: number;
}

/** A bar per minute that has a value, standing on the foot; the smallest is still seen. `most` is the value of a full bar. */
export function bars(values: readonly number[], box: Box, most: number, least = 2): Bar[] {
  const step = box.width / Math.max(1, values.length);
  return values.flatMap((v, index) => {
    if (!(v > 0) || most <= 0) return [];
    const height = Math.min(box.height, Math.max(least, (v / most) * box.height));
    return [{ index, x: index * step + step * 0.1, width: step * 0.8, y: box.height - height, height }];
  });
}

/** The bars as one path: sixty elements less per row. */
export function barsPath(all: readonly Bar[]): string {
  return all.map((b) => `M${at(b.x)} ${at(b.y)}h${at(b.width)}v${at(b.height)}h-${at(b.width)}Z`).join("");
}

/** The minute under a pointer at `share` of the width, from 0 to 1. */
export function minuteAt(part: number): number {
  return Math.min(MINUTES - 1, Math.max(0, Math.floor(part * MINUTES)));
}

/** Full quarters of an hour inside the series, with their place from 0 to 1, for the axis. */
export function quarters(series: ServiceSeries): { at_ms: number; part: number }[] {
  const out = [];
  const step = 15 * MINUTE;
  for (let t = Math.ceil(series.from_ms / step) * step; t < series.from_ms + MINUTES * MINUTE; t += step) {
    out.push({ at_ms: t, part: (t - series.from_ms) / (MINUTES * MINUTE) });
  }
  return out;
}
