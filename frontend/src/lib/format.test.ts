import { describe, expect, test } from "vitest";
import { between, bytes, clockTime, count, DAY, day, dayTime, duration, exactTime, HOUR, isoTime, MINUTE, modelName, moment, money, nextWaitChange, percent, perMinute, SECOND, share, short, tildePath, tomorrowMorning, upcoming, wait } from "./format";

const plain = (s: string): string => s.replaceAll("\u00a0", " ");

describe("waits", () => {
  test.each([
    [-5 * MINUTE, "0 s"],
    [0, "0 s"],
    [8 * SECOND + 900, "8 s"],
    [MINUTE - 1, "59 s"],
    [MINUTE, "1 min"],
    [12 * MINUTE + 59 * SECOND, "12 min"],
    [HOUR, "1 h"],
    [3 * HOUR + 20 * MINUTE, "3 h 20 min"],
    [DAY - 1, "23 h 59 min"],
    [DAY, "1 d"],
    [101 * HOUR, "4 d"],
    [1_204 * DAY, "1,204 d"],
  ])("%i ms", (ms, text) => {
    expect(plain(wait(ms))).toBe(text);
  });

  test("never break at a line end", () => {
    expect(wait(3 * HOUR + 20 * MINUTE)).not.toContain(" ");
  });

  test.each([0, 999, 59_999, MINUTE, 90_500, HOUR - 1, HOUR, DAY - 1, DAY + 5, -3_000])("a clock that sleeps until the next change sees it, and none before: %i", (age) => {
    const sleep = nextWaitChange(age);
    expect(wait(age + sleep)).not.toBe(wait(age));
    expect(wait(age + sleep - 1)).toBe(wait(age));
  });
});

test.each([8.64e15 + 1, -8.64e15 - 1, Number.MAX_SAFE_INTEGER, 1e300, Infinity, NaN])("%d is no moment of the calendar: it is not known, and nothing throws", (ms) => {
  const now = Date.UTC(2026, 10, 20);
  expect([clockTime(ms), exactTime(ms), moment(ms), day(ms, now), dayTime(ms, now), upcoming(ms, now), between(ms, now), between(now, ms)]).toEqual(new Array(8).fill("not known"));
  expect(isoTime(ms)).toBeUndefined();
});

test("the last moments of the calendar are still moments", () => {
  for (const ms of [8.64e15, -8.64e15]) for (const text of [clockTime(ms), moment(ms), day(ms, 0), upcoming(ms, 0), isoTime(ms)]) expect(text).not.toBe("not known");
});

test.each([
  [null, "not known"],
  [Number.NaN, "not known"],
  [0, "$0.00"],
  [0.004, "<$0.01"],
  [0.41, "$0.41"],
  [41.867, "$41.87"],
  [12_345.678, "$12,345.68"],
])("money %s", (usd, text) => {
  expect(money(usd)).toBe(text);
});

test.each([
  [0, "0"],
  [640, "640"],
  [640_000, "640k"],
  [999_499, "999k"],
  [999_500, "1M"],
  [8_400_000, "8.4M"],
  [61_200_000, "61.2M"],
  [152_000_000, "152M"],
  [9_090_000_000, "9.1B"],
])("short %i", (n, text) => {
  expect(short(n)).toBe(text);
});

test("percent never says full before it is", () => {
  expect(plain(percent(199_999, 200_000))).toBe("99 %");
  expect(plain(percent(300, 200))).toBe("100 %");
  expect(plain(percent(1, 0))).toBe("0 %");
  expect([plain(percent(0, 200)), plain(percent(1, 200))]).toEqual(["0 %", "<1 %"]);
});

test.each([
  [999, "999 B"],
  [4_100, "4 KB"],
  [640_000_000, "640 MB"],
  [1_030_000_000, "1.0 GB"],
])("bytes %i", (n, text) => {
  expect(plain(bytes(n))).toBe(text);
});

test.each([
  [null, "model not known"],
  ["claude-opus-4-8-20260501", "opus 4.8"],
  ["claude-opus-4-8", "opus 4.8"],
  ["claude-sonnet-5", "sonnet 5"],
  ["claude-3-5-sonnet-20241022", "sonnet 3.5"],
  ["claude-sonnet-4-5-20250929[1m]", "sonnet 4.5"],
  ["gpt-5.5", "gpt-5.5"],
  ["<synthetic>", "<synthetic>"],
  ["gpt\u202e5\u001b[31m", "gpt5"],
  ["\u001b[0m", "model not known"],
])("model %s", (model, text) => {
  expect(modelName(model)).toBe(text);
});

test("days are told by the local calendar", () => {
  const now = new Date(2026, 10, 20, 0, 30).getTime();
  expect(day(now, now)).toBe("Today");
  expect(day(now - HOUR, now)).toBe("Yesterday");
  expect(day(new Date(2026, 10, 12).getTime(), now)).toBe("12 November");
  expect(day(new Date(2025, 10, 12).getTime(), now)).toBe("12 November 2025");
});

test("what lies ahead is told by clock, then by day", () => {
  const now = new Date(2026, 10, 20, 14, 0).getTime();
  expect(upcoming(new Date(2026, 10, 20, 16, 20).getTime(), now)).toBe("16:20");
  expect(plain(upcoming(tomorrowMorning(now), now))).toBe("tomorrow 08:00");
  expect(upcoming(new Date(2026, 10, 23, 9, 5).getTime(), now)).toBe("23 November 09:05");
});

test("small words", () => {
  expect([count(1, "file"), count(4, "file"), count(1_204, "session"), count(2, "branch", "branches")]).toEqual(["1 file", "4 files", "1,204 sessions", "2 branches"]);
  expect([tildePath("/home/ada/src"), tildePath("/root"), tildePath("/srv/home/ada")]).toEqual(["~/src", "~", "/srv/home/ada"]);
});

test.each<[number, string]>([
  [-5, "0 ms"], [0, "0 ms"], [0.4, "1 µs"], [640, "640 µs"], [1_000, "1 ms"], [4_230, "4.2 ms"], [9_949, "9.9 ms"], [9_951, "10 ms"], [412_400, "412 ms"], [999_499, "999 ms"],
  [999_500, "1.00 s"], [1_940_000, "1.94 s"], [9_994_999, "9.99 s"], [9_995_000, "10 s"], [41_230_000, "41.2 s"], [59_949_999, "59.9 s"], [59_950_000, "1 min"], [124_000_000, "2 min 4 s"], [3_599_400_000, "59 min 59 s"], [3_599_600_000, "1 h"], [3_780_000_000, "1 h 3 min"], [200_000_000_000, "2 d"],
])("%i µs lasted %s", (us, said) => {
  expect(duration(us).replaceAll("\u00a0", " ")).toBe(said);
});

test.each<[number, string]>([[-1, "0 %"], [0, "0 %"], [0.0004, "<0.1 %"], [0.001, "0.1 %"], [0.0129, "1.2 %"], [0.03, "3 %"], [0.0994, "9.9 %"], [0.4999, "49 %"], [0.9999, "99 %"], [1, "100 %"], [7, "100 %"]])("a share of %f is %s", (part, said) => {
  expect(share(part).replaceAll("\u00a0", " ")).toBe(said);
});

test.each<[number, string]>([[0, "0 / min"], [0.04, "<0.1 / min"], [0.4, "0.4 / min"], [9, "9 / min"], [9.9, "9.9 / min"], [42.4, "42 / min"], [98_765, "99k / min"]])("%f a minute is %s", (n, said) => {
  expect(perMinute(n).replaceAll("\u00a0", " ")).toBe(said);
});
