// Where a search was found in a text, as pieces for text nodes.
export interface Piece {
  text: string;
  hit: boolean;
}

/** Splits a text at every word of the query, without regard to case. */
export function pieces(text: string, query: string): Piece[] {
  const words = query.split(/\s+/).filter((w) => w !== "");
  if (words.length === 0) return [{ text, hit: false }];
  const pattern = new RegExp(`(${words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "giu");
  return text
    .split(pattern)
    .map((part, n) => ({ text: part, hit: n % 2 === 1 }))
    .filter((piece) => piece.text !== "");
}
