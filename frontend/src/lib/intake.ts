// Messages on their way to the screen: the first at once, then at most one drawing per `GAP_MS`, however many arrive.
// Fifty sessions at work change more often than anybody can read; nothing is lost, it is only drawn together.

const GAP_MS = 50;

export class Intake<T> {
  readonly #apply: (item: T) => void;
  #waiting: T[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(apply: (item: T) => void) {
    this.#apply = apply;
  }

  push(item: T): void {
    if (this.#timer !== undefined) {
      this.#waiting.push(item);
      return;
    }
    this.#apply(item);
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
  }

  #arm(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#waiting.length === 0) return;
      const items = this.#waiting;
      this.#waiting = [];
      // In one go: what depends on them is worked out once.
      for (const item of items) this.#apply(item);
      this.#arm();
    }, GAP_MS);
  }
}
