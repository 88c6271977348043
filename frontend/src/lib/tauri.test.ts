import { beforeEach, expect, test, vi } from "vitest";
import { change, snapshot } from "../fixtures/build";
import { TauriClient } from "./client";
import type { StreamMessage } from "./types";

interface FakeChannel {
  onmessage: (m: StreamMessage) => void;
}
const shell = vi.hoisted(() => ({ calls: [] as [string, Record<string, unknown>][], fail: null as object | null, listeners: new Map<string, (e: { payload: unknown }) => void>() }));

vi.mock("@tauri-apps/api/core", () => ({
  Channel: class {
    onmessage: (m: unknown) => void = () => undefined;
  },
  isTauri: () => true,
  invoke: (name: string, args: Record<string, unknown> = {}) => {
    shell.calls.push([name, args]);
    return shell.fail === null ? Promise.resolve({}) : Promise.reject(shell.fail as Error);
  },
}));
vi.mock("@tauri-apps/api/event", () => ({
  listen: (name: string, f: (e: { payload: unknown }) => void) => {
    shell.listeners.set(name, f);
    return Promise.resolve(() => shell.listeners.delete(name));
  },
}));

beforeEach(() => {
  shell.calls.length = 0;
  shell.fail = null;
});

const channels = (): FakeChannel[] => shell.calls.filter(([name]) => name === "subscribe").map(([, args]) => args["channel"] as FakeChannel);

test("a gap leads to a new channel; what the old one still says is ignored", () => {
  const log: string[] = [];
  const stop = new TauriClient().subscribe(
    (m) => { log.push(`${m.type} ${String(m.revision)}`); },
    (s) => { log.push(s); },
  );
  const [first] = channels();
  first?.onmessage(snapshot(1));
  first?.onmessage(change(1, 2));
  first?.onmessage(change(5, 6));
  const [, second] = channels();
  first?.onmessage(change(2, 3));
  second?.onmessage(snapshot(6));
  stop();
  second?.onmessage(change(6, 7));
  expect(log).toEqual(["snapshot 1", "live", "change 2", "reconnecting", "snapshot 6", "live"]);
});

test("a shell that refuses is asked again, and after three times the screen is stale", async () => {
  vi.useFakeTimers();
  shell.fail = { code: "internal", message: "The engine has stopped." };
  const log: string[] = [];
  const stop = new TauriClient().subscribe(() => undefined, (s, e) => { log.push(`${s}: ${e?.message ?? ""}`); });
  await vi.advanceTimersByTimeAsync(3_500);
  stop();
  vi.useRealTimers();
  expect(log).toEqual(["reconnecting: The engine has stopped.", "reconnecting: The engine has stopped.", "stale: The engine has stopped."]);
});

test("commands are spelt as the shell knows them", async () => {
  const c = new TauriClient();
  await c.sessions({ query: "x" });
  await c.session("claude-code:1");
  await c.setLabel("claude-code:1", null);
  await c.setCause("c1", { type: "dismiss" });
  await c.copyResume("claude-code:1");
  await c.service("a", null);
  await c.traces({ service: "a", namespace: null, limit: 5 });
  await c.traces({ session: "claude-code:1" });
  await c.trace("0af7");
  await c.runs({ before: "x" });
  await c.run("r");
  const choices = { agents: ["codex" as const], hooks: true, telemetry: false, shell: true };
  await c.setupState();
  await c.setupPlan(choices);
  await c.setupApply(choices, "d");
  await c.setupUndo(["codex"]);
  await c.openFolder("claude-code:1");
  c.setOnScreen(null);
  expect(shell.calls).toEqual([
    ["sessions", { before: null, limit: null, query: "x" }],
    ["session", { id: "claude-code:1" }],
    ["set_label", { id: "claude-code:1", label: null }],
    ["set_cause", { causeId: "c1", action: { type: "dismiss" } }],
    ["copy_resume", { id: "claude-code:1" }],
    ["service", { name: "a", namespace: "" }],
    ["traces", { service: "a", namespace: "", session: null, before: null, limit: 5 }],
    ["traces", { service: null, namespace: null, session: "claude-code:1", before: null, limit: null }],
    ["trace", { id: "0af7" }],
    ["runs", { before: "x", limit: null }],
    ["run", { id: "r" }],
    ["setup_state", {}],
    ["setup_plan", { choices: { agents: ["codex"], hooks: true, telemetry: false, shell: true } }],
    ["setup_apply", { choices: { agents: ["codex"], hooks: true, telemetry: false, shell: true }, digest: "d" }],
    ["setup_undo", { agents: ["codex"] }],
    ["open_folder", { id: "claude-code:1" }],
    ["set_on_screen", { id: null }],
  ]);
});

test("the shell can send the window to a session, and stops when it is no longer listened to", async () => {
  const log: string[] = [];
  const stop = new TauriClient().onShell({ openSession: (id) => log.push(id), openNow: () => log.push("now"), tray: (isThere) => log.push(`tray ${String(isThere)}`) });
  shell.listeners.get("open-session")?.({ payload: "claude-code:1" });
  shell.listeners.get("open-now")?.({ payload: "" });
  shell.listeners.get("tray")?.({ payload: false });
  shell.listeners.get("tray")?.({ payload: true });
  expect(log).toEqual(["claude-code:1", "now", "tray false", "tray true"]);
  stop();
  await vi.waitFor(() => { expect(shell.listeners.size).toBe(0); }, { timeout: 10_000 });
});
