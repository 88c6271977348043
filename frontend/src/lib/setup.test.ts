import { expect, test } from "vitest";
import { FixtureSetup } from "../fixtures/setup";
import { agentParts, agentStatus, canConnect, changeWords, outcomeWords, setupHeadline } from "./setup";
import type { SetupAgentState, SetupState } from "./types";

const claude = new FixtureSetup(false).state().agents[0] as SetupAgentState;
const agent = (more: Partial<SetupAgentState>): SetupAgentState => ({ ...claude, ...more });
const state = (...agents: Partial<SetupAgentState>[]): SetupState => ({ ...new FixtureSetup(false).state(), agents: agents.map(agent) });

test.each<[string, Partial<SetupAgentState>, string, boolean]>([
  ["connected", { status: "connected", hooks: 12, telemetry: "here" }, "Connected: 12 hooks, telemetry comes here", true],
  ["connected, and not accepted in the agent", { status: "connected", hooks: 12, telemetry: "here", hooks_trusted: false }, "Waits for your consent: 12 hooks, telemetry comes here", true],
  ["partly", { status: "partly", hooks: 3, telemetry: "off", edited_since: true }, "Partly connected: 3 of 12 hooks, no telemetry, edited since it was set up", true],
  ["not, and its telemetry goes to somebody else", { telemetry: "elsewhere" }, "Not connected: no hooks, telemetry goes elsewhere, by your own settings", true],
  ["not known where telemetry goes", { telemetry: null, hooks_wanted: 0 }, "Not connected: telemetry not known", true],
  ["absent", { status: "absent" }, "Not found: It is not installed, or was never started.", false],
  ["unreadable", { status: "unreadable" }, "Its settings cannot be read: They are left alone.", false],
])("an agent that is %s", (_, more, said, able) => {
  expect(`${agentStatus(agent(more)).words}: ${agentParts(agent(more))}`).toBe(said);
  expect(canConnect(agent(more))).toBe(able);
});

test.each<[Partial<SetupAgentState>[], string]>([
  [[{}, {}], "Nothing is connected yet"],
  [[{}, { status: "partly" }], "Nothing is fully connected yet"],
  [[{ status: "connected" }, {}, { status: "absent" }], "1 of 2 agents connected"],
  [[{ status: "connected" }, { status: "connected" }], "Everything is connected"],
  [[{ status: "connected" }], "Claude Code is connected"],
  [[{ status: "connected", hooks_trusted: false }, {}], "Claude Code waits for your consent"],
  [[{ status: "absent" }], "No agent was found"],
])("the title is the answer: %#", (agents, said) => {
  expect(setupHeadline(state(...agents)).title).toBe(said);
});

test("a change says how much of a file it is", () => {
  const [settings, hooks] = new FixtureSetup(false).plan({ agents: ["claude-code", "codex"], hooks: true, telemetry: true, shell: true }).changes;
  expect([settings, hooks].map((c) => (c === undefined ? "" : changeWords(c)))).toEqual(["5 lines more, 1 line less", "new, 3 lines"]);
  expect(["written", "restored", "removed", "taken_out", "kept", "failed"].map((o) => outcomeWords(o as Parameters<typeof outcomeWords>[0]))).toHaveLength(6);
});
