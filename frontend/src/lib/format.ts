// Every number and time on the screen is written here, so that one thing has one look.

import { cleanLine } from "./clean";

/** No-break space: a number and its unit never part at a line end. */
const NB = "\u00a0";
export const NOT_KNOWN = "not known";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Farthest a `Date` reaches from 1970, either way: beyond it, all that is made of one throws. */
const DATE_MAX_MS = 8.64e15;

/** Whether it is a moment of the calendar; what files and clients write may be any number. */
export function isMoment(ms: number): boolean {
  return Math.abs(ms) <= DATE_MAX_MS;
}

/** Two units at most: `8 s`, `12 min`, `3 h 20 min`, `2 d`. Never below zero. */
export function wait(ms: number): string {
  const t = Math.max(0, ms);
  if (t < MINUTE) return `${String(Math.floor(t / SECOND))}${NB}s`;
  if (t < HOUR) return `${String(Math.floor(t / MINUTE))}${NB}min`;
  if (t < DAY) {
    const minutes = Math.floor((t % HOUR) / MINUTE);
    const hours = `${String(Math.floor(t / HOUR))}${NB}h`;
    return minutes === 0 ? hours : `${hours}${NB}${String(minutes)}${NB}min`;
  }
  return `${number(Math.floor(t / DAY))}${NB}d`;
}

/** How long it is from one moment to another, as `wait` says it. */
export function between(from: number, to: number): string {
  return isMoment(from) && isMoment(to) ? wait(to - from) : NOT_KNOWN;
}

/** Milliseconds until `wait` reads differently: what a clock has to sleep. */
export function nextWaitChange(ms: number): number {
  const t = Math.max(0, ms);
  const unit = t < MINUTE ? SECOND : t < DAY ? MINUTE : DAY;
  return ms < 0 ? -ms + SECOND : unit - (t % unit);
}

// Formatters are made once: making one costs as much as a hundred uses.
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const EXACT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long" });
const FULL_DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const DOLLARS = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

/** 24 h clock by locale: `14:02`. */
export function clockTime(ms: number): string {
  return isMoment(ms) ? CLOCK.format(ms) : NOT_KNOWN;
}

/** With seconds: `14:02:31`. */
export function exactTime(ms: number): string {
  return isMoment(ms) ? EXACT.format(ms) : NOT_KNOWN;
}

/** For `datetime`: what a machine reads. Left out where it is not known. */
export function isoTime(ms: number): string | undefined {
  return isMoment(ms) ? new Date(ms).toISOString() : undefined;
}

function startOfDay(ms: number): number {
  const d = new Date(ms);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
}

/** Today, Yesterday, `12 November`, with the year when it is another one. */
export function day(ms: number, now: number): string {
  if (!isMoment(ms)) return NOT_KNOWN;
  const days = Math.round((startOfDay(now) - startOfDay(ms)) / DAY);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (new Date(ms).getFullYear() === new Date(now).getFullYear() ? DATE : FULL_DATE).format(ms);
}

/** A moment that lies behind: `Today 14:02`. */
export function dayTime(ms: number, now: number): string {
  return isMoment(ms) ? `${day(ms, now)} ${clockTime(ms)}` : NOT_KNOWN;
}

/** A moment in full, for hover: `20 November 2026, 14:02:31`. */
export function moment(ms: number): string {
  if (!isMoment(ms)) return NOT_KNOWN;
  return `${FULL_DATE.format(ms)}, ${exactTime(ms)}`;
}

/** A moment that lies ahead: `16:20` today, `tomorrow 08:00`, `22 November 08:00`. */
export function upcoming(ms: number, now: number): string {
  if (!isMoment(ms)) return NOT_KNOWN;
  const days = Math.round((startOfDay(ms) - startOfDay(now)) / DAY);
  if (days <= 0) return clockTime(ms);
  if (days === 1) return `tomorrow${NB}${clockTime(ms)}`;
  return `${DATE.format(ms)} ${clockTime(ms)}`;
}

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** `1,204`. */
export function number(n: number): string {
  return GROUPED.format(n);
}

/** `640`, `640k`, `8.4M`, `1.2B`. */
export function short(n: number): string {
  if (n < 1_000) return String(Math.round(n));
  if (n < 999_500) return `${String(Math.round(n / 1_000))}k`;
  if (n < 999_500_000) return `${tenth(n / 1_000_000)}M`;
  return `${tenth(n / 1_000_000_000)}B`;
}

function tenth(n: number): string {
  return n >= 99.95 ? String(Math.round(n)) : n.toFixed(1).replace(/\.0$/, "");
}

/** `$0.41`, `$41.87`, `<$0.01`, `$1,204.00`; unknown money is said to be so, never zero. */
export function money(usd: number | null): string {
  if (usd === null || !Number.isFinite(usd)) return NOT_KNOWN;
  if (usd > 0 && usd < 0.01) return "<$0.01";
  return DOLLARS.format(Math.max(0, usd));
}

/** `71 %`, floor, so that 100 % means full; `<1 %`, so that 0 % means nothing. */
export function percent(part: number, whole: number): string {
  const value = percentOf(part, whole);
  return value === 0 && part > 0 && whole > 0 ? `<1${NB}%` : `${String(value)}${NB}%`;
}

export function percentOf(part: number, whole: number): number {
  return whole <= 0 ? 0 : Math.min(100, Math.max(0, Math.floor((part / whole) * 100)));
}

/** A share from 0 to 1: `0 %`, `<0.1 %`, `1.2 %`, `48 %`; 100 % only when it is all. */
export function share(part: number): string {
  const value = Math.min(1, Math.max(0, part)) * 100;
  if (value === 0) return `0${NB}%`;
  if (value < 0.1) return `<0.1${NB}%`;
  return `${value < 9.95 ? tenthDown(value) : String(Math.floor(value))}${NB}%`;
}

function tenthDown(n: number): string {
  return (Math.floor(n * 10 + 1e-9) / 10).toFixed(1).replace(/\.0$/, "");
}

/** A length of time in microseconds, three digits of it: `640 µs`, `4.2 ms`, `412 ms`, `1.94 s`, `2 min 4 s`, `1 h 3 min`. */
export function duration(us: number): string {
  const t = Math.max(0, us);
  if (t === 0) return `0${NB}ms`;
  if (t < 1_000) return `${String(Math.max(1, Math.round(t)))}${NB}µs`;
  if (t < 9_950) return `${tenth(t / 1_000)}${NB}ms`;
  if (t < 999_500) return `${String(Math.round(t / 1_000))}${NB}ms`;
  if (t < 9_995_000) return `${(t / 1_000_000).toFixed(2)}${NB}s`;
  if (t < 59_950_000) return `${tenth(t / 1_000_000)}${NB}s`;
  const seconds = Math.round(t / 1_000_000);
  if (seconds < 3_600) return `${String(Math.floor(seconds / 60))}${NB}min${seconds % 60 === 0 ? "" : `${NB}${String(seconds % 60)}${NB}s`}`;
  return wait(seconds * SECOND);
}

/** A rate: `42 / min`, `0.4 / min`, `<0.1 / min`. */
export function perMinute(n: number): string {
  const value = n <= 0 ? "0" : n < 0.1 ? "<0.1" : n < 9.95 ? tenth(n) : short(n);
  return `${value}${NB}/${NB}min`;
}

/** `640 MB`, decimal units as file managers count. */
export function bytes(n: number): string {
  if (n < 1_000) return `${String(n)}${NB}B`;
  if (n < 1_000_000) return `${String(Math.round(n / 1_000))}${NB}KB`;
  if (n < 1_000_000_000) return `${String(Math.round(n / 1_000_000))}${NB}MB`;
  return `${(n / 1_000_000_000).toFixed(1)}${NB}GB`;
}

/** `1 file`, `4 files`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${number(n)} ${n === 1 ? one : many}`;
}

/** Uncached and cached, in and out. */
export function allTokens(t: { input: number; output: number; cache_write_5m: number; cache_write_1h: number; cache_read: number }): number {
  return t.input + t.output + t.cache_write_5m + t.cache_write_1h + t.cache_read;
}

/** The home folder is `~`; everything else stays as it is. */
export function tildePath(path: string): string {
  return path.replace(/^(\/home\/[^/]+|\/Users\/[^/]+|\/root)(?=\/|$)/, "~");
}

/** Model names as people say them: `claude-opus-4-8-20260501` is `opus 4.8`. Unknown shapes stay as written, as one safe line. */
export function modelName(model: string | null): string {
  if (model === null) return `model ${NOT_KNOWN}`;
  const m = /^claude-(?:([a-z]+)-(\d+)(?:-(\d{1,2}))?|(\d+)(?:-(\d{1,2}))?-([a-z]+))(?:-\d{8})?(?:\[[^\]]*\])?$/.exec(model);
  if (!m) return cleanLine(model) || `model ${NOT_KNOWN}`;
  const family = m[1] ?? m[6] ?? "";
  const major = m[2] ?? m[4] ?? "";
  const minor = m[3] ?? m[5];
  return `${family} ${minor === undefined ? major : `${major}.${minor}`}`;
}

const AGENTS: Record<string, { name: string; short: string; icon: string }> = {
  "claude-code": { name: "Claude Code", short: "Claude", icon: "a-claude" },
  codex: { name: "Codex", short: "Codex", icon: "a-codex" },
  gemini: { name: "Gemini CLI", short: "Gemini", icon: "a-gemini" },
  opencode: { name: "OpenCode", short: "OpenCode", icon: "a-opencode" },
  otel: { name: "OpenTelemetry", short: "OTel", icon: "a-otel" },
};

/** How an agent is named and drawn; one that is not known keeps its own word. */
export function agent(id: string): { name: string; short: string; icon: string } {
  return AGENTS[id] ?? { name: id, short: id, icon: "terminal" };
}

/** How long a usage limit or a snooze still lasts, in words for a screen that is rarely looked at. */
export function within(ms: number, now: number): string {
  return `in ${wait(Math.max(MINUTE, ms - now))}`;
}

/** The last part of a path. */
export function basename(path: string): string {
  const parts = path.split(/[\\/]/).filter((p) => p !== "");
  return parts.at(-1) ?? path;
}

/** Tomorrow at eight, local time, across changes of daylight saving. */
export function tomorrowMorning(now: number): number {
  const d = new Date(now);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate() + 1, 8).getTime();
}

/** Midnight before `now`, local time. */
export function today(now: number): number {
  return startOfDay(now);
}
