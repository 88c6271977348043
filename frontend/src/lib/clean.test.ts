import { describe, expect, test } from "vitest";
import { clean, cleanLine, reveal } from "./clean";

describe("prose", () => {
  test.each([
    ["plain text stays", "Which rule?", "Which rule?"],
    ["colours of a terminal go", "\u001b[31mred\u001b[0m", "red"],
    ["a title escape goes with its text", "\u001b]0;owned\u0007after", "after"],
    ["an escape without end goes", "a\u001bb", "ab"],
    ["NUL and bell go", "a\u0000b\u0007c", "abc"],
    ["C1 controls go", "a\u009bb", "ab"],
    ["overrides go", "\u202egnirts\u202c", "gnirts"],
    ["isolates and marks go", "\u2066a\u2069\u200eb\u061c", "ab"],
    ["joiners of emoji and scripts stay", "👩‍👩‍👧 می‌خواهم", "👩‍👩‍👧 می‌خواهم"],
    ["tabs and lines stay, of one kind", "a\tb\r\nc\rd\u2028e", "a\tb\nc\nd\ne"],
    ["markup is only text", "<b>&amp;", "<b>&amp;"],
  ])("%s", (_name, from, to) => {
    expect(clean(from)).toBe(to);
  });

  test("a line has no line breaks", () => {
    expect(cleanLine("  one\n\n two\t three ")).toBe("one two three");
  });
});

describe("what somebody is asked to approve", () => {
  test.each([
    ["a command stays as it is", "rm -rf ./build && ls\n", "rm -rf ./build && ls\n"],
    ["an override is shown", "a\u202eb", "a⟨U+202E⟩b"],
    ["an escape is shown", "a\u001b[2Kb", "a␛[2Kb"],
    ["a zero-width space is shown", "r\u200bm", "r⟨U+200B⟩m"],
    ["a C1 control is shown", "a\u009bb", "a⟨U+009B⟩b"],
    ["delete is shown", "a\u007fb", "a␡b"],
  ])("%s", (_name, from, to) => {
    expect(reveal(from)).toBe(to);
  });
});
