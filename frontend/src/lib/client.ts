// The host: what the screens can ask and do, once for the window (Tauri) and once for a browser (HTTP).
// The only file that imports @tauri-apps/*.
import { Channel, invoke, isTauri } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import { Feed } from "./feed";
import { HttpClient } from "./http";
import type { Forgotten, NoticePage, Report, RunDetail, RunPage, ServiceDetail, SessionCard, SessionDetail, SessionPage, Settings, SetupAgent, SetupChoices, SetupDone, SetupPlan, SetupState, Status, StreamMessage, Trace, TracePage } from "./types";

export interface ApiError {
  code: string;
  message: string;
}

export type Connection = "live" | "reconnecting" | "stale";

export type CauseAction = { type: "dismiss" } | { type: "restore" } | { type: "snooze"; until_ms: number } | { type: "snooze_until_change" };

/** What the shell asks of the window. */
export interface ShellEvents {
  openSession(id: string): void;
  openNow(): void;
  /** Whether a tray shows the lamp, each time it is found out. */
  tray(isThere: boolean): void;
}

/** Which traces, newest first: of a service, or of a session. */
export interface TraceQuery {
  service?: string;
  /** `null` is a service without a project; left out, any. */
  namespace?: string | null;
  session?: string;
  before?: string;
  limit?: number;
}

/** Which sessions to forget: those that fit everything that is given. */
export interface ForgetQuery {
  id?: string;
  project?: string;
  /** Last activity before this, in milliseconds since the epoch. */
  before?: number;
}

/** Sessions are named `agent:session_id` throughout. Every call rejects with an `ApiError`. */
export interface Client {
  /** What only the desktop shell can do. */
  readonly can: { openFolder: boolean; desktop: boolean };
  /** A snapshot first, then changes, until the returned function is called. A gap leads to a new snapshot by itself. */
  subscribe(onMessage: (m: StreamMessage) => void, onState: (s: Connection, error?: ApiError) => void): () => void;
  status(): Promise<Status>;
  sessions(p: { before?: string; limit?: number; query?: string }): Promise<SessionPage>;
  session(id: string): Promise<SessionDetail>;
  service(name: string, namespace: string | null): Promise<ServiceDetail>;
  traces(p: TraceQuery): Promise<TracePage>;
  trace(id: string): Promise<Trace>;
  runs(p: { before?: string; limit?: number }): Promise<RunPage>;
  run(id: string): Promise<RunDetail>;
  /** The settings as their file has them. */
  settings(): Promise<Settings>;
  /** Writes settings by the names of the file; `null` takes one out. Refuses what would not be understood, and writes nothing then. */
  setSettings(set: Record<string, unknown>): Promise<Settings>;
  /** What became of telling about each cause, newest first. */
  notices(p: { before?: string; limit?: number }): Promise<NoticePage>;
  /** Sends a notification to try it; whether anybody showed it. Desktop only, as the five below. */
  testNotification(): Promise<{ answered: boolean }>;
  startAtLogin(): Promise<boolean>;
  setStartAtLogin(on: boolean): Promise<void>;
  setStrip(on: boolean): Promise<void>;
  /** Shows a session in the main window; the list of what needs you for `null`. */
  openInMain(id: string | null): Promise<void>;
  /** Who is connected. */
  setupState(): Promise<SetupState>;
  /** What set-up would change; changes nothing. */
  setupPlan(choices: SetupChoices): Promise<SetupPlan>;
  /** Writes a plan that was shown, named by its digest; refuses when it fits no longer. */
  setupApply(choices: SetupChoices, digest: string): Promise<SetupDone>;
  /** Takes back what set-up wrote for these agents; for all when none is named. */
  setupUndo(agents: SetupAgent[]): Promise<SetupDone>;
  /** `null` goes back to the name it would have by itself. */
  setLabel(id: string, label: string | null): Promise<SessionCard>;
  /** Nothing calls for a silenced session, and nothing is told of it. */
  setMuted(id: string, muted: boolean): Promise<SessionCard>;
  /** Off the list until something happens in it; refused while a process runs it. */
  archive(id: string): Promise<SessionCard>;
  unarchive(id: string): Promise<SessionCard>;
  /** For good; with `dryRun` only says which ones. Those that a process runs are left alone. */
  forget(what: ForgetQuery, dryRun: boolean): Promise<Forgotten>;
  /** On what the state of a session rests, without names, paths and texts. */
  report(id: string): Promise<Report>;
  closeSession(id: string): Promise<{ closed: number }>;
  setCause(causeId: string, action: CauseAction): Promise<void>;
  /** Puts the command on the clipboard and returns the exact bytes. */
  copyResume(id: string): Promise<{ command: string }>;
  copyText(text: string): Promise<void>;
  openFolder(id: string): Promise<void>;
  /** Brings the terminal of a running session to the front. */
  focus(id: string): Promise<void>;
  /** Which session's page is open: notifications of it are withheld while the window has the focus. */
  setOnScreen(id: string | null): void;
  /** The first cards are on the screen; measured by the shell when asked to. */
  firstCards(): void;
  /** Requests of the shell: a notification or the tray was clicked. */
  onShell(events: ShellEvents): () => void;
}

/** Whatever was thrown, as the two words of the contract. */
export function toApiError(error: unknown): ApiError {
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    return { code: String(error.code), message: String(error.message) };
  }
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}

const RETRY_MS = 1_000;
const RETRY_MAX_MS = 15_000;
/** Failed attempts after which what is on the screen counts as old. */
const STALE_AFTER = 3;

/** The desktop window. */
export class TauriClient implements Client {
  readonly can = { openFolder: true, desktop: true };

  subscribe(onMessage: (m: StreamMessage) => void, onState: (s: Connection, error?: ApiError) => void): () => void {
    let generation = 0;
    let failures = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const start = (): void => {
      generation += 1;
      const mine = generation;
      const feed = new Feed();
      const channel = new Channel<StreamMessage>();
      channel.onmessage = (message) => {
        if (mine !== generation) return;
        const verdict = feed.judge(message);
        if (verdict === "gap") {
          onState("reconnecting");
          start();
        } else if (verdict === "apply") {
          failures = 0;
          onMessage(message);
          if (message.type === "snapshot") onState("live");
        }
      };
      invoke("subscribe", { channel }).catch((error: unknown) => {
        if (mine !== generation) return;
        failures += 1;
        onState(failures >= STALE_AFTER ? "stale" : "reconnecting", toApiError(error));
        timer = setTimeout(start, Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** (failures - 1)));
      });
    };
    start();
    return () => {
      generation += 1;
      clearTimeout(timer);
    };
  }

  status(): Promise<Status> {
    return invoke("status");
  }
  sessions(p: { before?: string; limit?: number; query?: string }): Promise<SessionPage> {
    return invoke("sessions", { before: p.before ?? null, limit: p.limit ?? null, query: p.query ?? null });
  }
  session(id: string): Promise<SessionDetail> {
    return invoke("session", { id });
  }
  service(name: string, namespace: string | null): Promise<ServiceDetail> {
    return invoke("service", { name, namespace: namespace ?? "" });
  }
  traces(p: TraceQuery): Promise<TracePage> {
    return invoke("traces", {
      service: p.service ?? null,
      namespace: p.namespace === null ? "" : (p.namespace ?? null),
      session: p.session ?? null,
      before: p.before ?? null,
      limit: p.limit ?? null,
    });
  }
  trace(id: string): Promise<Trace> {
    return invoke("trace", { id });
  }
  runs(p: { before?: string; limit?: number }): Promise<RunPage> {
    return invoke("runs", { before: p.before ?? null, limit: p.limit ?? null });
  }
  run(id: string): Promise<RunDetail> {
    return invoke("run", { id });
  }
  settings(): Promise<Settings> {
    return invoke("settings");
  }
  setSettings(set: Record<string, unknown>): Promise<Settings> {
    return invoke("set_settings", { set });
  }
  notices(p: { before?: string; limit?: number }): Promise<NoticePage> {
    return invoke("notice_log", { before: p.before ?? null, limit: p.limit ?? null });
  }
  testNotification(): Promise<{ answered: boolean }> {
    return invoke("test_notification");
  }
  startAtLogin(): Promise<boolean> {
    return invoke("start_at_login");
  }
  async setStartAtLogin(on: boolean): Promise<void> {
    await invoke("set_start_at_login", { on });
  }
  async setStrip(on: boolean): Promise<void> {
    await invoke("set_strip", { on });
  }
  async openInMain(id: string | null): Promise<void> {
    await invoke("open_session", { id });
  }
  setupState(): Promise<SetupState> {
    return invoke("setup_state");
  }
  setupPlan(choices: SetupChoices): Promise<SetupPlan> {
    return invoke("setup_plan", { choices });
  }
  setupApply(choices: SetupChoices, digest: string): Promise<SetupDone> {
    return invoke("setup_apply", { choices, digest });
  }
  setupUndo(agents: SetupAgent[]): Promise<SetupDone> {
    return invoke("setup_undo", { agents });
  }
  setLabel(id: string, label: string | null): Promise<SessionCard> {
    return invoke("set_label", { id, label });
  }
  setMuted(id: string, muted: boolean): Promise<SessionCard> {
    return invoke("set_muted", { id, muted });
  }
  archive(id: string): Promise<SessionCard> {
    return invoke("archive", { id });
  }
  unarchive(id: string): Promise<SessionCard> {
    return invoke("unarchive", { id });
  }
  forget(what: ForgetQuery, dryRun: boolean): Promise<Forgotten> {
    return invoke("forget", { id: what.id ?? null, project: what.project ?? null, before_ms: what.before ?? null, dry_run: dryRun });
  }
  report(id: string): Promise<Report> {
    return invoke("report", { id });
  }
  closeSession(id: string): Promise<{ closed: number }> {
    return invoke("close", { session_id: id, sessionId: id });
  }
  async setCause(causeId: string, action: CauseAction): Promise<void> {
    await invoke("set_cause", { causeId, action });
  }
  copyResume(id: string): Promise<{ command: string }> {
    return invoke("copy_resume", { id });
  }
  async copyText(text: string): Promise<void> {
    await invoke("copy_text", { text });
  }
  async openFolder(id: string): Promise<void> {
    await invoke("open_folder", { id });
  }
  async focus(id: string): Promise<void> {
    await invoke("focus", { id });
  }
  setOnScreen(id: string | null): void {
    // Losing it costs one notification too many, not a fact.
    invoke("set_on_screen", { id }).catch(() => undefined);
  }
  firstCards(): void {
    // A measurement only: a shell without it is not at fault.
    invoke("first_cards").catch(() => undefined);
  }
  onShell(events: ShellEvents): () => void {
    const stops = [
      listen<string>("open-session", (e) => {
        events.openSession(e.payload);
      }),
      listen("open-now", () => {
        events.openNow();
      }),
      listen<boolean>("tray", (e) => {
        events.tray(e.payload);
      }),
    ];
    return () => {
      for (const stop of stops) void stop.then((f) => { f(); });
    };
  }
}

/** The host this page runs in. */
export async function connect(): Promise<Client> {
  if (__FIXTURE__ || import.meta.env.DEV) {
    const name = new URLSearchParams(location.search).get("fixture");
    if (name !== null || __FIXTURE__) {
      const { FixtureClient } = await import("../fixtures/client");
      return new FixtureClient(name ?? "thirty");
    }
  }
  return isTauri() ? new TauriClient() : HttpClient.fromPage();
}
