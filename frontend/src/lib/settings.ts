// Settings and the log of notifications in words. Pure.
import { clockTime } from "./format";
import type { CauseKind, HeldBack, NoticeView } from "./types";

/** A switch of the screen: several kinds that a person thinks of as one. */
export interface KindGroup {
  kinds: CauseKind[];
  label: string;
  says: string;
}

export const KIND_GROUPS: KindGroup[] = [
  { kinds: ["permission", "question", "plan", "elicitation", "sign_in"], label: "Permission, question, plan", says: "after 2 s, unless it resolves by itself" },
  { kinds: ["reply"], label: "Awaiting your reply", says: "after 10 s, unless you are looking at it" },
  { kinds: ["error", "limit", "crashed"], label: "Errors, limits, lost processes", says: "after 10 s" },
  { kinds: ["uncommitted"], label: "Uncommitted work left behind", says: "2 min after no agent is known in its worktree any more" },
];

/** Whether all of a group is told, none of it, or some. */
export function groupState(group: KindGroup, muted: CauseKind[]): "on" | "off" | "some" {
  const off = group.kinds.filter((kind) => muted.includes(kind)).length;
  return off === 0 ? "on" : off === group.kinds.length ? "off" : "some";
}

/** The muted kinds after a group was switched. */
export function switched(group: KindGroup, muted: CauseKind[], on: boolean): CauseKind[] {
  const rest = muted.filter((kind) => !group.kinds.includes(kind));
  return on ? rest : [...rest, ...group.kinds];
}

const HELD: Record<HeldBack, string> = {
  paused: "not told: notifications were paused",
  off: "not told: notifications are off",
  quiet_hours: "not told: quiet hours",
  attended: "not told: you were looking at it",
  kind: "not told: this kind is off",
  project: "not told: its project is muted",
  muted: "not told: the session is muted",
  old: "not told: it stood for more than 12 h",
  before: "not told: it was so before Lamplight looked",
  opened: "not told: it was so when you opened it",
  own_doing: "not told: you did it yourself",
};

/** What became of telling. */
export function outcomeWords(notice: NoticeView): string {
  switch (notice.outcome) {
    case "told":
      return "told";
    case "grouped":
      return "told with others";
    case "held_back":
      return notice.why === null ? "not told" : HELD[notice.why];
    case "resolved":
      return "seen to before it was told";
    case "withdrawn":
      return "seen to, and taken back";
  }
}

/** The same as a sentence with its moment, for the place where one reason is asked about. */
export function toldWords(notice: NoticeView): string {
  const words = outcomeWords(notice);
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}, ${clockTime(notice.at_ms)}.`;
}
