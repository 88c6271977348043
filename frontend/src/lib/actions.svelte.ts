// What a person does to a session: each action asks the host, says what happened, and can be undone where the engine can.
import { getContext, setContext } from "svelte";
import { toApiError, type CauseAction, type Client } from "./client";
import { cleanLine } from "./clean";
import { elementOf } from "./dom";
import { Footing } from "./focus";
import { DAY, MINUTE, upcoming, wait } from "./format";
import type { Router } from "./router.svelte";
import { idOf, treeKey, type Tree } from "./sections";
import type { Store } from "./store.svelte";
import type { Attention, SessionCard } from "./types";
import { calling, causeLook, openCauses, snoozed, terminalWords } from "./words";

export interface Toast {
  id: number;
  tone: "done" | "error";
  text: string;
  /** The exact bytes that were copied. */
  command: string | null;
  /** Takes back what it tells of; `null` where nothing does. */
  undo: Undo | null;
}

/** One step back. */
export interface Undo {
  /** What is said once it is taken back; where nothing takes it back, that. */
  text: string;
  run: (() => Promise<unknown>) | null;
}

/** Undo steps kept: more than anybody remembers. */
const UNDO_KEPT = 20;
/** Said once a step was taken back that has no words of its own. */
const UNDONE = "Undone";
/** A resume older than this is worth a warning. */
const OLD_MS = DAY;
/** Longest name the engine keeps. */
export const LABEL_MAX = 120;

export class Actions {
  toast = $state.raw<Toast | null>(null);
  /** The last session that was changed here, as it is now: pages with a copy of a past session put it in. */
  changed = $state.raw<SessionCard | null>(null);
  /** The last session that was forgotten: pages with a copy of it take it out. */
  forgotten = $state.raw<string | null>(null);
  readonly client: Client;
  readonly footing = new Footing();
  readonly #store: Store;
  readonly #router: Router;
  readonly #undo: Undo[] = [];
  #toasts = 0;

  constructor(client: Client, store: Store, router: Router) {
    this.client = client;
    this.#store = store;
    this.#router = router;
  }

  open(id: string): void {
    this.#router.go({ page: "session", id });
  }

  openService(service: { name: string; namespace: string | null }): void {
    this.#router.go({ page: "service", name: service.name, namespace: service.namespace });
  }

  openTrace(id: string): void {
    this.#router.go({ page: "trace", id });
  }

  openRun(id: string): void {
    this.#router.go({ page: "run", id });
  }

  openSetup(): void {
    this.#router.go({ page: "setup" });
  }

  /** Copies something that is no command; `said` is the sentence, `shown` whether the text stands under it. */
  async copy(text: string, said: string, shown = true): Promise<void> {
    await this.#attempt(async () => {
      await this.client.copyText(text);
      this.say("done", said, shown ? text : null);
    });
  }

  async copyResume(card: SessionCard): Promise<void> {
    if (card.resume.command === null) {
      this.say("error", card.resume.reason === null ? "This session cannot be resumed." : `This session cannot be resumed: ${cleanLine(card.resume.reason)}`);
      return;
    }
    await this.#attempt(async () => {
      const { command } = await this.client.copyResume(idOf(card));
      this.say("done", this.#copied(card), command);
    });
  }

  async copyId(card: SessionCard): Promise<void> {
    await this.copy(card.session_id, "Session id copied");
  }

  async rename(card: SessionCard, typed: string): Promise<void> {
    const label = cleanLine(typed).slice(0, LABEL_MAX).trim();
    const wanted = label === "" ? null : label;
    const id = idOf(card);
    this.cancelRename(id);
    if (wanted === card.label || (wanted === null && card.label_source !== "rename")) return;
    const before = card.label_source === "rename" ? card.label : null;
    await this.#attempt(async () => {
      this.#relabel(await this.client.setLabel(id, wanted));
      const name = cleanLine(wanted ?? card.label_default);
      this.#done([], `Renamed to “${name}”`, `Name of “${name}” put back`, async () => {
        this.#relabel(await this.client.setLabel(id, before));
      });
    });
  }

  /** Puts the field where the name is; one that stands nowhere here, as of a session that is only named by its worktree, is on its page. */
  startRename(id: string): void {
    this.#store.renaming = id;
    if (elementOf(id) === null) this.open(id);
  }

  cancelRename(id: string): void {
    if (this.#store.renaming === id) this.#store.renaming = null;
  }

  async snooze(card: SessionCard, until: number): Promise<void> {
    const cause = calling(card, this.#store.clock.now());
    if (cause !== null) await this.snoozeCause(cause, until);
  }

  async snoozeUntilChange(card: SessionCard): Promise<void> {
    const cause = calling(card, this.#store.clock.now());
    if (cause !== null) await this.snoozeCauseUntilChange(cause);
  }

  async snoozeCause(cause: Attention, until: number): Promise<void> {
    await this.#onCause(cause, { type: "snooze", until_ms: until }, `${this.#nameOf(cause)} snoozed until ${upcoming(until, this.#store.clock.now())}`);
  }

  async snoozeCauseUntilChange(cause: Attention): Promise<void> {
    await this.#onCause(cause, { type: "snooze_until_change" }, `${this.#nameOf(cause)} snoozed until something happens in it`);
  }

  /** What a toast calls it: by its session, and by the reason itself where another one calls. */
  #nameOf(cause: Attention): string {
    const card = this.#ownerOf(cause);
    if (card === undefined) return causeLook(cause.cause).words;
    const name = `“${cleanLine(card.label)}”`;
    const first = calling(card, this.#store.clock.now());
    return first === null || first.cause_id === cause.cause_id ? name : `${causeLook(cause.cause).words} of ${name}`;
  }

  #ownerOf(cause: Attention): SessionCard | undefined {
    return [...this.#store.cards.values()].find((c) => openCauses(c).some((k) => k.cause_id === cause.cause_id));
  }

  /** Waves away one reason of a session, whatever else is open in it. */
  async causeHandled(card: SessionCard, cause: Attention): Promise<void> {
    await this.#onCause(cause, { type: "dismiss" }, `${causeLook(cause.cause).words} of “${cleanLine(card.label)}” marked as handled`);
  }

  async wakeCause(cause: Attention): Promise<void> {
    await this.#onCauses([cause], { type: "restore" }, `Snooze of ${this.#nameOf(cause)} ended`);
  }

  /** Silences a session, or lets it call again. */
  async mute(card: SessionCard, muted: boolean): Promise<void> {
    const name = cleanLine(card.label);
    const rows = [idOf(card)];
    await this.#change(rows, async () => {
      await this.client.setMuted(idOf(card), muted);
      this.#store.release();
      this.#done(rows, muted ? `“${name}” is muted` : `“${name}” calls again`, muted ? `“${name}” calls again` : `“${name}” is muted again`, () => this.client.setMuted(idOf(card), !muted));
    });
  }

  /** Silences a whole project, or lets it call again. The settings file is read first: it may have been edited by hand. */
  async muteProject(project: string, muted: boolean): Promise<void> {
    const name = cleanLine(project);
    const rows = [...this.#store.cards.values()].filter((c) => c.project === project).map(idOf);
    await this.#change(rows, async () => {
      await this.#setProjectMuted(project, muted);
      this.#store.release();
      this.#done(rows, muted ? `Project “${name}” is muted` : `Project “${name}” calls again`, muted ? `Project “${name}” calls again` : `Project “${name}” is muted again`, () => this.#setProjectMuted(project, !muted));
    });
  }

  async #setProjectMuted(project: string, muted: boolean): Promise<void> {
    const { notify } = await this.client.settings();
    const others = notify.muted_projects.filter((p) => p !== project);
    await this.client.setSettings({ "notify.muted_projects": muted ? [...others, project] : others });
  }

  /** Brings its terminal to the front; says why when that cannot be done. */
  async goTo(card: SessionCard): Promise<void> {
    const { terminal } = card;
    if (terminal === null) {
      this.say("error", `Where “${cleanLine(card.label)}” runs is not known. Its resume command leads back to it.`);
    } else if (!terminal.can_focus) {
      this.say("error", `“${cleanLine(card.label)}” runs in ${terminalWords(terminal)}, which cannot be brought to the front from here.`);
    } else {
      await this.#attempt(async () => {
        await this.client.focus(idOf(card));
        this.say("done", `Went to ${terminalWords(terminal)}`);
      });
    }
  }

  async handled(card: SessionCard): Promise<void> {
    const cause = calling(card, this.#store.clock.now());
    if (cause === null) return;
    await this.#onCause(cause, { type: "dismiss" }, `“${cleanLine(card.label)}” marked as handled`);
  }

  async wake(card: SessionCard): Promise<void> {
    const cause = snoozed(card, this.#store.clock.now());
    if (cause !== null) await this.wakeCause(cause);
  }

  /** Waves away the work that was left in a worktree, whatever else its sessions ask for. */
  async treeHandled(tree: Tree): Promise<void> {
    const name = cleanLine(tree.name);
    await this.#onCauses(tree.calls, { type: "dismiss" }, `“${name}” marked as handled`, `“${name}” is back`, tree);
  }

  async treeSnoozed(tree: Tree, until: number): Promise<void> {
    await this.#onCauses(tree.calls, { type: "snooze", until_ms: until }, `“${cleanLine(tree.name)}” snoozed until ${upcoming(until, this.#store.clock.now())}`, UNDONE, tree);
  }

  async treeSnoozedUntilChange(tree: Tree): Promise<void> {
    await this.#onCauses(tree.calls, { type: "snooze_until_change" }, `“${cleanLine(tree.name)}” snoozed until something happens in it`, UNDONE, tree);
  }

  async treeWoken(tree: Tree): Promise<void> {
    await this.#onCauses(tree.putOff, { type: "restore" }, `Snooze of “${cleanLine(tree.name)}” ended`, UNDONE, tree);
  }

  /** Puts a session away until something happens in it. */
  async archive(card: SessionCard): Promise<void> {
    const name = cleanLine(card.label);
    const rows = [idOf(card)];
    await this.#change(rows, async () => {
      await this.client.archive(idOf(card));
      this.#store.release();
      this.#done(rows, `“${name}” archived. It comes back by itself when it goes on.`, `“${name}” is back`, () => this.client.unarchive(idOf(card)));
    });
  }

  async unarchive(card: SessionCard): Promise<void> {
    const name = cleanLine(card.label);
    const rows = [idOf(card)];
    await this.#change(rows, async () => {
      this.changed = await this.client.unarchive(idOf(card));
      this.#store.release();
      // One that was quiet for long stays among the past ones until it goes on.
      this.#done(rows, `“${name}” is no longer put away`, `“${name}” archived again`, async () => {
        this.changed = await this.client.archive(idOf(card));
      });
    });
  }

  /** Forgets a session for good. */
  async forget(card: SessionCard): Promise<void> {
    const name = cleanLine(card.label);
    await this.#change([idOf(card)], async () => {
      const gone = await this.client.forget({ id: idOf(card) }, false);
      if (gone.total === 0) throw new Error(`“${name}” runs: end it first. Nothing was forgotten.`);
      this.#store.release();
      this.forgotten = idOf(card);
      const { route } = this.#router;
      if (route.page === "session" && route.id === idOf(card)) this.#router.go({ page: "now" });
      this.#final(`“${name}” is forgotten. Its transcript stays where the agent keeps it.`, `“${name}” is forgotten for good: nothing brings it back.`);
    });
  }

  /** Puts what can be sent about a wrong state on the clipboard. */
  async copyReport(card: SessionCard): Promise<void> {
    await this.#attempt(async () => {
      const { text } = await this.client.report(idOf(card));
      await this.client.copyText(text);
      this.say("done", "Bug report copied: versions, sources, states and ages. No name, path, prompt or answer is in it.");
    });
  }

  /** Closes a session. What a process runs cannot be shown as closed: there it waves away what it asks for. */
  async close(card: SessionCard): Promise<void> {
    const name = cleanLine(card.label);
    const asked = openCauses(card);
    const rows = [idOf(card)];
    await this.#change(rows, async () => {
      await this.client.closeSession(idOf(card));
      this.#store.release();
      if (card.liveness.state !== "alive") {
        this.#final(`“${name}” closed. It comes back by itself when it goes on.`, `“${name}” stays closed until it goes on.`);
      } else if (asked.length === 0) {
        this.#final(`“${name}” still runs: it is closed once its process is gone.`, `“${name}” is closed once its process is gone: that cannot be undone.`);
      } else {
        this.#done(rows, `“${name}” still runs: it calls you no more until it goes on.`, `“${name}” calls again`, async () => {
          for (const cause of asked) await this.#bringBack(cause);
        });
      }
    });
  }

  /** Opens a cause as it stood: what was put off is put off again. */
  async #bringBack(cause: Attention): Promise<void> {
    await this.client.setCause(cause.cause_id, { type: "restore" });
    const until = cause.snoozed_until_ms;
    if (cause.until_change) await this.client.setCause(cause.cause_id, { type: "snooze_until_change" });
    else if (until !== null && until > this.#store.clock.now()) await this.client.setCause(cause.cause_id, { type: "snooze", until_ms: until });
  }

  async showFolder(card: SessionCard): Promise<void> {
    await this.#attempt(() => this.client.openFolder(idOf(card)));
  }

  /** Takes a step back: that of a toast, else the last one. What nothing takes back says so, and nothing before it is touched in its place. */
  async undo(step: Undo | undefined = this.#undo.at(-1)): Promise<void> {
    const at = step === undefined ? -1 : this.#undo.indexOf(step);
    if (step === undefined || at < 0) return;
    this.#undo.splice(at, 1);
    await this.#attempt(async () => {
      await step.run?.();
      this.#store.release();
      this.say("done", step.text);
    });
  }

  say(tone: Toast["tone"], text: string, command: string | null = null, undo: Undo | null = null): void {
    this.#toasts += 1;
    this.toast = { id: this.#toasts, tone, text, command, undo };
  }

  dismissToast(): void {
    this.toast = null;
  }

  async #onCause(cause: Attention, action: CauseAction, done: string): Promise<void> {
    await this.#onCauses([cause], action, done);
  }

  async #onCauses(causes: Attention[], action: CauseAction, done: string, undone = UNDONE, tree: Tree | null = null): Promise<void> {
    const rows = causes.flatMap((cause) => this.#ownerOf(cause) ?? []).map(idOf);
    if (tree !== null) rows.push(treeKey(tree));
    await this.#change(rows, async () => {
      for (const cause of causes) await this.client.setCause(cause.cause_id, action);
      this.#store.release();
      this.#done(rows, done, undone, async () => {
        for (const cause of causes) await this.#bringBack(cause);
      });
    });
  }

  #relabel(card: SessionCard): void {
    this.#store.relabel(card);
    this.changed = card;
  }

  /** Says what was done to these rows, with the step that takes it back. */
  #done(rows: string[], text: string, undone: string, run: () => Promise<unknown>): void {
    this.say("done", text, null, this.#push({ text: undone, run: () => this.footing.during(rows, run) }));
  }

  /** Says what was done and cannot be taken back; `asked` is said to who tries. */
  #final(text: string, asked: string): void {
    this.#push({ text: asked, run: null });
    this.say("done", text);
  }

  #push(step: Undo): Undo {
    this.#undo.push(step);
    if (this.#undo.length > UNDO_KEPT) this.#undo.shift();
    return step;
  }

  #copied(card: SessionCard): string {
    const age = this.#store.clock.now() - (card.last_activity_at_ms ?? this.#store.clock.now());
    if (card.resume.state === "running") return "Resume command copied. It still runs: resuming opens a second one.";
    if (card.resume.state === "stale" || age > OLD_MS) return `Copied. Last used ${wait(age)} ago; the agent may not find it.`;
    return "Resume command copied";
  }

  /** Attempts what may take these rows away. */
  async #change(rows: string[], run: () => Promise<void>): Promise<void> {
    await this.#attempt(() => this.footing.during(rows, run));
  }

  async #attempt(run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.say("error", toApiError(error).message);
    }
  }
}

/** What the snooze menu offers. */
export function snoozeChoices(now: number, tomorrow: number): { label: string; until: number }[] {
  return [
    { label: "15 minutes", until: now + 15 * MINUTE },
    { label: "1 hour", until: now + 60 * MINUTE },
    { label: `Until ${upcoming(tomorrow, now)}`, until: tomorrow },
  ];
}

const KEY = Symbol("actions");

export function provideActions(actions: Actions): void {
  setContext(KEY, actions);
}

export function useActions(): Actions {
  return getContext<Actions>(KEY);
}
