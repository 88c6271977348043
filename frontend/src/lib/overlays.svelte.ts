// What lies over the page, one of each at a time: the menu of a session, why a state is so, sources, the palette.
import { getContext, setContext } from "svelte";
import type { Tree } from "./sections";
import type { Store } from "./store.svelte";
import type { Attention, SessionCard } from "./types";

export interface MenuAt {
  id: string;
  /** The worktree on whose row it was opened: what calls is its work then, not what else the session asks for. */
  tree: Tree | null;
  x: number;
  y: number;
  /** Gets the focus back. */
  from: HTMLElement | null;
}

export class Overlays {
  menu = $state.raw<MenuAt | null>(null);
  /** The snooze menu of one cause. */
  snooze = $state.raw<{ cause: Attention; anchor: HTMLElement } | null>(null);
  evidence = $state.raw<{ id: string; anchor: HTMLElement } | null>(null);
  /** The element the sources panel stands at. */
  sources = $state.raw<HTMLElement | null>(null);
  palette = $state(false);
  /** The list of keys is open; gives the focus back to this element. */
  keys = $state.raw<{ from: HTMLElement | null } | null>(null);
  /** The session that is to be forgotten, once that is confirmed. */
  forgetting = $state.raw<SessionCard | null>(null);
  /** The session that had the focus when the palette was opened. */
  chosen = $state<string | null>(null);
  /** Had the focus before the palette. */
  #before: HTMLElement | null = null;
  readonly #drawn = new Map<string, SessionCard>();
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Whether keys belong to something else than the page. */
  get any(): boolean {
    return this.menu !== null || this.snooze !== null || this.evidence !== null || this.sources !== null || this.palette || this.keys !== null || this.forgetting !== null;
  }

  /** A session is drawn somewhere: past ones are known by this alone. The returned function forgets it. */
  draw(id: string, card: SessionCard): () => void {
    this.#drawn.set(id, card);
    return () => {
      if (this.#drawn.get(id) === card) this.#drawn.delete(id);
    };
  }

  /** A session on the screen, live or past. */
  card(id: string): SessionCard | null {
    return this.#store.card(id) ?? this.#drawn.get(id) ?? null;
  }

  openMenu(id: string, x: number, y: number, from: HTMLElement | null, tree: Tree | null = null): void {
    this.closeWhy();
    this.menu = { id, tree, x, y, from };
  }

  closeMenu(): void {
    this.menu = null;
  }

  openSnooze(cause: Attention, anchor: HTMLElement): void {
    this.closeWhy();
    this.snooze = { cause, anchor };
  }

  closeSnooze(): void {
    this.snooze = null;
  }

  why(id: string, anchor: HTMLElement): void {
    this.evidence = { id, anchor };
  }

  /** Opens the palette, or closes it; `chosen` is the session the focus was on. */
  togglePalette(chosen: string | null): void {
    if (!this.palette) {
      this.chosen = chosen;
      this.#before = focused();
    }
    this.palette = !this.palette;
  }

  /** The list of keys. Asked for from the palette, it gives the focus back to where that one had it from. */
  openKeys(): void {
    this.keys = { from: this.palette ? this.#before : focused() };
    this.palette = false;
  }

  closeWhy(): void {
    this.evidence = null;
  }
}

function focused(): HTMLElement | null {
  const active = document.activeElement;
  return active instanceof HTMLElement && active !== document.body ? active : null;
}

const KEY = Symbol("overlays");

export function provideOverlays(overlays: Overlays): void {
  setContext(KEY, overlays);
}

export function useOverlays(): Overlays {
  return getContext<Overlays>(KEY);
}
