// Runs as they are listed, page by page. Kept while one of them is looked at; whether there are any decides on its entry.
import { getContext, setContext } from "svelte";
import { toApiError, type ApiError, type Client } from "./client";
import type { Change } from "./store.svelte";
import type { RunSummary } from "./types";

const PAGE = 100;
/** Members of a busy run change many times a second; the list is read at most this often. */
const REREAD_MS = 2_000;

export class Runs {
  runs = $state.raw<RunSummary[]>([]);
  /** All there are, `null` before the first answer. */
  total = $state<number | null>(null);
  error = $state.raw<ApiError | null>(null);
  readonly #client: Client;
  #next: string | null = null;
  /** More than the first page was read. */
  #paged = false;
  #loading = false;
  #again = false;
  #askedAt = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  /** A session changed: its run did too, and it may be the first one. */
  onChange(change: Change): void {
    if (this.total === null || change.upserted.some((card) => card.run_id !== null)) this.soon();
  }

  soon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#load(false);
    }, Math.max(0, this.#askedAt + REREAD_MS - Date.now()));
  }

  more(): void {
    if (this.#next !== null && this.error === null) void this.#load(true);
  }

  retry(): void {
    void this.#load(false);
  }

  dispose(): void {
    clearTimeout(this.#timer);
  }

  async #load(more: boolean): Promise<void> {
    if (this.#loading) {
      this.#again ||= !more;
      return;
    }
    this.#loading = true;
    this.#askedAt = Date.now();
    const before = more ? this.#next : null;
    try {
      const page = await this.#client.runs({ limit: PAGE, ...(before === null ? {} : { before }) });
      const read = new Set(page.runs.map((r) => r.run_id));
      const others = this.runs.filter((r) => !read.has(r.run_id));
      // The order is by last activity: what changed stands in the first page, and what was paged in before it stays.
      if (more) this.runs = [...others, ...page.runs];
      else this.runs = page.next === null ? page.runs : [...page.runs, ...others];
      if (more || !this.#paged || page.next === null) this.#next = page.next;
      this.#paged = page.next !== null && (this.#paged || more);
      this.total = page.total;
      this.error = null;
    } catch (error) {
      this.error = toApiError(error);
    } finally {
      this.#loading = false;
      if (this.#again) {
        this.#again = false;
        this.soon();
      }
    }
  }
}

const KEY = Symbol("runs");

export function provideRuns(runs: Runs): void {
  setContext(KEY, runs);
}

export function useRuns(): Runs {
  return getContext<Runs>(KEY);
}
