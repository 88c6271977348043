// Whether a message of the stream may be applied. Both hosts use it, so a gap means the same everywhere.
import type { StreamMessage } from "./types";

export type Verdict = "apply" | "repeat" | "gap";

/** Remembers the engine and revision that were applied last. */
export class Feed {
  #engine: string | null = null;
  #revision = -1;

  /** A snapshot always applies; a change only on top of exactly the revision it starts from. */
  judge(message: StreamMessage): Verdict {
    if (message.type === "snapshot") {
      this.#engine = message.engine_id;
      this.#revision = message.revision;
      return "apply";
    }
    if (message.engine_id !== this.#engine || message.since > this.#revision) return "gap";
    if (message.revision <= this.#revision) return "repeat";
    if (message.since !== this.#revision) return "gap";
    this.#revision = message.revision;
    return "apply";
  }

  /** Forgets: the next message has to be a snapshot. */
  reset(): void {
    this.#engine = null;
    this.#revision = -1;
  }
}
