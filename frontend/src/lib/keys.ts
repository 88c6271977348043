// Which key means what. Pure: the list of keys and the hints of the menus are written from one table, and a test presses
// every key of it.
import type { Chip } from "./store.svelte";
import { CHIPS } from "./store.svelte";

/** What each chip shows, behind "Show". */
export const CHIP_WORDS: Record<Chip, string> = { all: "all sessions", needs: "what needs you", working: "what works", background: "what runs in background", quiet: "what is quiet", uncommitted: "what is left uncommitted" };

export type Command =
  | { do: "move"; by: 1 | -1 }
  | { do: "copy" | "goto" | "rename" | "snooze" | "handled" | "why" | "close" | "undo" | "filter" | "search" | "palette" | "keys" | "now" | "services" | "runs" | "archive" | "settings" | "menu" | "escape" }
  | { do: "chip"; chip: Chip };

/** What changes the session under the focus at once. Renaming opens a field that shows whose name it is, and undo is of no row. */
const CHANGES: ReadonlySet<Command["do"]> = new Set(["snooze", "handled", "close"]);

export function changesSession(command: Command): boolean {
  return CHANGES.has(command.do);
}

export interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

export interface Where {
  /** The focus is in a text field. */
  typing: boolean;
  /** A menu, popover or dialog is open and has the keys. */
  overlay: boolean;
  /** Text is selected: Ctrl C belongs to it. */
  selection: boolean;
  /** G was pressed just before. */
  afterG: boolean;
  mac: boolean;
}

/** The command of a key, `"g"` for the first half of a pair, or null when the key is not ours. */
export function commandFor(e: Pressed, at: Where): Command | "g" | null {
  const mod = at.mac ? e.metaKey : e.ctrlKey;
  const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
  if (mod && !e.altKey && !e.shiftKey) {
    if (key === "k") return { do: "palette" };
    if (at.overlay) return null;
    if (key === ",") return { do: "settings" };
    if (key === "f") return { do: "search" };
    if (key === "Enter" && !at.typing) return { do: "goto" };
    if (key === "c" && !at.typing && !at.selection) return { do: "copy" };
    return null;
  }
  if (at.overlay || e.ctrlKey || e.metaKey || e.altKey) return null;
  if (key === "Escape") return { do: "escape" };
  if (at.typing) return null;
  if (at.afterG) {
    if (key === "n") return { do: "now" };
    if (key === "s") return { do: "services" };
    if (key === "r") return { do: "runs" };
    if (key === "a") return { do: "archive" };
  }
  // Where it is on the keyboard differs: with Shift here, without there.
  if (key === "?") return { do: "keys" };
  if (key === "ContextMenu" || (key === "F10" && e.shiftKey)) return { do: "menu" };
  if (e.shiftKey) return null;
  switch (key) {
    case "j":
    case "ArrowDown":
      return { do: "move", by: 1 };
    case "k":
    case "ArrowUp":
      return { do: "move", by: -1 };
    case "F2":
      return { do: "rename" };
    case "s":
      return { do: "snooze" };
    case "e":
      return { do: "handled" };
    case "w":
      return { do: "why" };
    case "z":
      return { do: "undo" };
    case "Delete":
      return { do: "close" };
    case "/":
      return { do: "filter" };
    case "g":
      return "g";
    default: {
      const chip = /^[1-9]$/.test(key) ? CHIPS[Number(key) - 1] : undefined;
      return chip === undefined ? null : { do: "chip", chip };
    }
  }
}

/** One line of the list of keys. */
export interface KeyLine {
  /** What it is asked by; the name of its command where the whole window has one. */
  id: string;
  /** Ways to do it, each a text as `Mod+C`, `G N` or `F2`. `Mod` is Ctrl, or ⌘ on a Mac. */
  keys: string[];
  words: string;
}

export interface KeyGroup {
  title: string;
  lines: KeyLine[];
}

/** Every key there is, in the order it is listed. */
export const KEY_GROUPS: KeyGroup[] = [
  {
    title: "Move",
    lines: [
      { id: "next", keys: ["J", "↓"], words: "Next session" },
      { id: "previous", keys: ["K", "↑"], words: "Previous session" },
      { id: "open", keys: ["Enter"], words: "Open it" },
      { id: "escape", keys: ["Esc"], words: "Close what is open, or go back" },
    ],
  },
  {
    title: "A session",
    lines: [
      { id: "goto", keys: ["Mod+Enter"], words: "Go to its terminal" },
      { id: "copy", keys: ["Mod+C"], words: "Copy its resume command" },
      { id: "rename", keys: ["F2"], words: "Rename it" },
      { id: "why", keys: ["W"], words: "Why this state" },
      { id: "menu", keys: ["Shift+F10", "Menu"], words: "Everything else, in its menu" },
    ],
  },
  {
    title: "What calls",
    lines: [
      { id: "handled", keys: ["E"], words: "Mark as handled" },
      { id: "snooze", keys: ["S"], words: "Snooze for an hour" },
      { id: "close", keys: ["Del"], words: "Close the session" },
      { id: "undo", keys: ["Z"], words: "Undo the last" },
    ],
  },
  {
    title: "Pages",
    lines: [
      { id: "now", keys: ["G N"], words: "Now" },
      { id: "services", keys: ["G S"], words: "Services" },
      { id: "runs", keys: ["G R"], words: "Runs" },
      { id: "archive", keys: ["G A"], words: "Archive" },
      { id: "search", keys: ["Mod+F"], words: "Search the archive" },
      { id: "settings", keys: ["Mod+,"], words: "Settings" },
    ],
  },
  {
    title: "This window",
    lines: [
      { id: "palette", keys: ["Mod+K"], words: "Go to a session, or do something" },
      { id: "filter", keys: ["/"], words: "Filter this page" },
      { id: "keys", keys: ["?"], words: "This list" },
    ],
  },
  {
    title: "The list of Now",
    lines: CHIPS.map((chip, n) => ({ id: `chip ${chip}`, keys: [String(n + 1)], words: `Show ${CHIP_WORDS[chip]}` })),
  },
  {
    title: "The spans of a trace",
    lines: [
      { id: "span-next", keys: ["J", "↓"], words: "Next span" },
      { id: "span-previous", keys: ["K", "↑"], words: "Previous span" },
      { id: "span-page", keys: ["Page Down", "Page Up"], words: "A page down, up" },
      { id: "span-ends", keys: ["Home", "End"], words: "First, last" },
      { id: "span-fold", keys: ["←", "→"], words: "Fold, unfold" },
      { id: "span-open", keys: ["Enter", "Space"], words: "Show its details" },
    ],
  },
];

const LINES = new Map(KEY_GROUPS.flatMap((group) => group.lines).map((line) => [line.id, line]));

/** The parts of a way to do it, as caps are drawn: `Mod+C` is `Ctrl` and `C`. */
export function caps(way: string, mod: string): string[] {
  return way.split(/(?<=.)\+| (?=[A-Z]$)/).map((part) => (part === "Mod" ? mod : part));
}

/** The caps of the first way to do it; none where no key does it. */
export function capsOf(id: string, mod: string): string[] {
  const way = LINES.get(id)?.keys[0];
  return way === undefined ? [] : caps(way, mod);
}

/** The same as a hint in a menu: `Ctrl C`. */
export function keyHint(id: string, mod: string): string {
  return capsOf(id, mod).join(" ");
}
