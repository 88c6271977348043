// Forgetting by project and date: what is confirmed is what was counted.
import { fireEvent, render, screen, waitFor } from "@testing-library/svelte";
import { beforeEach, expect, test } from "vitest";
import App from "../App.svelte";
import { FixtureClient } from "../fixtures/client";

beforeEach(() => {
  localStorage.clear();
});

async function start(): Promise<FixtureClient> {
  history.replaceState(null, "", "/#/settings");
  const client = new FixtureClient("thirty");
  render(App, { client });
  await screen.findByTestId("forget-show");
  return client;
}
const asked = (client: FixtureClient): unknown[] => client.calls.filter(([c]) => c === "forget");

test("first it says how many, then forgets exactly those", async () => {
  const client = await start();
  expect(screen.getByTestId("forget-show")).toHaveProperty("disabled", true);
  await fireEvent.input(screen.getByLabelText("Last active before"), { target: { value: "2100-01-01" } });
  await fireEvent.click(screen.getByTestId("forget-show"));
  const found = await screen.findByTestId("forget-found");
  expect(found.textContent).toMatch(/[0-9,]+ sessions would be forgotten. [0-9]+ sessions left alone: a process runs them./);
  const before = new Date("2100-01-01T00:00").getTime();
  expect(asked(client)).toEqual([["forget", { before }, true]]);
  await fireEvent.click(screen.getByTestId("forget-now"));
  expect((await screen.findByTestId("forget-said")).textContent).toContain("sessions forgotten. Transcripts stay");
  expect(asked(client)).toEqual([["forget", { before }, true], ["forget", { before }, false]]);
});

test("another choice takes the count away, and a refusal is said", async () => {
  const client = await start();
  await fireEvent.input(screen.getByLabelText("Sessions of this project"), { target: { value: "no such project" } });
  await fireEvent.click(screen.getByTestId("forget-show"));
  expect((await screen.findByTestId("forget-found")).textContent).toContain("No session would be forgotten.");
  expect(screen.queryByTestId("forget-now")).toBeNull();
  await fireEvent.input(screen.getByLabelText("Sessions of this project"), { target: { value: "another" } });
  expect(screen.queryByTestId("forget-found")).toBeNull();
  client.forget = () => Promise.reject(Object.assign(new Error("The database cannot be read."), { code: "internal" }));
  await fireEvent.click(screen.getByTestId("forget-show"));
  await waitFor(() => { expect(screen.getByTestId("forget-said").textContent).toContain("The database cannot be read."); });
});
