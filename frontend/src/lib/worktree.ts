// What is uncommitted where a session works, in words. Pure.
import { cleanLine } from "./clean";
import { count, number } from "./format";
import { idOf } from "./sections";
import type { SessionCard, Worktree } from "./types";

export interface TreeSaid {
  /** Each count in words, none of them zero. */
  parts: string[];
  /** Files are in conflict: somebody has to decide. */
  conflicted: boolean;
  /** It lay there, as it is, before the first agent came. */
  before: boolean;
  /** Why nothing can be said; there are no parts then. */
  unknown: string | null;
}

/** The worktree a session works in, by its root, else by who worked where. Only those with uncommitted work are listed. */
export function treeOf(card: SessionCard, worktrees: Worktree[]): Worktree | null {
  const root = card.git?.root ?? null;
  const id = idOf(card);
  return worktrees.find((w) => (root === null ? w.sessions.includes(id) : w.root === root)) ?? null;
}

/** What there is to say: `null` for a clean worktree, for a place without one, and where nobody has looked yet. */
export function treeWords(card: SessionCard, worktrees: Worktree[]): TreeSaid | null {
  const git = card.git;
  if (git === null) return null;
  const nothing: TreeSaid = { parts: [], conflicted: false, before: false, unknown: null };
  switch (git.state) {
    case "clean":
    case "not_repo":
      return null;
    case "missing":
      return { ...nothing, unknown: "Its directory is gone" };
    case "unknown":
      return { ...nothing, unknown: `Uncommitted work not known${git.reason === null ? "" : `: ${cleanLine(git.reason).replace(/\.$/, "")}`}` };
    case "dirty": {
      const tree = treeOf(card, worktrees);
      const parts = tree === null ? [] : treeParts(tree);
      if (parts.length > 0) return { parts, conflicted: (tree?.conflicted ?? 0) > 0, before: tree?.was_so_before === true, unknown: null };
      return { ...nothing, parts: [git.dirty_files === null ? "uncommitted files" : `${count(git.dirty_files, "file")} changed`] };
    }
  }
}

function treeParts(tree: Worktree): string[] {
  const counted: [number | null, string][] = [
    [tree.conflicted, "in conflict"],
    [tree.staged, "staged"],
    [tree.unstaged, "changed"],
    [tree.untracked, "untracked"],
  ];
  const parts = counted.flatMap(([n, word]) => (n === null || n === 0 ? [] : [`${number(n)} ${word}`]));
  // How far it is from upstream says little where what differs is not known.
  if (parts.length === 0) return [];
  if (tree.ahead !== null && tree.ahead > 0) parts.push(`${count(tree.ahead, "commit")} ahead`);
  if (tree.behind !== null && tree.behind > 0) parts.push(`${number(tree.behind)} behind`);
  return parts;
}
