// Finding a session on the screen.

/** The card, row, line or page header of a session. Compared as text: ids may hold any character. */
export function elementOf(id: string): HTMLElement | null {
  for (const element of document.querySelectorAll<HTMLElement>("[data-id]")) if (element.dataset["id"] === id) return element;
  return null;
}

/** Puts the focus on a session's name. */
export function focusSession(id: string): void {
  elementOf(id)?.querySelector<HTMLElement>("[data-open]")?.focus({ preventScroll: true });
}
