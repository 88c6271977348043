// Keeps the keyboard's place in a list whose rows come, go and move: the webview drops the focus with the row that had it.

/** How long the keys that change a session rest once another one got the focus by itself: time to see it, and to stop the hand. */
export const SETTLE_MS = 600;
/** How long after its answer what a person did may still take a row away: the stream tells of it apart. */
const OWN_MS = 2_000;

/**
 * Whether the person knows what is under the focus. Who is about to press a key while the row leaves by itself means that row,
 * not its neighbour; who took the row away goes on with the next one, and waits for nothing.
 */
export class Footing {
  /** Rows that the person does something to, each until when its leaving is their doing. */
  readonly #own = new Map<string, number>();
  #settledAt = -Infinity;

  /** False for a moment after the focus slipped: keys that change a session do nothing then. */
  get isSettled(): boolean {
    return performance.now() >= this.#settledAt;
  }

  /** Does what the person asked for; a row of these that leaves by it leaves by their hand. */
  async during<T>(rows: string[], act: () => Promise<T>): Promise<T> {
    for (const row of rows) this.#own.set(row, Infinity);
    try {
      return await act();
    } finally {
      const until = performance.now() + OWN_MS;
      for (const row of rows) this.#own.set(row, until);
    }
  }

  /** The row left, and another one got the focus. */
  slipped(row: string): void {
    const now = performance.now();
    if (now > (this.#own.get(row) ?? -Infinity)) this.#settledAt = now + SETTLE_MS;
  }
}

/** Where the focus was: the name of its row, and of all rows in their order. */
interface Place {
  row: HTMLElement;
  key: string;
  order: string[];
}

function keyOf(row: HTMLElement): string {
  return row.dataset["id"] ?? "";
}

/** Rows that stay: one that fades out is inert. */
function rowsOf(list: HTMLElement): HTMLElement[] {
  return [...list.querySelectorAll<HTMLElement>("[data-id]")].filter((row) => row.closest("[inert]") === null);
}

/**
 * Attached to a list: where a row leaves with the focus, the same session gets it wherever it is listed then, else the row
 * after it, else the one before, and `footing` hears of it. Nothing happens when the person took the focus away.
 */
export function keepFocus(list: HTMLElement, footing: Footing): () => void {
  let place: Place | null = null;

  function note(): void {
    const active = document.activeElement;
    const row = active?.closest<HTMLElement>("[data-id]") ?? null;
    if (row !== null && list.contains(row)) place = { row, key: keyOf(row), order: rowsOf(list).map(keyOf) };
    // A menu or dialog gives the focus back; the rest of the window does not.
    else if (active?.closest(".app") != null) place = null;
  }

  function onpointerdown(event: PointerEvent): void {
    if (!(event.target instanceof Node) || place?.row.contains(event.target) !== true) place = null;
  }

  function onchange(): void {
    const active = document.activeElement;
    if (active !== null && active !== document.body && active.closest("[inert]") === null) {
      note();
      return;
    }
    if (place === null) return;
    const { key, order } = place;
    const at = order.indexOf(key);
    const rows = new Map(rowsOf(list).map((row) => [keyOf(row), row]));
    for (const wanted of [key, ...order.slice(at + 1), ...order.slice(0, Math.max(0, at)).reverse()]) {
      const name = rows.get(wanted)?.querySelector<HTMLElement>("[data-open]") ?? null;
      if (name === null) continue;
      name.focus({ preventScroll: true });
      if (wanted !== key) footing.slipped(key);
      return;
    }
  }

  const changes = new MutationObserver(onchange);
  changes.observe(list, { childList: true, subtree: true, attributeFilter: ["inert"] });
  document.addEventListener("focusin", note);
  document.addEventListener("pointerdown", onpointerdown, true);
  return () => {
    changes.disconnect();
    document.removeEventListener("focusin", note);
    document.removeEventListener("pointerdown", onpointerdown, true);
  };
}
