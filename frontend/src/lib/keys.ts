// Which key means what. Pure, so that the table in the guide and the table here can be compared by a test.
import type { Chip } from "./store.svelte";
import { CHIPS } from "./store.svelte";

export type Command =
  | { do: "move"; by: 1 | -1 }
  | { do: "copy" | "goto" | "rename" | "snooze" | "handled" | "why" | "close" | "undo" | "filter" | "search" | "palette" | "now" | "services" | "runs" | "archive" | "settings" | "menu" | "escape" }
  | { do: "chip"; chip: Chip };

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
