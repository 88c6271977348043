// The settings screen beside an editor: what it did not show is not lost, and nothing is taken out by an empty field.
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { beforeEach, expect, test, vi } from "vitest";
import App from "../App.svelte";
import { FixtureClient } from "../fixtures/client";
import type { Settings } from "../lib/types";

beforeEach(() => {
  localStorage.clear();
});

async function start(): Promise<FixtureClient> {
  history.replaceState(null, "", "/#/settings");
  const client = new FixtureClient("thirty");
  render(App, { client });
  await screen.findByRole("region", { name: "Sources" });
  return client;
}

/** Somebody changes the file by hand while the page is open. */
function edit(client: FixtureClient, change: (settings: Settings) => void): void {
  const next = structuredClone(client.kept.settings);
  change(next);
  client.kept.settings = next;
}
const sent = (client: FixtureClient): unknown[] => client.calls.filter(([c]) => c === "setSettings").map(([, set]) => set);
const acme = { agent: "claude-code", path: "~/clients/acme/.claude" };
const later = { agent: "codex", path: "/mnt/later/.codex" };
const editRoots = (client: FixtureClient): void => { edit(client, (s) => { s.roots.push({ ...later, is_default: false, exists: true }); }); };

test("a folder that was added in an editor stays when another is added, or one is taken out", async () => {
  const client = await start();
  editRoots(client);
  await fireEvent.input(screen.getByLabelText("Another folder to read"), { target: { value: " ~/more " } });
  await fireEvent.click(screen.getByRole("button", { name: "Read it too" }));
  const more = { agent: "claude-code", path: "~/more" };
  await waitFor(() => { expect(sent(client)).toEqual([{ roots: [acme, later, more] }]); });
  edit(client, (s) => { s.roots = s.roots.filter((r) => r.path !== "~/more"); });
  await fireEvent.click(await screen.findByRole("button", { name: `Do not read ${acme.path}` }));
  await waitFor(() => { expect(sent(client)[1]).toEqual({ roots: [later] }); });
});

test("a folder that is there already is not added twice", async () => {
  const client = await start();
  await fireEvent.input(screen.getByLabelText("Another folder to read"), { target: { value: acme.path } });
  await fireEvent.click(screen.getByRole("button", { name: "Read it too" }));
  await waitFor(() => { expect(sent(client)).toEqual([{ roots: [acme] }]); });
});

test("reasons, projects and quiet hours that were changed in an editor stay", async () => {
  const client = await start();
  edit(client, (s) => {
    s.notify.muted = ["interrupted", "uncommitted"];
    s.notify.muted_projects = ["scratch", "later"];
  });
  await fireEvent.click(screen.getByRole("checkbox", { name: /Awaiting your reply/ }));
  await waitFor(() => { expect(sent(client)).toEqual([{ "notify.muted": ["interrupted", "uncommitted", "reply"] }]); });
  edit(client, (s) => { s.notify.muted_projects.push("latest"); });
  await fireEvent.click(screen.getByRole("button", { name: "Let scratch call again" }));
  await waitFor(() => { expect(sent(client)[1]).toEqual({ "notify.muted_projects": ["later", "latest"] }); });
  await fireEvent.click(screen.getByRole("checkbox", { name: /^Quiet hours/ }));
  await waitFor(() => { expect(sent(client)[2]).toEqual({ "notify.quiet": { from: "22:00", to: "07:30" } }); });
  edit(client, (s) => { s.notify.quiet = { from: "22:00", to: "09:00" }; });
  await fireEvent.change(await screen.findByLabelText("Quiet from"), { target: { value: "23:00" } });
  await waitFor(() => { expect(sent(client)[3]).toEqual({ "notify.quiet": { from: "23:00", to: "09:00" } }); });
});

test("two switches in a row: the second is made of what the first left", async () => {
  const client = await start();
  await Promise.all(["Awaiting your reply", "Uncommitted work left behind"].map((name) => fireEvent.click(screen.getByRole("checkbox", { name: new RegExp(name) }))));
  await waitFor(() => { expect(sent(client)[1]).toEqual({ "notify.muted": ["interrupted", "reply", "uncommitted"] }); });
});

test("an emptied field takes nothing out: what holds stands in it again", async () => {
  const client = await start();
  const keeping = within(screen.getByRole("region", { name: "Keeping" }));
  for (const [field, holds] of [[/To the archive after/, "240"], [/Warn before a resume/, "24"], [/Let the oldest spans go/, "2000"]] as const) {
    const input = keeping.getByLabelText<HTMLInputElement>(field);
    await fireEvent.change(input, { target: { value: "" } });
    expect(input.value).toBe(holds);
  }
  expect(sent(client)).toEqual([]);
  await fireEvent.change(keeping.getByLabelText(/Let the oldest spans go/), { target: { value: "2500.5" } });
  await waitFor(() => { expect(sent(client)).toEqual([{ "store.max_bytes": 2_500_500_000 }]); });
});

test("a strip that cannot be hidden says why, and then who waits again", async () => {
  history.replaceState(null, "", "/#/strip");
  const client = new FixtureClient("thirty");
  client.setStrip = () => Promise.reject(Object.assign(new Error("The settings file cannot be written."), { code: "internal" }));
  render(App, { client });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    await fireEvent.click(screen.getByRole("button", { name: "Hide the strip" }));
    await vi.waitFor(() => { expect(screen.getByRole("alert").textContent).toBe("Not hidden. The settings file cannot be written."); }, { timeout: 10_000 });
    await vi.advanceTimersByTimeAsync(12_000);
    expect(screen.queryByRole("alert")).toBeNull();
    expect(screen.getByTestId("strip-line").textContent).toContain("blocked");
  } finally {
    vi.useRealTimers();
  }
});
