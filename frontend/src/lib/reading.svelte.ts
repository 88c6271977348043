// What a page reads beside the stream. It keeps the last good answer when a later one fails, and however often it is told
// that there is news, it asks no more often than `everyMs` and never twice at once.
import { toApiError, type ApiError } from "./client";

export class Reading<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  readonly #ask: () => Promise<T>;
  readonly #everyMs: number;
  #askedAt = -Infinity;
  #running = false;
  #again = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ask: () => Promise<T>, everyMs = 1_000) {
    this.#ask = ask;
    this.#everyMs = everyMs;
  }

  /** There may be news: reads now, or as soon as it may. */
  soon(): void {
    if (this.#stopped || this.#timer !== undefined) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    const wait = Math.max(0, this.#askedAt + this.#everyMs - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.now();
    }, wait);
  }

  async now(): Promise<void> {
    if (this.#stopped || this.#running) return;
    this.#running = true;
    this.#askedAt = Date.now();
    try {
      const value = await this.#ask();
      if (this.#stopped) return;
      this.value = value;
      this.error = null;
    } catch (error) {
      if (!this.#stopped) this.error = toApiError(error);
    } finally {
      this.#running = false;
      if (this.#again) {
        this.#again = false;
        this.soon();
      }
    }
  }

  /** The page is gone: what still arrives is not for it. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}
