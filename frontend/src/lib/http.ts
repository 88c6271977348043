// The browser host: `lamp serve --ui`. The token comes in the fragment, leaves the address bar at once, and travels in a
// header only.
import type { ApiError, CauseAction, Client, Connection, ForgetQuery, ShellEvents, TraceQuery } from "./client";
import { Feed } from "./feed";
import { idOf } from "./sections";
import { EventStreamParser } from "./sse";
import type { Forgotten, NoticePage, Report, RunDetail, RunPage, ServiceDetail, SessionCard, SessionDetail, SessionPage, Settings, SetupAgent, SetupChoices, SetupDone, SetupPlan, SetupState, Status, StreamMessage, Trace, TracePage } from "./types";

const TOKEN_KEY = "lamplight.token";
/** The server sends a heartbeat every 15 s; twice that without a byte means the line is dead. */
const SILENCE_MS = 35_000;
const RETRY_MS = 2_000;
const STALE_AFTER = 3;

/** Takes the token out of `#token=…` and out of the address bar. */
export function takeToken(location: Location, history: History, storage: Storage): string | null {
  const found = /^#token=([0-9a-zA-Z_-]+)$/.exec(location.hash);
  if (found?.[1] !== undefined) {
    storage.setItem(TOKEN_KEY, found[1]);
    history.replaceState(null, "", location.pathname + location.search);
    return found[1];
  }
  return storage.getItem(TOKEN_KEY);
}

export class HttpClient implements Client {
  readonly can = { openFolder: false, desktop: false };
  readonly #token: string | null;
  readonly #base: string;
  /** Commands seen on cards: the clipboard has to be written inside the click, with no request before it. */
  readonly #commands = new Map<string, string>();

  constructor(token: string | null, base = "") {
    this.#token = token;
    this.#base = base;
  }

  static fromPage(): HttpClient {
    return new HttpClient(takeToken(location, history, sessionStorage));
  }

  subscribe(onMessage: (m: StreamMessage) => void, onState: (s: Connection, error?: ApiError) => void): () => void {
    const feed = new Feed();
    let lastId = "";
    let stopped = false;
    let failures = 0;
    let retry = RETRY_MS;
    let request = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;

    const run = async (): Promise<void> => {
      request = new AbortController();
      const { signal } = request;
      let silence: ReturnType<typeof setTimeout> | undefined;
      const heard = (): void => {
        clearTimeout(silence);
        silence = setTimeout(() => { request.abort(); }, SILENCE_MS);
      };
      try {
        heard();
        const headers: Record<string, string> = lastId === "" ? {} : { "Last-Event-ID": lastId };
        const response = await this.#fetch("/api/v1/stream", { headers, signal });
        if (response.body === null) throw new Error("the stream has no body");
        const parser = new EventStreamParser();
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        // A resumed stream has nothing to say until something changes; the answer itself is the sign of life.
        if (lastId !== "") onState("live");
        for (;;) {
          const { value, done } = await reader.read();
          if (done) throw new Error("the stream ended");
          heard();
          for (const event of parser.push(value)) {
            if (event.event !== "snapshot" && event.event !== "change") continue;
            const message = { type: event.event, ...(JSON.parse(event.data) as object) } as StreamMessage;
            const verdict = feed.judge(message);
            if (verdict === "gap") {
              lastId = "";
              feed.reset();
              retry = 0;
              throw new Error("a change is missing");
            }
            if (event.id !== "") lastId = event.id;
            if (verdict === "repeat") continue;
            failures = 0;
            this.#learn(message.type === "snapshot" ? message.sessions : message.upserted);
            onMessage(message);
            if (message.type === "snapshot") onState("live");
          }
          if (parser.retry !== null) retry = parser.retry;
        }
      } catch (error) {
        clearTimeout(silence);
        request.abort();
        if (stopped) return;
        failures += 1;
        const known = asApiError(error);
        const refused = known.code === "unauthorized";
        onState(refused || failures >= STALE_AFTER ? "stale" : "reconnecting", known);
        timer = setTimeout(() => void run(), refused ? Math.max(retry, RETRY_MS * 5) : retry);
        retry = RETRY_MS;
      }
    };
    void run();
    return () => {
      stopped = true;
      clearTimeout(timer);
      request.abort();
    };
  }

  status(): Promise<Status> {
    return this.#json("/api/v1/status");
  }

  async sessions(p: { before?: string; limit?: number; query?: string }): Promise<SessionPage> {
    const page = await this.#json<SessionPage>(`/api/v1/sessions${asked({ before: p.before, limit: p.limit, q: p.query === "" ? undefined : p.query })}`);
    this.#learn(page.sessions);
    return page;
  }

  async session(id: string): Promise<SessionDetail> {
    const detail = await this.#json<SessionDetail>(`/api/v1/sessions/${encodeURIComponent(id)}`);
    this.#learn([detail.card]);
    return detail;
  }

  service(name: string, namespace: string | null): Promise<ServiceDetail> {
    return this.#json(`/api/v1/services/${encodeURIComponent(name)}${asked({ namespace: namespace ?? "" })}`);
  }

  traces(p: TraceQuery): Promise<TracePage> {
    return this.#json(`/api/v1/traces${asked({ ...p, namespace: p.namespace === null ? "" : p.namespace })}`);
  }

  trace(id: string): Promise<Trace> {
    return this.#json(`/api/v1/traces/${encodeURIComponent(id)}`);
  }

  runs(p: { before?: string; limit?: number }): Promise<RunPage> {
    return this.#json(`/api/v1/runs${asked(p)}`);
  }

  async run(id: string): Promise<RunDetail> {
    const detail = await this.#json<RunDetail>(`/api/v1/runs/${encodeURIComponent(id)}`);
    this.#learn(detail.members.map((m) => m.card));
    return detail;
  }

  settings(): Promise<Settings> {
    return this.#json("/api/v1/settings");
  }

  setSettings(set: Record<string, unknown>): Promise<Settings> {
    return this.#json("/api/v1/settings", { set });
  }

  notices(p: { before?: string; limit?: number }): Promise<NoticePage> {
    return this.#json(`/api/v1/notices${asked(p)}`);
  }

  testNotification(): Promise<{ answered: boolean }> {
    return desktopOnly();
  }

  startAtLogin(): Promise<boolean> {
    return desktopOnly();
  }

  setStartAtLogin(): Promise<void> {
    return desktopOnly();
  }

  setStrip(): Promise<void> {
    return desktopOnly();
  }

  openInMain(): Promise<void> {
    return desktopOnly();
  }

  setupState(): Promise<SetupState> {
    return this.#json("/api/v1/setup");
  }

  setupPlan(choices: SetupChoices): Promise<SetupPlan> {
    return this.#json("/api/v1/setup/plan", choices);
  }

  setupApply(choices: SetupChoices, digest: string): Promise<SetupDone> {
    return this.#json("/api/v1/setup/apply", { choices, digest });
  }

  setupUndo(agents: SetupAgent[]): Promise<SetupDone> {
    return this.#json("/api/v1/setup/undo", { agents });
  }

  setLabel(id: string, label: string | null): Promise<SessionCard> {
    return this.#json(`/api/v1/sessions/${encodeURIComponent(id)}/label`, { label });
  }

  setMuted(id: string, muted: boolean): Promise<SessionCard> {
    return this.#json(`/api/v1/sessions/${encodeURIComponent(id)}/mute`, { muted });
  }

  archive(id: string): Promise<SessionCard> {
    return this.#json(`/api/v1/sessions/${encodeURIComponent(id)}/archive`, {});
  }

  unarchive(id: string): Promise<SessionCard> {
    return this.#json(`/api/v1/sessions/${encodeURIComponent(id)}/unarchive`, {});
  }

  forget(what: ForgetQuery, dryRun: boolean): Promise<Forgotten> {
    return this.#json("/api/v1/forget", { id: what.id ?? null, project: what.project ?? null, before_ms: what.before ?? null, dry_run: dryRun });
  }

  report(id: string): Promise<Report> {
    return this.#json(`/api/v1/sessions/${encodeURIComponent(id)}/report`);
  }

  closeSession(id: string): Promise<{ closed: number }> {
    return this.#json("/api/v1/sessions/close", { session_id: id });
  }

  async setCause(causeId: string, action: CauseAction): Promise<void> {
    await this.#fetch(`/api/v1/causes/${encodeURIComponent(causeId)}`, post(action));
  }

  async copyResume(id: string): Promise<{ command: string }> {
    const known = this.#commands.get(id);
    const command = known ?? (await this.session(id)).card.resume.command;
    if (command === null) throw apiError("not_resumable", "This session has no resume command.");
    await this.copyText(command);
    return { command };
  }

  /** The old way first: it is synchronous, so it always happens inside the gesture, even where the new one hangs. */
  async copyText(text: string): Promise<void> {
    if (copyInGesture(text)) return;
    await navigator.clipboard.writeText(text);
  }

  openFolder(): Promise<void> {
    return Promise.reject(new Error("A browser cannot open folders."));
  }

  async focus(id: string): Promise<void> {
    await this.#fetch(`/api/v1/sessions/${encodeURIComponent(id)}/focus`, post({}));
  }

  setOnScreen(): void {
    // Notifications are the desktop shell's.
  }

  firstCards(): void {
    // Measured in the window only.
  }

  onShell(_events: ShellEvents): () => void {
    return () => undefined;
  }

  #learn(cards: SessionCard[]): void {
    for (const card of cards) {
      if (card.resume.command === null) this.#commands.delete(idOf(card));
      else this.#commands.set(idOf(card), card.resume.command);
    }
  }

  async #json<T>(path: string, body?: object): Promise<T> {
    const response = await this.#fetch(path, body === undefined ? {} : post(body));
    return (await response.json()) as T;
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#token !== null) headers.set("Authorization", `Bearer ${this.#token}`);
    let response: Response;
    try {
      response = await fetch(this.#base + path, { ...init, headers, cache: "no-store", credentials: "omit", redirect: "error" });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw apiError("unreachable", "Lamplight does not answer. Its engine may have been stopped.");
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

function desktopOnly(): Promise<never> {
  return Promise.reject(apiError("unsupported", "Only the desktop window can do that."));
}

/** The query part of an address; what is not given is left out. */
function asked(params: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== undefined) query.set(key, String(value));
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

function post(body: object): RequestInit {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function refusal(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  if (typeof body === "object" && body !== null && "code" in body && "message" in body) {
    return apiError(response.status === 401 ? "unauthorized" : String(body.code), String(body.message));
  }
  if (response.status === 401) return apiError("unauthorized", "This page is no longer allowed in. Open the address that lamp serve printed.");
  return apiError("http", `The engine answered ${String(response.status)}.`);
}

function apiError(code: string, message: string): ApiError & Error {
  return Object.assign(new Error(message), { code });
}

function asApiError(error: unknown): ApiError {
  if (error instanceof Error) return { code: "code" in error ? String(error.code) : "interrupted", message: error.message };
  return { code: "interrupted", message: String(error) };
}

/** Copies through a selection; false where the browser refuses. */
function copyInGesture(text: string): boolean {
  const before = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.className = "vh";
  // Inside an open dialog, so that its focus trap does not take the selection away.
  (before?.closest("[role=dialog]") ?? document.body).append(area);
  area.focus({ preventScroll: true });
  area.select();
  // Deprecated, and still the only copy that cannot hang.
  const done = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return done;
}
