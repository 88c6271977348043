// Server-sent events out of a byte stream, by the letter of the format: any split of the bytes gives the same events.

export interface ServerEvent {
  event: string;
  data: string;
  id: string;
}

/** Feeds text in pieces, hands out whole events. */
export class EventStreamParser {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id = "";
  /** Milliseconds the server asks to wait before a new attempt. */
  retry: number | null = null;

  push(chunk: string): ServerEvent[] {
    const text = this.#rest + chunk;
    const out: ServerEvent[] = [];
    let start = 0;
    for (;;) {
      const lf = text.indexOf("\n", start);
      const cr = text.indexOf("\r", start);
      const end = lf < 0 ? cr : cr < 0 ? lf : Math.min(lf, cr);
      if (end < 0) break;
      // A carriage return at the very end may be half of a pair: wait for the other half.
      if (text[end] === "\r" && end + 1 === text.length) break;
      this.#line(text.slice(start, end), out);
      start = end + (text[end] === "\r" && text[end + 1] === "\n" ? 2 : 1);
    }
    this.#rest = text.slice(start);
    return out;
  }

  #line(line: string, out: ServerEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) out.push({ event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n"), id: this.#id });
      this.#event = "";
      this.#data = [];
      return;
    }
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }
}
