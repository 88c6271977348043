import { describe, expect, it } from "vitest";
import { groupState, KIND_GROUPS, outcomeWords, switched, toldWords } from "./settings";
import type { HeldBack, NoticeView } from "./types";

describe("settings", () => {
  it("a switch stands for several kinds, and leaves those of the others alone", () => {
    const blocked = KIND_GROUPS[0];
    if (!blocked) throw new Error("no group");
    expect(groupState(blocked, ["reply"])).toBe("on");
    expect(groupState(blocked, ["plan"])).toBe("some");
    const off = switched(blocked, ["reply", "plan"], false);
    expect(groupState(blocked, off)).toBe("off");
    expect(off).toContain("reply");
    expect(switched(blocked, off, true)).toEqual(["reply"]);
  });

  it("every kind that is told of by itself has one switch", () => {
    const all = KIND_GROUPS.flatMap((group) => group.kinds);
    expect(new Set(all).size).toBe(all.length);
    expect(all).not.toContain("interrupted");
  });

  it("what was not told says why (X18, X19)", () => {
    const notice: NoticeView = { at_ms: 1, session: "a:b", label: "l", cause_id: "c", cause: "reply", tier: 2, outcome: "held_back", why: "attended" };
    expect(outcomeWords(notice)).toBe("not told: you were looking at it");
    expect(outcomeWords({ ...notice, outcome: "withdrawn", why: null })).toBe("seen to, and taken back");
  });

  it("each reason for not telling has words of its own, and is a sentence where one reason is asked about", () => {
    const reasons: HeldBack[] = ["paused", "off", "quiet_hours", "attended", "kind", "project", "muted", "old", "before", "opened", "own_doing"];
    const notice = (why: HeldBack | null): NoticeView => ({ at_ms: new Date(2026, 10, 20, 14, 14).getTime(), session: "a:b", label: "l", cause_id: "c", cause: "reply", tier: 2, outcome: "held_back", why });
    const all = [...reasons.map(notice), notice(null)].map(outcomeWords);
    expect(new Set(all).size).toBe(all.length);
    for (const words of all) expect(words).toMatch(/^not told/);
    expect(toldWords(notice("quiet_hours"))).toBe("Not told: quiet hours, 14:14.");
  });
});
