import { expect, test } from "vitest";
import { caps, capsOf, changesSession, commandFor, KEY_GROUPS, keyHint, type Pressed, type Where } from "./keys";

const FREE: Where = { typing: false, overlay: false, selection: false, afterG: false, mac: false };

/** `Ctrl+C` → what it does there. */
function press(keys: string, where: Partial<Where> = {}): string {
  const parts = keys.split("+");
  const key = parts.at(-1) ?? "";
  const pressed: Pressed = { key, ctrlKey: parts.includes("Ctrl"), metaKey: parts.includes("Cmd"), shiftKey: parts.includes("Shift"), altKey: parts.includes("Alt") };
  const command = commandFor(pressed, { ...FREE, ...where });
  if (command === null || command === "g") return command ?? "nothing";
  return command.do === "move" ? `move ${String(command.by)}` : command.do === "chip" ? `chip ${command.chip}` : command.do;
}

test.each<[string, Partial<Where>, string]>([
  ["j", {}, "move 1"],
  ["ArrowDown", {}, "move 1"],
  ["k", {}, "move -1"],
  ["J", {}, "move 1"],
  ["Ctrl+c", {}, "copy"],
  ["Ctrl+c", { selection: true }, "nothing"],
  ["Ctrl+c", { typing: true }, "nothing"],
  ["Cmd+c", { mac: true }, "copy"],
  ["Ctrl+c", { mac: true }, "nothing"],
  ["Ctrl+Enter", {}, "goto"],
  ["Ctrl+Enter", { typing: true }, "nothing"],
  ["Ctrl+Enter", { overlay: true }, "nothing"],
  ["Cmd+Enter", { mac: true }, "goto"],
  ["Enter", {}, "nothing"],
  ["Ctrl+k", { typing: true }, "palette"],
  ["Ctrl+k", { overlay: true }, "palette"],
  ["Ctrl+f", {}, "search"],
  ["Ctrl+Shift+c", {}, "nothing"],
  ["F2", {}, "rename"],
  ["s", {}, "snooze"],
  ["e", {}, "handled"],
  ["w", {}, "why"],
  ["z", {}, "undo"],
  ["Delete", {}, "close"],
  ["/", {}, "filter"],
  ["/", { typing: true }, "nothing"],
  ["e", { typing: true }, "nothing"],
  ["e", { overlay: true }, "nothing"],
  ["Alt+e", {}, "nothing"],
  ["Escape", { typing: true }, "escape"],
  ["Escape", { overlay: true }, "nothing"],
  ["1", {}, "chip all"],
  ["2", {}, "chip needs"],
  ["6", {}, "chip uncommitted"],
  ["7", {}, "nothing"],
  ["g", {}, "g"],
  ["n", { afterG: true }, "now"],
  ["s", { afterG: true }, "services"],
  ["r", { afterG: true }, "runs"],
  ["a", { afterG: true }, "archive"],
  ["n", {}, "nothing"],
  ["?", {}, "keys"],
  ["Shift+?", {}, "keys"],
  ["Shift+?", { typing: true }, "nothing"],
  ["Shift+?", { overlay: true }, "nothing"],
  ["ContextMenu", {}, "menu"],
  ["Shift+F10", {}, "menu"],
  ["F10", {}, "nothing"],
])("%s %o", (keys, where, does) => {
  expect(press(keys, where)).toBe(does);
});

/** What a cap is called in an event. */
const NAMES: Record<string, string> = { Esc: "Escape", Del: "Delete", Menu: "ContextMenu", "↓": "ArrowDown", "↑": "ArrowUp" };
const DOES: Record<string, string> = { next: "move 1", previous: "move -1" };

test.each([false, true])("every key that is listed does what the list says, on a Mac: %s", (mac) => {
  const mod = mac ? "Cmd" : "Ctrl";
  // Enter is the button under the focus; the spans have their keys on their own page.
  const lines = KEY_GROUPS.filter((group) => group.title !== "The spans of a trace").flatMap((group) => group.lines).filter((line) => line.id !== "open");
  for (const line of lines) {
    for (const way of line.keys) {
      const parts = caps(way, mod).map((cap) => NAMES[cap] ?? cap);
      const pair = parts[0] === "G" && parts.length === 2;
      expect(press(pair ? (parts[1] ?? "") : parts.join("+"), { mac, afterG: pair }), way).toBe(DOES[line.id] ?? line.id);
    }
  }
});

test("no command is missing from the list", () => {
  const listed = new Set(KEY_GROUPS.flatMap((group) => group.lines).map((line) => DOES[line.id] ?? line.id));
  const keys = ["j", "k", "F2", "s", "e", "w", "z", "Delete", "/", "?", "Escape", "ContextMenu", "Ctrl+k", "Ctrl+c", "Ctrl+Enter", "Ctrl+f", "Ctrl+,", "1", "2", "3", "4", "5", "6", ..."abcdefghijklmnopqrstuvwxyz"];
  const does = [...keys.map((k) => press(k)), ..."abcdefghijklmnopqrstuvwxyz".split("").map((k) => press(k, { afterG: true }))].filter((d) => d !== "nothing" && d !== "g");
  expect(does.filter((d) => !listed.has(d))).toEqual([]);
});

test("of all keys three change the session under the focus: handled, snoozed, closed", () => {
  const keys = KEY_GROUPS.flatMap((group) => group.lines).flatMap((line) => line.keys);
  const changing = keys.filter((way) => {
    const command = commandFor({ key: NAMES[way] ?? way, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false }, FREE);
    return command !== null && command !== "g" && changesSession(command);
  });
  expect(changing).toEqual(["E", "S", "Del"]);
});

test("hints are the first way, as its caps", () => {
  expect([keyHint("copy", "Ctrl"), keyHint("copy", "⌘"), keyHint("now", "Ctrl"), keyHint("chip quiet", "Ctrl"), keyHint("nothing", "Ctrl")]).toEqual(["Ctrl C", "⌘ C", "G N", "5", ""]);
  expect([capsOf("now", "Ctrl"), capsOf("nothing", "Ctrl")]).toEqual([["G", "N"], []]);
  expect([caps("Mod+,", "Ctrl"), caps("Page Down", "Ctrl"), caps("Shift+F10", "Ctrl")]).toEqual([["Ctrl", ","], ["Page Down"], ["Shift", "F10"]]);
});
