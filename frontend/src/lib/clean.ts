// What agents write is hostile until shown safe: it may carry terminal escapes, NULs and characters that turn the
// reading direction around. Everything from a transcript passes through here on its way to a text node.

/** A whole terminal escape: CSI, OSC up to its end, or a two-character escape. */
// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-Z\\-_]/g;
/** Direction overrides, embeddings, isolates and marks, byte order marks, and invisible separators. */
const INVISIBLE = /[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]/g;
/** Control characters except tab and newline, C1 included. */
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
const BREAKS = /\r\n?|[\u2028\u2029]/g;

/** Prose: escapes, controls and direction characters are dropped; line breaks are one kind. */
export function clean(text: string): string {
  return text.replace(ESCAPES, "").replace(BREAKS, "\n").replace(INVISIBLE, "").replace(CONTROLS, "");
}

/** One line of prose, for names and cells: also every run of white space becomes one space. */
export function cleanLine(text: string): string {
  return clean(text).replace(/\s+/g, " ").trim();
}

/**
 * A command or path somebody is asked to approve: nothing is dropped, since a hidden character may be the point of the
 * attack. Controls become their pictures (␛), direction characters their number (⟨U+202E⟩).
 */
export function reveal(text: string): string {
  return text
    .replace(BREAKS, "\n")
    .replace(CONTROLS, (c) => {
      const code = c.charCodeAt(0);
      if (code < 0x20) return String.fromCharCode(0x2400 + code);
      return code === 0x7f ? "\u2421" : named(c);
    })
    .replace(INVISIBLE, named);
}

function named(c: string): string {
  return `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
