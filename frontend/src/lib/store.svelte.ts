// Everything the screens show, and how it changes. Fed by the stream; read by components through context.
import { getContext, setContext } from "svelte";
import type { ApiError, Connection } from "./client";
import { cleanLine } from "./clean";
import type { Clock } from "./clock.svelte";
import { today } from "./format";
import { arrange, idOf, laneOf, nextTurn, projects, type Arrangement } from "./sections";
import { reuse, serviceKey } from "./services";
import { givesStates, news, troubles } from "./sources";
import type { Hidden, ImportProgress, Service, SessionCard, SourceView, StreamMessage, Worktree } from "./types";
import { calling, describe } from "./words";

export const CHIPS = ["all", "needs", "working", "background", "quiet", "uncommitted"] as const;
export type Chip = (typeof CHIPS)[number];

const CHIP_KEY = "lamplight.chip";
/** Above this many live sessions names take one line. */
const DENSE_ABOVE = 30;
/** How old the moment of the arrangement may get while messages come; a snooze that ends moves it by itself. */
const MOMENT_MS = 10_000;
/** How long the pointer has to rest before the list may move under it. */
const REST_MS = 2_000;

/** What the person chose last; what nobody could have chosen counts as no choice. */
function savedChip(): Chip {
  const saved = localStorage.getItem(CHIP_KEY);
  return CHIPS.find((chip) => chip === saved) ?? "needs";
}

/** What a message said of sessions. */
export interface Change {
  upserted: SessionCard[];
  removed: string[];
}

export class Store {
  readonly clock: Clock;

  /** Live sessions by id. Replaced, never mutated, so a card that did not change is not drawn again. */
  cards = $state.raw<ReadonlyMap<string, SessionCard>>(new Map());
  worktrees = $state.raw<Worktree[]>([]);
  services = $state.raw<Service[]>([]);
  sources = $state.raw<SourceView[]>([]);
  archived = $state(0);
  hidden = $state.raw<Hidden>({ zombie: 0, subagent: 0, title_thread: 0, spare: 0, muted: 0, services: 0 });
  importing = $state.raw<ImportProgress | null>(null);
  /** Whether a snapshot has arrived. */
  loaded = $state(false);
  /** When the last message of the engine arrived. */
  heardAt = $state(0);
  connection = $state<Connection>("reconnecting");
  connectionError = $state.raw<ApiError | null>(null);
  /** No tray shows the lamp, and its person has not read so. */
  trayMissing = $state(false);

  chip = $state<Chip>(savedChip());
  /** Whether muted sessions in which something is open are listed. */
  mutedOpen = $state(false);
  project = $state<string | null>(null);
  filter = $state("");
  /** Kept while a service's page is looked at. */
  serviceFilter = $state("");
  renaming = $state<string | null>(null);
  /** Said once by a screen reader. */
  announcement = $state("");

  #read = $state.raw<string[]>([]);
  #isTrayRead = false;
  #moment = $state(0);
  #frozen = $state.raw<Arrangement | null>(null);
  /** Hands on the list, each until it lets go. */
  readonly #holds = new Set<symbol>();
  readonly #pointer = Symbol("pointer");
  readonly #gone = new Map<string, SessionCard>();
  readonly #announced = new Set<string>();
  readonly #listeners = new Set<(change: Change) => void>();
  #rest: ReturnType<typeof setTimeout> | undefined;
  #turn: ReturnType<typeof setTimeout> | undefined;

  /** All sessions, whatever is filtered. */
  readonly whole: Arrangement = $derived(arrange(this.cards.values(), this.worktrees, this.#moment, { project: null, filter: "" }));
  readonly #narrowed: Arrangement = $derived(
    this.project === null && this.filter.trim() === ""
      ? this.whole
      : arrange(this.cards.values(), this.worktrees, this.#moment, { project: this.project, filter: this.filter }),
  );
  /** What the list shows: as it stands, or as it stood when the hand came. */
  readonly shown: Arrangement = $derived(this.#frozen ?? this.#narrowed);
  /** Sessions that need their person and wait for the hand to leave before they appear. */
  readonly arrivals: number = $derived.by(() => {
    if (this.#frozen === null) return 0;
    const there = new Set([...this.#frozen.blocked, ...this.#frozen.turn]);
    return [...this.#narrowed.blocked, ...this.#narrowed.turn].filter((id) => !there.has(id)).length;
  });
  readonly counts: Record<Chip, number> = $derived.by(() => {
    const a = this.#narrowed;
    const quiet = a.quiet.reduce((n, group) => n + group.ids.length, 0);
    const needs = a.blocked.length + a.turn.length;
    return {
      all: needs + a.working.length + a.background.length + quiet,
      needs,
      working: a.working.length,
      background: a.background.length,
      quiet,
      uncommitted: a.trees.length + a.resting.length,
    };
  });
  readonly needs: number = $derived(this.whole.blocked.length + this.whole.turn.length);
  readonly projects = $derived(projects(this.cards.values(), this.#moment));
  readonly dense: boolean = $derived(this.cards.size > DENSE_ABOVE);
  readonly failing: SourceView[] = $derived(troubles(this.sources));
  /** Something that states are read from fails: what is shown may not be all. */
  readonly blind: boolean = $derived(this.failing.some(givesStates));
  /** What was changed in the settings and waits for the next start, until it was read. */
  readonly news: string[] = $derived(news(this.sources).filter((text) => !this.#read.includes(text)));
  /** List price of the sessions active today, and how many of them have no known price. */
  readonly spent: { usd: number; unknown: number; sessions: number } = $derived.by(() => {
    const from = today(this.#moment);
    const sum = { usd: 0, unknown: 0, sessions: 0 };
    for (const card of this.cards.values()) {
      if ((card.last_activity_at_ms ?? 0) < from) continue;
      sum.sessions += 1;
      if (card.cost_usd === null) sum.unknown += 1;
      else sum.usd += card.cost_usd;
    }
    return sum;
  });

  constructor(clock: Clock) {
    this.clock = clock;
    this.#moment = clock.now();
  }

  /** A session by id; one that left while the list was held is still there, as it was last seen. */
  card(id: string): SessionCard | null {
    return this.cards.get(id) ?? this.#gone.get(id) ?? null;
  }

  /** The moment the arrangement was made for: states are worded for the same one. */
  get moment(): number {
    return this.#moment;
  }

  apply(message: StreamMessage): void {
    const now = this.clock.now();
    if (message.type === "snapshot") {
      const cards = new Map(message.sessions.map((card) => [idOf(card), card]));
      if (this.#frozen !== null) for (const [id, card] of this.cards) if (!cards.has(id)) this.#gone.set(id, card);
      this.cards = cards;
      this.worktrees = message.worktrees;
      this.#takeServices(message.services);
      this.sources = message.sources;
      this.archived = message.archived;
      this.hidden = message.hidden;
      this.importing = message.importing;
      if (!this.loaded) for (const card of message.sessions) this.#remember(card, now);
      this.loaded = true;
    } else {
      const cards = new Map(this.cards);
      for (const id of message.removed) {
        const card = cards.get(id);
        if (card && this.#frozen !== null) this.#gone.set(id, card);
        cards.delete(id);
      }
      for (const card of message.upserted) cards.set(idOf(card), card);
      this.cards = cards;
      this.worktrees = message.worktrees ?? this.worktrees;
      if (message.services !== null) this.#takeServices(message.services);
      this.sources = message.sources ?? this.sources;
      this.archived = message.archived ?? this.archived;
      this.hidden = message.hidden ?? this.hidden;
      this.importing = message.importing_done ? null : (message.importing ?? this.importing);
    }
    // Words and order depend on the time by the minute only; a moment per message would word every card again.
    if (Math.abs(now - this.#moment) >= MOMENT_MS) this.#moment = now;
    this.heardAt = now;
    const change = message.type === "snapshot" ? { upserted: message.sessions, removed: [] } : { upserted: message.upserted, removed: message.removed };
    for (const listener of this.#listeners) listener(change);
    this.#announceNew(message.type === "snapshot" ? message.sessions : message.upserted, now);
    this.#sleepUntilNextTurn();
  }

  /** Tells of every message, one by one: pages that show more than the status decide by it whether to read again. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => { this.#listeners.delete(listener); };
  }

  setConnection(state: Connection, error?: ApiError): void {
    this.connection = state;
    this.connectionError = state === "live" ? null : (error ?? null);
  }

  /** Puts a new name in place before the stream tells it. */
  relabel(card: SessionCard): void {
    const known = this.cards.get(idOf(card));
    if (!known) return;
    this.cards = new Map(this.cards).set(idOf(card), {
      ...known,
      label: card.label,
      label_source: card.label_source,
      label_default: card.label_default,
    });
  }

  chooseChip(chip: Chip): void {
    this.chip = chip;
    localStorage.setItem(CHIP_KEY, chip);
    this.release();
  }

  /** The news was read: it is not shown again until it is another one. */
  readNews(): void {
    this.#read = [...this.#read, ...this.news];
  }

  /** A tray took the lamp, or none is there: that is said once for as long as it is so. */
  setTray(isThere: boolean): void {
    if (isThere) this.#isTrayRead = false;
    this.trayMissing = !isThere && !this.#isTrayRead;
  }

  readTray(): void {
    this.#isTrayRead = true;
    this.trayMissing = false;
  }

  openMuted(open: boolean): void {
    this.mutedOpen = open;
    this.release();
  }

  chooseProject(project: string | null): void {
    this.project = this.project === project ? null : project;
    this.release();
  }

  setFilter(text: string): void {
    this.filter = text;
    this.release();
  }

  /**
   * Nothing is reordered from here on, until every hold is gone. Contents go on being true. The returned function lets go:
   * what needs a list that stands still holds it from its mount to its end, so that no hold outlives it.
   */
  hold(): () => void {
    const hand = Symbol("hand");
    this.#grip(hand);
    return () => {
      this.#holds.delete(hand);
      // What it leads to, as a menu does to a field, holds the list by then.
      queueMicrotask(() => { this.#letGo(hand); });
    };
  }

  /** The person did something to the list: it may move at once. */
  release(): void {
    clearTimeout(this.#rest);
    this.#letGo(this.#pointer);
  }

  /** The person asked to see what arrived: the list moves, whoever holds it. */
  showArrivals(): void {
    clearTimeout(this.#rest);
    this.#holds.clear();
    this.#thaw();
  }

  /** The pointer aims at something in the list; a pointer that rests does not hold it for ever. */
  pointerMoved(): void {
    this.#grip(this.#pointer);
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => { this.#letGo(this.#pointer); }, REST_MS);
  }

  pointerLeft(): void {
    this.release();
  }

  /** Lets time pass: a snooze may have ended, a day begun. */
  retime(): void {
    this.#moment = this.clock.now();
    this.#announceNew([...this.cards.values()], this.#moment);
    this.#sleepUntilNextTurn();
  }

  dispose(): void {
    clearTimeout(this.#rest);
    clearTimeout(this.#turn);
  }

  /** One that was heard of and fell silent is said once; those that were silent before are not news. */
  #takeServices(services: Service[]): void {
    const before = new Map(this.services.map((s) => [serviceKey(s), s.state]));
    const fell = services.filter((s) => s.state === "quiet" && before.get(serviceKey(s)) === "live");
    if (fell.length > 0) this.announcement = `${fell.map((s) => cleanLine(s.name)).join(", ")} went quiet. It may be an outage`;
    this.services = reuse(this.services, services);
  }

  #grip(hand: symbol): void {
    this.#holds.add(hand);
    this.#frozen ??= this.#narrowed;
  }

  #letGo(hand: symbol): void {
    this.#holds.delete(hand);
    if (this.#holds.size === 0) this.#thaw();
  }

  #thaw(): void {
    this.#frozen = null;
    this.#gone.clear();
  }

  #remember(card: SessionCard, now: number): boolean {
    const cause = calling(card, now);
    if (cause?.tier !== 1 || this.#announced.has(cause.cause_id)) return false;
    this.#announced.add(cause.cause_id);
    return true;
  }

  #announceNew(cards: SessionCard[], now: number): void {
    const fresh = cards.filter((card) => laneOf(card, now) === "blocked" && this.#remember(card, now));
    if (fresh.length === 0) return;
    this.announcement = fresh.map((card) => `${cleanLine(card.label)}: ${describe(card, now).words}`).join(". ");
  }

  #sleepUntilNextTurn(): void {
    clearTimeout(this.#turn);
    const now = this.clock.now();
    const next = nextTurn({ sessions: [...this.cards.values()] }, now);
    // Longer sleeps than a day overflow the timer; the next message or the clock comes earlier anyway.
    if (next !== null) this.#turn = setTimeout(() => { this.retime(); }, Math.min(next - now + 5, 86_400_000));
  }
}

const KEY = Symbol("store");

export function provideStore(store: Store): void {
  setContext(KEY, store);
}

export function useStore(): Store {
  return getContext<Store>(KEY);
}
