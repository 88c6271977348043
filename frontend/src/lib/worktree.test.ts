import { expect, test } from "vitest";
import { card, worktree } from "../fixtures/build";
import type { GitView, SessionCard, Worktree } from "./types";
import { treeOf, treeWords } from "./worktree";

const NOW = Date.UTC(2026, 10, 20, 14, 14);
const ROOT = "/home/ada/src/harbor-api";
const at = (git: Partial<GitView> | null, more: Partial<SessionCard> = {}): SessionCard => card(NOW, "a", "a", { git: git === null ? null : { state: "dirty", dirty_files: 4, root: ROOT, reason: null, ...git }, ...more });
const tree = (more: Partial<Worktree> = {}): Worktree => ({ ...worktree(ROOT, 2, ["claude-code:a"], NOW), ...more });

test("each count has its word, none is shown as zero, conflicts come first", () => {
  expect(treeWords(at({}), [tree({ staged: 1, untracked: 3, conflicted: 1, ahead: 1, behind: 1_200 })])).toEqual({
    parts: ["1 in conflict", "1 staged", "2 changed", "3 untracked", "1 commit ahead", "1,200 behind"],
    conflicted: true,
    before: false,
    unknown: null,
  });
  expect(treeWords(at({}), [tree()])?.parts).toEqual(["2 changed"]);
  expect(treeWords(at({}), [tree({ was_so_before: true })])?.before).toBe(true);
});

test("without the worktree's own counts the card's number is said, and never a zero for what is not known", () => {
  expect(treeWords(at({}), [])?.parts).toEqual(["4 files changed"]);
  expect(treeWords(at({ dirty_files: null }), [tree({ root: "/elsewhere" })])?.parts).toEqual(["uncommitted files"]);
  expect(treeWords(at({}), [tree({ staged: null, unstaged: null, untracked: null, conflicted: null, ahead: 3 })])?.parts).toEqual(["4 files changed"]);
});

test("what nobody could look at says why; what is clean says nothing", () => {
  expect(treeWords(at({ state: "unknown", reason: "git did not answer in time." }), [])?.unknown).toBe("Uncommitted work not known: git did not answer in time");
  expect(treeWords(at({ state: "unknown" }), [])?.unknown).toBe("Uncommitted work not known");
  expect(treeWords(at({ state: "missing" }), [])?.unknown).toBe("Its directory is gone");
  expect([treeWords(at({ state: "clean" }), [tree()]), treeWords(at({ state: "not_repo" }), []), treeWords(at(null), [tree()])]).toEqual([null, null, null]);
});

test("a worktree is found by its root; only where that is not known by who worked there", () => {
  const other = tree({ root: "/other" });
  expect(treeOf(at({}), [other, tree()])?.root).toBe(ROOT);
  expect(treeOf(at({}), [other])).toBeNull();
  expect(treeOf(at({ root: null }), [other])?.root).toBe("/other");
});
