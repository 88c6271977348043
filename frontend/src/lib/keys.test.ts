import { expect, test } from "vitest";
import { commandFor, type Pressed, type Where } from "./keys";

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
  ["ContextMenu", {}, "menu"],
  ["Shift+F10", {}, "menu"],
  ["F10", {}, "nothing"],
])("%s %o", (keys, where, does) => {
  expect(press(keys, where)).toBe(does);
});
