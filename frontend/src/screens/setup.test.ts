// The set-up page, driven as a hand would: nothing is written before it was shown.
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { beforeEach, expect, test } from "vitest";
import App from "../App.svelte";
import { FixtureClient } from "../fixtures/client";

beforeEach(() => {
  localStorage.clear();
});

async function start(name = "thirty"): Promise<FixtureClient> {
  history.replaceState(null, "", "/#/setup");
  const client = new FixtureClient(name);
  render(App, { client });
  await screen.findByTestId("agent-claude-code");
  return client;
}
const title = (): string => screen.getByTestId("headline").textContent.trim();
const writes = (client: FixtureClient): unknown[] => client.calls.filter(([c]) => c === "setupApply" || c === "setupUndo");

test("first it shows every line, then writes exactly that, then says what to do in Codex", async () => {
  const client = await start();
  expect(title()).toBe("Nothing is fully connected yet");
  expect(screen.queryByTestId("setup-apply")).toBeNull();
  await fireEvent.click(screen.getByTestId("setup-show"));
  const plan = await screen.findByTestId("setup-plan");
  expect(writes(client)).toEqual([]);
  expect(within(plan).getAllByRole("article").map((a) => a.getAttribute("aria-label"))).toEqual(["~/.claude/settings.json", "~/.codex/hooks.json"]);
  expect(plan.textContent).toContain('added:   "env": {');
  expect(plan.textContent).toContain("Hooks need review");
  await fireEvent.click(within(plan).getByTestId("setup-apply"));
  const done = await screen.findByTestId("setup-done");
  expect(writes(client)).toEqual([["setupApply", { agents: ["claude-code", "codex"], hooks: true, telemetry: true, shell: true }, "d2"]]);
  expect(done.textContent).toContain("Trust all and continue");
  await waitFor(() => { expect(title()).toBe("Codex waits for your consent"); });
  await waitFor(() => { expect(document.activeElement === done).toBe(true); });
});

test("another choice takes the shown plan away: what is written is always what stands there", async () => {
  const client = await start();
  await fireEvent.click(screen.getByTestId("setup-show"));
  await screen.findByTestId("setup-apply");
  await fireEvent.click(within(screen.getByTestId("agent-codex")).getByRole("checkbox"));
  expect(screen.queryByTestId("setup-apply")).toBeNull();
  await fireEvent.click(screen.getByTestId("setup-show"));
  await screen.findByText("1 file would change");
  expect(client.calls.filter(([c]) => c === "setupPlan").map(([, choices]) => (choices as { agents: string[] }).agents)).toEqual([["claude-code", "codex"], ["claude-code"]]);
  // With nobody left, an empty list would mean everybody to the engine: it is never sent.
  await fireEvent.click(within(screen.getByTestId("agent-claude-code")).getByRole("checkbox"));
  expect(screen.getByTestId("setup-show")).toHaveProperty("disabled", true);
});

test("a file that changed meanwhile is not written; the change can be looked at again", async () => {
  const client = await start();
  await fireEvent.click(screen.getByTestId("setup-show"));
  client.setup.stale = true;
  await fireEvent.click(await screen.findByTestId("setup-apply"));
  const failed = await screen.findByTestId("setup-failed");
  expect(failed.textContent).toContain("Nothing was written");
  client.setup.stale = false;
  await fireEvent.click(within(failed).getByRole("button", { name: "Show again" }));
  await screen.findByTestId("setup-apply");
  expect(screen.queryByTestId("setup-failed")).toBeNull();
});

test("undo asks once, puts back, and says what became of each file", async () => {
  const client = await start();
  expect(screen.queryByTestId("setup-undo")).toBeNull();
  await fireEvent.click(screen.getByTestId("setup-show"));
  await fireEvent.click(await screen.findByTestId("setup-apply"));
  await fireEvent.click(await screen.findByTestId("setup-undo"));
  await fireEvent.click(screen.getByRole("button", { name: "Keep it" }));
  expect(writes(client).length).toBe(1);
  await fireEvent.click(screen.getByTestId("setup-undo"));
  await fireEvent.click(screen.getByTestId("setup-undo-yes"));
  const done = await screen.findByTestId("setup-done");
  expect(done.textContent).toContain("as it was, byte for byte");
  expect(writes(client).at(-1)).toEqual(["setupUndo", []]);
  await waitFor(() => { expect(title()).toBe("Nothing is fully connected yet"); });
});

test("it is reached from the sources panel and from the empty page of services", async () => {
  history.replaceState(null, "", "/#/services");
  render(App, { client: new FixtureClient("empty") });
  await fireEvent.click(within(screen.getByRole("main")).getByRole("button", { name: "Set up" }));
  await waitFor(() => { expect(title()).toBe("No agent was found"); });
  await fireEvent.click(screen.getByTestId("nav-now"));
  await fireEvent.click(within(screen.getByRole("contentinfo")).getAllByRole("button")[0] as HTMLElement);
  await fireEvent.click(await screen.findByTestId("sources-setup"));
  await waitFor(() => { expect(title()).toBe("No agent was found"); });
  expect(screen.queryByTestId("setup-show")).toBeNull();
});
