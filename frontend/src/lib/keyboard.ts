// Keys of the whole window: finds the session under the focus and does what the table in keys.ts says.
import { tick } from "svelte";
import type { Actions } from "./actions.svelte";
import { HOUR } from "./format";
import { changesSession, commandFor, type Command } from "./keys";
import type { Overlays } from "./overlays.svelte";
import type { Router } from "./router.svelte";
import { treeKey, type Tree } from "./sections";
import type { Store } from "./store.svelte";
import type { SessionCard } from "./types";

/** The second key of a pair has to follow within this time. */
const PAIR_MS = 1_200;

export class Keyboard {
  readonly mac = /Mac|iPhone|iPad/.test(navigator.platform);
  readonly #store: Store;
  readonly #actions: Actions;
  readonly #overlays: Overlays;
  readonly #router: Router;
  #gAt = -Infinity;

  constructor(store: Store, actions: Actions, overlays: Overlays, router: Router) {
    this.#store = store;
    this.#actions = actions;
    this.#overlays = overlays;
    this.#router = router;
  }

  onkeydown(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing) return;
    const target = event.target;
    // A button is pressed once for as long as its key is down, as a key of ours is.
    if (event.repeat && event.key === "Enter" && target instanceof HTMLButtonElement) event.preventDefault();
    const command = commandFor(event, {
      typing: target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement,
      overlay: this.#overlays.any,
      selection: getSelection()?.isCollapsed === false,
      afterG: event.timeStamp - this.#gAt < PAIR_MS,
      mac: this.mac,
    });
    this.#gAt = command === "g" ? event.timeStamp : -Infinity;
    if (command === null || command === "g") return;
    // A key that is held walks on, and does nothing else twice: what E acts on next, nobody has seen yet.
    if (event.repeat && command.do !== "move") event.preventDefault();
    // Nor has anybody seen what the focus slipped to; it was pressed for the row that left.
    else if (changesSession(command) && !this.#actions.footing.isSettled) event.preventDefault();
    else if (this.#run(command)) event.preventDefault();
  }

  /** The session the focus is on, or the one whose page is open; on the row of a worktree that one, and a session that worked there. */
  #current(): { id: string; card: SessionCard; tree: Tree | null; element: HTMLElement } | null {
    const element = document.activeElement?.closest<HTMLElement>("[data-id]") ?? document.querySelector<HTMLElement>("header[data-id]");
    const key = element?.dataset["id"];
    if (element === null || key === undefined) return null;
    const tree = [...this.#store.shown.trees, ...this.#store.shown.resting].find((t) => treeKey(t) === key) ?? null;
    for (const id of tree?.ids ?? [key]) {
      const card = this.#overlays.card(id);
      if (card !== null) return { id, card, tree, element };
    }
    return null;
  }

  #run(command: Command): boolean {
    const at = this.#current();
    switch (command.do) {
      case "move":
        return this.#move(command.by);
      case "chip":
        if (this.#router.route.page !== "now") return false;
        this.#store.chooseChip(command.chip);
        return true;
      case "undo":
        void this.#actions.undo();
        return true;
      case "palette":
        this.#overlays.togglePalette(at?.id ?? null);
        return true;
      case "keys":
        this.#overlays.openKeys();
        return true;
      case "now":
        this.#router.go({ page: "now" });
        return true;
      case "services":
      case "runs":
      case "settings":
        this.#router.go({ page: command.do });
        return true;
      case "archive":
        this.#router.go({ page: "archive", query: "" });
        return true;
      case "search":
        this.#router.go({ page: "archive", query: "" });
        void tick().then(() => { this.#focusField(); });
        return true;
      case "filter":
        return this.#focusField();
      case "escape":
        return this.#escape();
      case "copy":
        if (at === null) return false;
        void this.#actions.copyResume(at.card);
        return true;
      case "goto":
        if (at === null) return false;
        void this.#actions.goTo(at.card);
        return true;
      case "rename":
        if (at === null) return false;
        this.#actions.startRename(at.id);
        return true;
      case "snooze":
        if (at === null) return false;
        if (at.tree?.calls.length === 0) return false;
        void (at.tree === null ? this.#actions.snooze(at.card, this.#store.clock.now() + HOUR) : this.#actions.treeSnoozed(at.tree, this.#store.clock.now() + HOUR));
        return true;
      case "handled":
        if (at === null) return false;
        if (at.tree?.calls.length === 0) return false;
        void (at.tree === null ? this.#actions.handled(at.card) : this.#actions.treeHandled(at.tree));
        return true;
      case "close":
        if (at === null) return false;
        void this.#actions.close(at.card);
        return true;
      case "why": {
        const anchor = at?.element.querySelector<HTMLElement>("[data-testid=state]");
        if (!at || !anchor) return false;
        this.#overlays.why(at.id, anchor);
        return true;
      }
      case "menu": {
        if (at === null) return false;
        const from = at.element.querySelector<HTMLElement>("[data-open]");
        const box = (from ?? at.element).getBoundingClientRect();
        this.#overlays.openMenu(at.id, box.left, box.bottom + 4, from, at.tree);
        return true;
      }
    }
  }

  #move(by: 1 | -1): boolean {
    const names = [...document.querySelectorAll<HTMLElement>("[data-scroll] [data-open]")];
    if (names.length === 0) return false;
    const here = document.activeElement?.closest("[data-id]")?.querySelector<HTMLElement>("[data-open]") ?? null;
    const at = here === null ? -1 : names.indexOf(here);
    const next = names[at < 0 ? (by === 1 ? 0 : names.length - 1) : Math.min(names.length - 1, Math.max(0, at + by))];
    // Told as a keyboard focus, so that the ring shows even after a click.
    next?.focus({ preventScroll: true, focusVisible: true } as FocusOptions);
    (next?.closest("[data-id]") ?? next)?.scrollIntoView({ block: "nearest" });
    return true;
  }

  #focusField(): boolean {
    const field = document.querySelector<HTMLInputElement>("[data-filter]");
    field?.focus();
    field?.select();
    return field !== null;
  }

  #escape(): boolean {
    const active = document.activeElement;
    if (active instanceof HTMLInputElement && active.matches("[data-filter]")) {
      if (this.#router.route.page === "now") this.#store.setFilter("");
      active.blur();
      return true;
    }
    if (this.#actions.toast !== null) {
      this.#actions.dismissToast();
      return true;
    }
    if (this.#router.route.page !== "now") {
      this.#router.back();
      return true;
    }
    return false;
  }
}
