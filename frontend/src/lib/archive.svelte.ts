// Past sessions: a search and its pages. Kept while other pages are looked at, so that back is where one was.
import { getContext, setContext } from "svelte";
import { toApiError, type ApiError, type Client } from "./client";
import { day, isMoment } from "./format";
import { idOf } from "./sections";
import type { SessionCard, SessionPage } from "./types";

const PAGE = 100;
/** While typing: a search per pause, not per key. */
const TYPING_MS = 120;
/** Pages read in one go: a thousand sessions and more, whatever stands on the screen. */
const PAGES_MOST = 20;

/**
 * Reads on, page by page, until what was found `isEnough`. The host tells of all sessions, the last activity first: whole pages
 * may hold nothing but what is on the screen.
 */
export async function readOn(client: Client, ask: { limit: number; before?: string; query?: string }, isEnough: (found: SessionCard[]) => boolean): Promise<SessionPage> {
  let page = await client.sessions(ask);
  let found = page.sessions;
  for (let n = 1; n < PAGES_MOST && page.next !== null && !isEnough(found); n += 1) {
    page = await client.sessions({ ...ask, before: page.next });
    found = [...found, ...page.sessions];
  }
  return { ...page, sessions: found };
}

export class Archive {
  query = $state("");
  cards = $state.raw<SessionCard[]>([]);
  total = $state<number | null>(null);
  loading = $state(false);
  error = $state.raw<ApiError | null>(null);
  readonly #client: Client;
  readonly #isListed: (id: string) => boolean;
  #next: string | null = null;
  #asked: string | null = null;
  #stamp = -1;
  #generation = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `isListed` tells which sessions stand in the list: they are past only where somebody searches. */
  constructor(client: Client, isListed: (id: string) => boolean) {
    this.#client = client;
    this.#isListed = isListed;
  }

  /** Shows the answer to a query. The same one is asked again only when the archive has changed since, told by `stamp`. */
  show(query: string, stamp: number): void {
    this.query = query;
    if (this.#asked === query && this.error === null && this.#stamp === stamp) return;
    this.#stamp = stamp;
    void this.#load(query, true);
  }

  /** As `show`, once the typing pauses. */
  type(query: string, stamp: number): void {
    this.query = query;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { this.show(query, stamp); }, TYPING_MS);
  }

  /** A session got a new name, or was taken out, while it was listed. */
  change(card: SessionCard): void {
    this.cards = this.cards.map((c) => asChanged(c, card));
  }

  /** A session was forgotten while it was listed. */
  remove(id: string): void {
    const left = this.cards.filter((c) => idOf(c) !== id);
    if (left.length === this.cards.length) return;
    this.cards = left;
    this.total = this.total === null ? null : this.total - 1;
  }

  /** Asks again, after a failure. */
  retry(): void {
    void this.#load(this.query, true);
  }

  more(): void {
    if (this.loading || this.#next === null || this.error !== null) return;
    void this.#load(this.#asked ?? "", false);
  }

  async #load(query: string, first: boolean): Promise<void> {
    clearTimeout(this.#timer);
    this.#generation += 1;
    const mine = this.#generation;
    this.#asked = query;
    this.loading = true;
    this.error = null;
    const before = first ? null : this.#next;
    const words = query.trim();
    try {
      const ask = { limit: PAGE, ...(before === null ? {} : { before }), ...(words === "" ? {} : { query: words }) };
      const page = await readOn(this.#client, ask, (found) => mine !== this.#generation || words !== "" || found.some((c) => !this.#isListed(idOf(c))));
      if (mine !== this.#generation) return;
      const known = first ? [] : this.cards;
      const ids = new Set(known.map(idOf));
      this.cards = [...known, ...page.sessions.filter((c) => !ids.has(idOf(c)))];
      this.total = page.total;
      this.#next = page.next;
    } catch (error) {
      if (mine !== this.#generation) return;
      this.error = toApiError(error);
      if (first) this.cards = [];
    } finally {
      if (mine === this.#generation) this.loading = false;
    }
  }
}

/** A card with what a person can change of a past session, if `changed` is the same one. */
export function asChanged(card: SessionCard, changed: SessionCard): SessionCard {
  if (idOf(card) !== idOf(changed)) return card;
  return { ...card, label: changed.label, label_source: changed.label_source, label_default: changed.label_default, archived_at_ms: changed.archived_at_ms };
}

export type ArchiveRow = { kind: "day"; key: string; text: string } | { kind: "hit"; key: string; card: SessionCard };

/** Sessions under the day of their last activity, in the order given. */
export function byDay(cards: SessionCard[], now: number): ArchiveRow[] {
  const rows: ArchiveRow[] = [];
  let last: string | null = null;
  for (const card of cards) {
    const text = card.last_activity_at_ms === null || !isMoment(card.last_activity_at_ms) ? "Time not known" : day(card.last_activity_at_ms, now);
    if (text !== last) rows.push({ kind: "day", key: `day ${text} ${String(rows.length)}`, text });
    last = text;
    rows.push({ kind: "hit", key: idOf(card), card });
  }
  return rows;
}

const KEY = Symbol("archive");

export function provideArchive(archive: Archive): void {
  setContext(KEY, archive);
}

export function useArchive(): Archive {
  return getContext<Archive>(KEY);
}
