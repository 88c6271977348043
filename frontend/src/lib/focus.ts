// Keeps the keyboard's place in a list whose rows come, go and move: the webview drops the focus with the row that had it.

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
 * after it, else the one before. Nothing happens when the person took the focus away.
 */
export function keepFocus(list: HTMLElement): () => void {
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
