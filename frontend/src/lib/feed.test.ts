import { expect, test } from "vitest";
import { change, snapshot } from "../fixtures/build";
import { Feed, type Verdict } from "./feed";
import type { StreamMessage } from "./types";

test.each<[string, StreamMessage[], Verdict[]]>([
  ["in order", [snapshot(4), change(4, 5), change(5, 9)], ["apply", "apply", "apply"]],
  ["a change before any snapshot", [change(0, 1)], ["gap"]],
  ["one is missing", [snapshot(4), change(5, 6)], ["apply", "gap"]],
  ["sent twice", [snapshot(4), change(4, 5), change(4, 5)], ["apply", "apply", "repeat"]],
  ["sent before the snapshot, arrived after", [snapshot(4), change(2, 3)], ["apply", "repeat"]],
  ["overlaps what is known", [snapshot(4), change(3, 6)], ["apply", "gap"]],
  ["another history", [snapshot(4), change(4, 5, "other")], ["apply", "gap"]],
  ["a new snapshot starts over", [snapshot(4), snapshot(1, "other"), change(1, 2, "other")], ["apply", "apply", "apply"]],
])("%s", (_name, messages, verdicts) => {
  const feed = new Feed();
  expect(messages.map((m) => feed.judge(m))).toEqual(verdicts);
});
