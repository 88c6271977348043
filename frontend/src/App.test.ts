import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { beforeEach, expect, test, vi } from "vitest";
import App from "./App.svelte";
import { FixtureClient } from "./fixtures/client";
import { cause, MIN } from "./fixtures/build";
import { SETTLE_MS } from "./lib/focus";
import { idOf } from "./lib/sections";
import { Store } from "./lib/store.svelte";

beforeEach(() => {
  localStorage.clear();
  history.replaceState(null, "", "/");
});

/** The window with every session listed; `null` is a person who has chosen no chip yet. */
function start(name: string, chip: string | null = "all"): FixtureClient {
  if (chip !== null) localStorage.setItem("lamplight.chip", chip);
  const client = new FixtureClient(name);
  render(App, { client });
  return client;
}
const WEBHOOK = "claude-code:7c1e2a41-93d4-4f0e-a6b8-2d51f0c9e3aa";
const cardOf = (id: string): HTMLElement => screen.getByTestId(`card-${id}`);
const key = (k: string, more: KeyboardEventInit = {}): Promise<boolean> => fireEvent.keyDown(document.activeElement ?? document.body, { key: k, ...more });
/** A session that was not there before asks for something. */
const arrive = (client: FixtureClient, id: string): void => {
  const attention = cause("permission", Date.now() - MIN, id);
  client.change([{ ...client.card(WEBHOOK), session_id: id, label: id, attention, causes: [attention] }]);
};
const settle = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve, 0); });

test("the title is the answer", () => {
  start("thirty");
  expect(screen.getByTestId("headline").textContent).toBe("7 sessions need you");
  expect(screen.getAllByRole("heading", { level: 2 }).map((h) => h.textContent.trim())).toEqual(["Projects", "Blocked on you", "Your turn", "Left uncommitted", "Working", "Quiet", "Archive"]);
});

test("nobody chose: what needs you is listed, the rest is counted below and one click away (X15, X16)", async () => {
  start("thirty", null);
  expect(screen.getByTestId("chip-needs").getAttribute("aria-pressed")).toBe("true");
  expect(screen.getAllByRole("heading", { level: 2 }).map((h) => h.textContent.trim())).toEqual(["Projects", "Blocked on you", "Your turn", "Archive"]);
  const rest = screen.getByTestId("rest");
  expect(rest.textContent).toContain("Not in this list:");
  expect(within(rest).getAllByRole("button").map((b) => b.textContent.trim())).toEqual(["4 worktrees left uncommitted", "4 at work", "1 in background", "9 quiet"]);
  expect(rest.textContent).toContain("Never listed: ");
  await fireEvent.click(within(rest).getByTestId("rest-quiet"));
  expect(screen.getByTestId("chip-quiet").getAttribute("aria-pressed")).toBe("true");
  expect(localStorage.getItem("lamplight.chip")).toBe("quiet");
});

test("all clear: what goes on by itself is shown in place of an empty list, quiet ones stay counted (X16)", () => {
  start("clear", null);
  expect(screen.getByTestId("headline").textContent).toBe("All clear");
  expect(screen.getAllByRole("heading", { level: 2 }).map((h) => h.textContent.trim())).toEqual(["Projects", "Working", "Archive"]);
  expect(within(screen.getByTestId("rest")).getByTestId("rest-quiet").textContent).toMatch(/\d+ quiet/);
});

test.each([
  ["empty", "No session is open right now"],
  ["importing", "Getting to know this machine"],
  ["clear", "All clear"],
  ["error", "Nothing needs you, as far as Lamplight can see"],
  ["port-taken", "All clear"],
  ["stale", "Not connected"],
  ["loading", "Lamplight"],
])("with %s it says: %s", (name, title) => {
  start(name);
  expect(screen.getByTestId("headline").textContent).toBe(title);
});

test("a card is announced by name, state and wait", () => {
  start("three");
  expect(cardOf(WEBHOOK).getAttribute("aria-label")?.replaceAll("\u00a0", " ")).toBe("Stripe webhook idempotency, Permission to run a command, for 12 min");
});

test("what agents write is text: no element of it exists, nothing of it runs", () => {
  start("long-names");
  const list = document.querySelector("[data-scroll]");
  expect(list?.querySelectorAll("img, script, iframe").length).toBe(0);
  expect(list?.textContent).toContain('<img src=x onerror="document.title=\'owned\'">');
  expect(list?.textContent).toContain("echo safe⟨U+202E⟩ && rm -rf");
  // eslint-disable-next-line no-control-regex
  expect(list?.textContent).not.toMatch(/[\u0000-\u0008\u001b\u202e]/);
});

test("a time that no calendar has takes nothing away: it is not known", async () => {
  const client = start("three");
  const far = Number.MAX_SAFE_INTEGER;
  const attention = cause("permission", far, "w");
  client.change([{ ...client.card(WEBHOOK), last_activity_at_ms: far, started_at_ms: far, turn_state_since_ms: far, attention, causes: [attention], evidence: client.card(WEBHOOK).evidence.map((e) => ({ ...e, at_ms: far })) }]);
  await waitFor(() => { expect(cardOf(WEBHOOK).getAttribute("aria-label")).toContain("for not known"); });
  expect(cardOf(WEBHOOK).querySelector("time")?.textContent).toBe("not known");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency"));
  await screen.findByText("good. go on with the webhook then");
});

test("a session that cannot be drawn says so by its id, costs no neighbour, and comes back once it can be", async () => {
  const client = start("three");
  const before = client.card(WEBHOOK);
  client.change([{ ...before, context: null as never }]);
  const line = await screen.findByTestId("not-drawn");
  expect(line.textContent).toContain(`Session ${WEBHOOK} cannot be shown: `);
  expect(screen.getByText("OTLP queue: backpressure and 503").isConnected).toBe(true);
  client.change([before]);
  await waitFor(() => { expect(cardOf(WEBHOOK).isConnected).toBe(true); });
  expect(screen.queryByTestId("not-drawn")).toBeNull();
});

test("F2 renames: Enter saves, trimmed and in one line; undo puts the old name back", async () => {
  const client = start("three");
  within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency").closest("button")?.focus();
  await key("F2");
  const input = screen.getByTestId("rename");
  expect(document.activeElement).toBe(input);
  await fireEvent.input(input, { target: { value: "  Webhooks\u202e  " } });
  await key("Enter");
  await screen.findByText("Webhooks");
  expect(client.calls).toContainEqual(["setLabel", WEBHOOK, "Webhooks"]);
  await settle();
  expect(document.activeElement?.textContent.trim()).toBe("Webhooks");
  await key("z");
  await screen.findByText("Stripe webhook idempotency");
});

test("the pencil renames in place with a left click, and opens no dialog and no session (A62)", async () => {
  start("three");
  const asked = vi.spyOn(window, "prompt");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByRole("button", { name: "Rename Stripe webhook idempotency" }));
  expect(document.activeElement).toBe(within(cardOf(WEBHOOK)).getByTestId("rename"));
  expect(asked).not.toHaveBeenCalled();
  expect(screen.getByTestId("headline")).toBeTruthy();
});

test("rename (A59): Esc changes nothing, blank goes back to the name it has by itself, the composing Enter is not ours", async () => {
  const client = start("three");
  within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency").closest("button")?.focus();
  await key("F2");
  await fireEvent.input(screen.getByTestId("rename"), { target: { value: "x" } });
  await key("Escape");
  expect(screen.queryByTestId("rename")).toBeNull();
  await settle();
  await key("F2");
  await fireEvent.keyDown(screen.getByTestId("rename"), { key: "Enter", isComposing: true });
  expect(screen.queryByTestId("rename")).not.toBeNull();
  await fireEvent.input(screen.getByTestId("rename"), { target: { value: "   " } });
  await key("Enter");
  await screen.findByText("make the stripe webhook handler safe to call twice");
  expect(client.calls.filter(([c]) => c === "setLabel")).toEqual([["setLabel", WEBHOOK, null]]);
});

test("a field that is taken away unsettled changes nothing and lets the list go", async () => {
  const client = start("three");
  within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency").closest("button")?.focus();
  await key("F2");
  await fireEvent.input(screen.getByTestId("rename"), { target: { value: "x" } });
  arrive(client, "late");
  await screen.findByText("1 session more needs you");
  await fireEvent.click(screen.getByTestId("chip-quiet"));
  await fireEvent.click(screen.getByTestId("chip-all"));
  expect(cardOf("claude-code:late").isConnected).toBe(true);
  expect(screen.queryByTestId("rename")).toBeNull();
  expect(client.calls.filter(([c]) => c === "setLabel")).toEqual([]);
});

test("the list moves again once a menu that was opened over a reason is closed; asked for what arrived, it moves at once", async () => {
  const client = start("three");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("state"));
  await screen.findByTestId("evidence");
  await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  await screen.findByTestId("menu-rename");
  expect(screen.queryByTestId("evidence")).toBeNull();
  arrive(client, "late");
  await fireEvent.click(await screen.findByText("1 session more needs you"));
  expect(cardOf("claude-code:late").isConnected).toBe(true);
  await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  await screen.findByTestId("menu-rename");
  await key("Escape");
  await waitFor(() => { expect(screen.queryByTestId("menu-rename")).toBeNull(); });
  arrive(client, "later");
  await waitFor(() => { expect(cardOf("claude-code:later").isConnected).toBe(true); });
});

test("right-click opens the menu of that session, without the webview's own; Rename is in it", async () => {
  start("three");
  const kept = await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  expect(kept).toBe(false);
  const items = await screen.findAllByRole("menuitem");
  expect(items.map((i) => i.textContent.trim().replace(/(Ctrl C|Ctrl Enter|Enter|F2|S|E|W|Del)$/, ""))).toEqual(["Copy resume command", "Go to it", "Open", "Rename", "Snooze", "Mark as handled", "Mute session", "Mute projectharbor-api", "Why this state", "Show folder", "Copy session id", "Copy bug report", "Close session"]);
});

test("copy says the exact line", async () => {
  const client = start("three");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("copy-resume"));
  const toast = await screen.findByTestId("toast");
  expect(toast.querySelector("code")?.textContent).toBe(client.card(WEBHOOK).resume.command);
  expect(window.location.hash).toBe("");
});

test("a session without a resume command says why instead", async () => {
  start("thirty");
  const id = "claude-code:" + [...document.querySelectorAll<HTMLElement>(".line")].map((e) => e.dataset["id"] ?? "").find((x) => screen.getByTestId(`card-${x}`).textContent.includes("4f1c09aa"))?.split(":")[1];
  await fireEvent.click(within(cardOf(id)).getByTestId("copy-resume"));
  expect((await screen.findByTestId("toast")).textContent).toContain("its transcript was deleted on 12 November");
});

test("E marks as handled and Z takes it back", async () => {
  const client = start("three");
  within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency").closest("button")?.focus();
  await key("e");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("All clear"); });
  await key("z");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("1 session needs you"); });
  expect(client.calls.filter(([c]) => c === "setCause").map(([, , action]) => action)).toEqual([{ type: "dismiss" }, { type: "restore" }]);
});

test("the toast of a new name takes back the new name, and each toast what it tells of, nothing else", async () => {
  const client = start("three");
  within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency").closest("button")?.focus();
  await key("F2");
  await fireEvent.input(screen.getByTestId("rename"), { target: { value: "Webhooks" } });
  await key("Enter");
  await waitFor(() => { expect(screen.getByTestId("toast").textContent).toContain("Renamed to “Webhooks”"); });
  await fireEvent.click(screen.getByTestId("undo"));
  await screen.findByText("Stripe webhook idempotency");
  await waitFor(() => { expect(screen.getByTestId("toast").textContent).toContain("Name of “Webhooks” put back"); });
  await key("z");
  await settle();
  expect(client.calls.filter(([c]) => c === "setLabel"), "it is taken back once").toHaveLength(2);
});

test("Z after what cannot be undone says so, and takes back nothing that was done before it", async () => {
  const client = start("thirty");
  const dead = [...document.querySelectorAll<HTMLElement>(".line")].map((e) => e.dataset["id"] ?? "").find((id) => client.card(id).liveness.state === "dead") ?? "";
  cardOf(WEBHOOK).querySelector<HTMLElement>("[data-open]")?.focus();
  await key("e");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("6 sessions need you"); });
  cardOf(dead).querySelector<HTMLElement>("[data-open]")?.focus();
  await key("Delete");
  await waitFor(() => { expect(screen.getByTestId("toast").textContent).toContain("closed. It comes back by itself"); });
  expect(screen.queryByTestId("undo")).toBeNull();
  await key("z");
  await waitFor(() => { expect(screen.getByTestId("toast").textContent).toContain("stays closed until it goes on."); });
  expect(screen.getByTestId("headline").textContent).toBe("6 sessions need you");
  await key("z");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("7 sessions need you"); });
});

test("a session that was put off and left work is counted, and wakes to what was put off", async () => {
  const client = start("thirty", null);
  const id = "cause-uncommitted-r1";
  const left = screen.getByTestId(id).closest<HTMLElement>("[data-id]")?.dataset["id"] ?? "";
  cardOf(left).querySelector<HTMLElement>("[data-open]")?.focus();
  await key("s");
  const line = await screen.findByTestId("snoozed");
  expect(line.textContent).toContain("1 session snoozed:");
  await fireEvent.click(within(line).getByRole("button", { name: /^End snooze/ }));
  await waitFor(() => { expect(screen.queryByTestId("snoozed")).toBeNull(); });
  expect(client.calls.filter(([c]) => c === "setCause").map(([, cause]) => cause)).toEqual(["reply-r1", "reply-r1"]);
});

test("what was put off and is waved away is put off again by Z, and so is what was woken", async () => {
  const client = start("thirty");
  const acts = (): unknown[] => client.calls.filter(([c]) => c === "setCause").map(([, , action]) => (action as { type: string }).type);
  const chip = (): HTMLElement => screen.getByTestId("cause-limit-q2");
  expect(chip().textContent).toContain("snoozed until");
  await fireEvent.click(within(chip()).getByRole("button", { name: /^Mark as handled/ }));
  await waitFor(() => { expect(screen.queryByTestId("cause-limit-q2")).toBeNull(); });
  await key("z");
  await waitFor(() => { expect(chip().textContent).toContain("snoozed until"); });
  await fireEvent.click(within(chip()).getByRole("button", { name: /^Snooze/ }));
  await fireEvent.click(await screen.findByTestId("menu-wake"));
  await waitFor(() => { expect(chip().textContent).not.toContain("snoozed until"); });
  await fireEvent.click(screen.getByTestId("undo"));
  await waitFor(() => { expect(chip().textContent).toContain("snoozed until"); });
  expect(acts()).toEqual(["dismiss", "restore", "snooze", "restore", "restore", "snooze"]);
});

test("a toast that takes the place of one under the pointer does not stay for ever", async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  try {
    start("three");
    await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("copy-resume"));
    await fireEvent.pointerEnter(await screen.findByTestId("toast"));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(screen.queryByTestId("toast"), "it is looked at").not.toBeNull();
    await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("copy-resume"));
    await vi.advanceTimersByTimeAsync(7_000);
    expect(screen.queryByTestId("toast")).toBeNull();
  } finally {
    vi.useRealTimers();
  }
});

test("a key that is held walks through the list, and does nothing else more than once", async () => {
  const client = start("thirty");
  await key("j");
  await key("j", { repeat: true });
  expect(document.activeElement?.textContent).toContain("Checkout totals");
  await key("e");
  await waitFor(() => { expect(client.calls.filter(([c]) => c === "setCause").length).toBe(1); });
  await key("j");
  expect(await key("e", { repeat: true }), "the webview does nothing with it either").toBe(false);
  expect(await key("Enter", { repeat: true }), "the name under the focus is not opened by a key that was pressed elsewhere").toBe(false);
  await settle();
  expect(client.calls.filter(([c]) => c === "setCause").length).toBe(1);
});

test("time goes on where nothing is told: a limit that was to reset has reset, tomorrow is today", async () => {
  vi.useFakeTimers({ now: new Date(2026, 10, 20, 14) });
  try {
    const client = start("thirty");
    const limited = cardOf([...(await client.status()).sessions].filter((c) => c.attention?.cause === "limit").map(idOf)[0] ?? "");
    expect(limited.textContent.replaceAll("\u00a0", " ")).toContain("resets 16:06, in 2 h 6 min");
    vi.setSystemTime(new Date(2026, 10, 21, 8));
    await vi.advanceTimersByTimeAsync(16_000);
    expect(limited.textContent).toContain("reset at");
    expect(limited.textContent).not.toContain(" in ");
    expect(screen.queryByText("Active today, list price")).toBeNull();
  } finally {
    vi.useRealTimers();
  }
});

test("a message to a window whose clock stands still lets the time pass once at most; seen again, the window is of now", async () => {
  const page = { state: "hidden" };
  const visibility = vi.spyOn(document, "visibilityState", "get").mockImplementation(() => page.state as DocumentVisibilityState);
  // A real clock, of which two looks never tell the same.
  let slept = 0;
  const date = vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + slept);
  const retime = vi.spyOn(Store.prototype, "retime");
  try {
    const client = start("thirty");
    await settle();
    const age = (): string | undefined => cardOf(WEBHOOK).getAttribute("aria-label")?.replaceAll("\u00a0", " ").split(", ").at(-1);
    expect(age()).toBe("for 12 min");
    slept = 60 * MIN;
    for (let n = 0; n < 3; n += 1) {
      retime.mockClear();
      client.change([{ ...client.card(WEBHOOK) }]);
      await settle();
      expect(retime.mock.calls.length).toBeLessThanOrEqual(1);
    }
    slept = 120 * MIN;
    page.state = "visible";
    document.dispatchEvent(new Event("visibilitychange"));
    await waitFor(() => { expect(age()).toBe("for 2 h 12 min"); });
    slept = -120 * MIN;
    retime.mockClear();
    document.dispatchEvent(new Event("visibilitychange"));
    await settle();
    expect(retime, "a clock that was set back is followed").toHaveBeenCalledTimes(1);
  } finally {
    for (const spy of [visibility, date, retime]) spy.mockRestore();
  }
});

test("a change of the stream changes the card in place, and a new blocked session is said once", async () => {
  const client = start("three");
  const idle = [...document.querySelectorAll<HTMLElement>(".line")][0]?.dataset["id"] ?? "";
  const before = client.card(idle);
  client.change([{ ...before, turn_state: "awaiting_permission", attention: cause("permission", Date.now() - MIN, "new"), causes: [] }]);
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("2 sessions need you"); });
  expect(screen.getByTestId("announcement").textContent).toBe("OpenAPI: nullable vs optional: Waiting for your permission");
  expect(within(cardOf(idOf(before))).getByTestId("state").textContent).toBe("Waiting for your permission");
});

test("J and K walk through the list, Enter's button opens, Esc comes back", async () => {
  start("three");
  await key("j");
  expect(document.activeElement?.closest("[data-id]")?.getAttribute("data-id")).toBe(WEBHOOK);
  await key("j");
  expect(document.activeElement?.textContent).toContain("OTLP queue");
  await key("k");
  await fireEvent.click(document.activeElement as HTMLElement);
  expect(screen.getByTestId("headline").textContent).toContain("Stripe webhook idempotency");
  await screen.findByText("good. go on with the webhook then");
  await key("Escape");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("1 session needs you"); });
});

test("the focus stays with a session that moves to another section, and goes to its neighbour when it leaves", async () => {
  const client = start("thirty");
  const on = (): string => document.activeElement?.closest<HTMLElement>("[data-id]")?.dataset["id"] ?? "nowhere";
  const [blocked, next] = [...document.querySelectorAll<HTMLElement>(".card")].map((e) => e.dataset["id"] ?? "");
  cardOf(blocked ?? "").querySelector<HTMLElement>("[data-open]")?.focus();
  client.change([{ ...client.card(blocked ?? ""), turn_state: "working", attention: null, causes: [] }]);
  await waitFor(() => { expect(cardOf(blocked ?? "").classList.contains("wrow")).toBe(true); });
  await waitFor(() => { expect(on()).toBe(blocked); });
  const tree = screen.getByTestId("tree-/home/ada/src/storefront-spike");
  within(tree).getByRole("button", { name: /^Mark as handled/ }).focus();
  await key("e");
  await waitFor(() => { expect(screen.getByTestId("tree-/home/ada/src/storefront-spike").textContent).toContain("seen to"); });
  await waitFor(() => { expect(on()).toBe("tree /home/ada/src/storefront-spike"); });
  cardOf(next ?? "").querySelector<HTMLElement>("[data-open]")?.focus();
  const after = [...document.querySelectorAll<HTMLElement>(".card")][1]?.dataset["id"];
  client.change([], [next ?? ""]);
  await waitFor(() => { expect(screen.queryByTestId(`card-${next ?? ""}`)).toBeNull(); });
  await waitFor(() => { expect(on()).toBe(after); });
});

test("a key meant for a row that left by itself does not hit its neighbour; who took the row away goes on at once", async () => {
  vi.useFakeTimers({ now: new Date(2026, 10, 20, 14) });
  try {
    const client = start("thirty", "needs");
    const on = (): string => document.activeElement?.closest<HTMLElement>("[data-id]")?.dataset["id"] ?? "nowhere";
    const calls = (what: string): unknown[] => client.calls.filter(([c]) => c === what);
    const [a, b, c, d, e, f] = [...document.querySelectorAll<HTMLElement>(".card")].map((row) => row.dataset["id"] ?? "");
    cardOf(a ?? "").querySelector<HTMLElement>("[data-open]")?.focus();
    client.change([], [a ?? ""]);
    await vi.waitFor(() => { expect(on()).toBe(b); });
    for (const k of ["e", "s", "Delete"]) expect(await key(k), `${k} is ours, and does nothing`).toBe(false);
    await key("c", { ctrlKey: true });
    expect(calls("copyResume"), "what changes nothing goes on").toEqual([["copyResume", b]]);
    await key("j");
    expect(on()).toBe(c);
    await key("k");
    expect(on()).toBe(b);
    await vi.advanceTimersByTimeAsync(SETTLE_MS - 200);
    await key("e");
    expect([...calls("setCause"), ...calls("close")], "nothing was done to anybody").toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    await key("e");
    await vi.waitFor(() => { expect(on()).toBe(c); });
    await key("Delete");
    await vi.waitFor(() => { expect(on()).toBe(d); });
    expect(calls("close"), "their own doing asks for no pause").toEqual([["close", c]]);
    client.change([], [d ?? ""]);
    await vi.waitFor(() => { expect(on()).toBe(e); });
    await key("e");
    expect(calls("setCause"), "it was the next one that left by itself").toHaveLength(1);
    await vi.advanceTimersByTimeAsync(SETTLE_MS);
    await fireEvent.contextMenu(cardOf(e ?? ""), { clientX: 40, clientY: 40 });
    await vi.waitFor(() => fireEvent.click(screen.getByTestId("menu-handled")));
    await vi.waitFor(() => { expect(on()).toBe(f); });
    await key("e");
    expect(calls("setCause"), "nor does what they chose in the menu").toHaveLength(3);
  } finally {
    vi.useRealTimers();
  }
});

test("the focus that its person took away is not brought back", async () => {
  const client = start("three");
  const leave = async (): Promise<void> => {
    const { length } = document.querySelectorAll(".card, .wrow, .line");
    client.change([], [[...document.querySelectorAll<HTMLElement>(".card, .wrow, .line")][0]?.dataset["id"] ?? ""]);
    await waitFor(() => { expect(document.querySelectorAll(".card, .wrow, .line")).toHaveLength(length - 1); });
    await settle();
  };
  document.querySelector<HTMLElement>("[data-scroll] [data-open]")?.focus();
  screen.getByTestId("filter").focus();
  screen.getByTestId("filter").blur();
  await leave();
  expect(document.activeElement).toBe(document.body);
  document.querySelector<HTMLElement>("[data-scroll] [data-open]")?.focus();
  await fireEvent.pointerDown(screen.getByTestId("headline"));
  (document.activeElement as HTMLElement).blur();
  await leave();
  expect(document.activeElement).toBe(document.body);
});

test("? lists every key, Esc closes it and gives the focus back; the footer and the palette lead there too", async () => {
  start("three");
  await key("j");
  const before = document.activeElement;
  await key("?", { shiftKey: true });
  const list = await screen.findByRole("dialog", { name: "Keys" });
  expect(within(list).getAllByRole("heading", { level: 3 }).map((h) => h.textContent)).toEqual(["Move", "A session", "What calls", "Pages", "This window", "The list of Now", "The spans of a trace"]);
  expect(within(list).getByText("Copy its resume command").parentElement?.textContent).toContain("CtrlC");
  await key("e");
  expect(screen.getByTestId("headline").textContent, "keys do nothing under it").toBe("1 session needs you");
  await key("Escape");
  await waitFor(() => { expect(screen.queryByTestId("keys")).toBeNull(); });
  expect(document.activeElement).toBe(before);
  await fireEvent.click(screen.getByTestId("open-keys"));
  await screen.findByTestId("keys");
  await key("Escape");
  await waitFor(() => { expect(screen.queryByTestId("keys")).toBeNull(); });
  await key("k", { ctrlKey: true });
  await fireEvent.click(await screen.findByText("Keys: the list of all"));
  await screen.findByTestId("keys");
  expect(screen.queryByTestId("palette")).toBeNull();
});

test("a filter that matches nothing says so and can be cleared", async () => {
  start("thirty");
  await fireEvent.input(screen.getByTestId("filter"), { target: { value: "no such thing" } });
  await fireEvent.click(await screen.findByText("Clear the filter"));
  expect(cardOf(WEBHOOK).isConnected).toBe(true);
});

test.each([
  ["background", "Nothing runs in the background."],
  ["uncommitted", "No work is known to be left uncommitted."],
])("an empty chip says what is true: %s", async (chip, says) => {
  start("three", chip);
  const line = screen.getByTestId("nothing-here");
  expect(line.textContent).toContain(says);
  expect(line.textContent).not.toContain("filter");
  await fireEvent.click(within(line).getByRole("button", { name: "Show all sessions" }));
  expect(screen.getByTestId("chip-all").getAttribute("aria-pressed")).toBe("true");
  expect(screen.queryByTestId("nothing-here")).toBeNull();
});

test("the archive tells what it searched when nothing was found", async () => {
  history.replaceState(null, "", "/#/archive?q=zzz");
  start("thirty");
  expect((await screen.findByTestId("nothing")).textContent.trim()).toBe("Nothing was found for “zzz”. Searched 923 sessions.");
});

test("the folded archive opens into six that are not listed, however many are; one number stands everywhere", async () => {
  const client = start("thirty");
  const listed = (await client.status()).sessions.map(idOf);
  await fireEvent.click(screen.getByTestId("archive-fold"));
  await waitFor(() => { expect(document.querySelectorAll(".hit")).toHaveLength(6); });
  expect([...document.querySelectorAll<HTMLElement>(".hit")].filter((hit) => listed.includes(hit.dataset["id"] ?? ""))).toEqual([]);
  const numbers = (): (string | undefined)[] => [screen.getByTestId("archive-fold"), screen.getByText(/in the archive$/), screen.getByTestId("nav-archive")].map((e) => /\d+/.exec(e.textContent)?.[0]);
  expect(numbers()).toEqual(["900", "900", "900"]);
  client.change([], [listed[0] ?? ""]);
  await waitFor(() => { expect(numbers()).toEqual(["901", "901", "901"]); });
  await fireEvent.click(screen.getByText(/in the archive$/));
  await screen.findByText("901 sessions");
});

test("the page of the archive reads on where whole pages of it are on the screen", async () => {
  history.replaceState(null, "", "/#/archive");
  const client = start("three-hundred");
  const listed = new Set((await client.status()).sessions.map(idOf));
  await waitFor(() => { expect(screen.getAllByTestId(/^card-/).length).toBeGreaterThan(5); });
  expect(screen.getAllByTestId(/^card-/).filter((e) => listed.has(e.dataset["id"] ?? ""))).toEqual([]);
  expect(screen.getByText("900 sessions").isConnected).toBe(true);
});

test("what stands in the list is not in the folded archive again, and its name can be changed", async () => {
  const client = start("thirty");
  await fireEvent.click(screen.getByTestId("archive-fold"));
  const [first] = await waitFor(() => {
    const hits = [...document.querySelectorAll<HTMLElement>(".hit")];
    expect(hits).toHaveLength(6);
    return hits;
  });
  const id = first?.dataset["id"] ?? "";
  const all = screen.getByText(/in the archive$/);
  expect(all.textContent).toContain("All 900");
  client.change([{ ...client.card(id), lifecycle: "active" }]);
  await waitFor(() => { expect(all.textContent).toContain("All 899"); });
  expect(screen.getAllByTestId(`card-${id}`)).toHaveLength(1);
  cardOf(id).querySelector<HTMLElement>("[data-open]")?.focus();
  await key("F2");
  await fireEvent.input(screen.getByTestId("rename"), { target: { value: "Came back" } });
  await key("Enter");
  await waitFor(() => { expect(cardOf(id).textContent).toContain("Came back"); });
});

test("what is forgotten from the folded archive leaves it", async () => {
  start("thirty");
  await fireEvent.click(screen.getByTestId("archive-fold"));
  const id = (await waitFor(() => document.querySelector<HTMLElement>(".hit") as HTMLElement)).dataset["id"] ?? "";
  await fireEvent.contextMenu(cardOf(id), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-forget"));
  await fireEvent.click(await screen.findByTestId("forget-yes"));
  await waitFor(() => { expect(screen.queryByTestId(`card-${id}`)).toBeNull(); });
  await waitFor(() => { expect(screen.getByText(/in the archive$/).textContent).toContain("All 899"); });
});

test("what is taken out of the archive leaves its page with its count, and Z puts it back", async () => {
  history.replaceState(null, "", "/#/archive");
  const client = start("thirty");
  const id = (await screen.findAllByTestId(/^card-/))[0]?.dataset["id"] ?? "";
  const put = { ...client.card(id), archived_at_ms: Date.now() };
  client.sessions = () => Promise.resolve({ sessions: [put, client.card("claude-code:7c977b95-93d4-4f0e-a6b8-2d51f0c9e3aa")], next: null, total: 2 });
  await fireEvent.input(screen.getByTestId("archive-search"), { target: { value: "x" } });
  await screen.findByText(/^2 of/);
  await fireEvent.input(screen.getByTestId("archive-search"), { target: { value: "" } });
  await screen.findByText("900 sessions");
  await waitFor(() => { expect(screen.getAllByTestId(/^card-/)).toHaveLength(2); });
  await fireEvent.contextMenu(cardOf(id), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-unarchive"));
  await screen.findByText("899 sessions");
  expect(screen.queryByTestId(`card-${id}`)).toBeNull();
  await key("z");
  await screen.findByText("900 sessions");
  expect(cardOf(id).isConnected).toBe(true);
  expect(client.calls.filter(([c]) => c === "archive" || c === "unarchive")).toEqual([["unarchive", id], ["archive", id]]);
});

test("a past session can be renamed where it is found", async () => {
  history.replaceState(null, "", "/#/archive?q=split the import worker");
  const client = start("thirty");
  const found = await screen.findAllByTestId(/^card-/);
  const id = found[0]?.dataset["id"] ?? "";
  await fireEvent.contextMenu(cardOf(id), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-rename"));
  await fireEvent.input(await screen.findByTestId("rename"), { target: { value: "Import, split" } });
  await key("Enter");
  await waitFor(() => { expect(cardOf(id).textContent).toContain("Import, split"); });
  expect(client.calls).toContainEqual(["setLabel", id, "Import, split"]);
});

test("keys act on the session under the focus, past ones too, never on the one before", async () => {
  history.replaceState(null, "", "/#/archive");
  const client = start("thirty");
  const [first, second] = (await screen.findAllByTestId(/^card-/)).map((e) => e.dataset["id"] ?? "");
  await fireEvent.contextMenu(cardOf(first ?? ""), { clientX: 40, clientY: 40 });
  await screen.findByTestId("menu-rename");
  await key("Escape");
  await waitFor(() => { expect(screen.queryByTestId("menu-rename")).toBeNull(); });
  cardOf(second ?? "").querySelector<HTMLElement>("[data-open]")?.focus();
  await key("c", { ctrlKey: true });
  expect(client.calls.filter(([c]) => c === "copyResume")).toEqual([["copyResume", second]]);
});

test("the page on screen is told to the host, and that it was left", async () => {
  const client = start("three");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency"));
  await screen.findByTestId("back");
  await fireEvent.click(screen.getByTestId("back"));
  await waitFor(() => { expect(client.calls.filter(([c]) => c === "setOnScreen")).toEqual([["setOnScreen", WEBHOOK], ["setOnScreen", null]]); });
});

test("an archived session leaves the list, and Z brings it back with what it asked", async () => {
  const client = start("three");
  const before = screen.getByTestId("headline").textContent;
  client.change([{ ...client.card(WEBHOOK), liveness: { state: "alive", source: "registry", observed_at_ms: 1 } }]);
  await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  await screen.findByTestId("menu-mute");
  expect(screen.queryByTestId("menu-archive"), "what a process runs is not put away").toBeNull();
  await key("Escape");
  client.change([{ ...client.card(WEBHOOK), liveness: { state: "dead", source: "registry", observed_at_ms: 1 } }]);
  await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-archive"));
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("All clear"); });
  expect(screen.queryByTestId(`card-${WEBHOOK}`)).toBeNull();
  await key("z");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe(before); });
  expect(client.calls.filter(([c]) => c === "archive" || c === "unarchive")).toEqual([["archive", WEBHOOK], ["unarchive", WEBHOOK]]);
});

test("a bug report is copied, and the toast says what is in it", async () => {
  const client = start("three");
  await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-report"));
  expect((await screen.findByTestId("toast")).textContent).toContain("No name, path, prompt or answer is in it.");
  expect(client.calls.filter(([c]) => c === "report")).toEqual([["report", WEBHOOK]]);
  expect(client.calls.find(([c]) => c === "copyText")?.[1]).toMatch(/^# Lamplight: evidence of a card/);
});

test("forgetting asks once more, takes the session off, and cannot be undone", async () => {
  const client = start("three");
  client.change([{ ...client.card(WEBHOOK), liveness: { state: "dead", source: "registry", observed_at_ms: 1 } }]);
  const ask = async (): Promise<HTMLElement> => {
    await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
    await fireEvent.click(await screen.findByTestId("menu-forget"));
    return screen.findByTestId("forget-dialog");
  };
  const dialog = await ask();
  expect(dialog.getAttribute("role")).toBe("alertdialog");
  expect(dialog.textContent).toContain("Forget “Stripe webhook idempotency” for good?");
  await fireEvent.click(within(dialog).getByTestId("forget-no"));
  await waitFor(() => { expect(screen.queryByTestId("forget-dialog")).toBeNull(); });
  expect(client.calls.filter(([c]) => c === "forget")).toEqual([]);
  await fireEvent.click(within(await ask()).getByTestId("forget-yes"));
  await waitFor(() => { expect(screen.queryByTestId(`card-${WEBHOOK}`)).toBeNull(); });
  expect(client.calls.filter(([c]) => c === "forget")).toEqual([["forget", { id: WEBHOOK }, false]]);
  expect((await screen.findByTestId("toast")).textContent).toContain("is forgotten. Its transcript stays");
  expect(screen.queryByTestId("undo")).toBeNull();
});

test("work left by an archived session stays listed, counted, and leads to that session", async () => {
  const client = start("thirty", "uncommitted");
  expect(screen.getByTestId("chip-uncommitted").textContent).toContain("4");
  const tree = screen.getByTestId("tree-/home/ada/src/mobile-app/.claude/worktrees/deep-links");
  expect(tree.textContent.replace(/\s+/g, " ").trim()).toBe("deep-links ~/src/mobile-app/.claude/worktrees/deep-links 4 files · archived session 7c977b95");
  const [first] = within(screen.getByTestId("tree-/home/ada/src/storefront-spike")).getAllByRole("button", { name: /Mark as handled/ });
  await fireEvent.click(first as HTMLElement);
  await waitFor(() => { expect(screen.getByTestId("tree-/home/ada/src/storefront-spike").textContent).toContain("seen to"); });
  expect(screen.getByTestId("chip-uncommitted").textContent, "it still lies there").toContain("4");
  await fireEvent.click(within(screen.getByTestId("tree-/home/ada/src/mobile-app/.claude/worktrees/deep-links")).getByRole("button"));
  await screen.findByTestId("back");
  expect(client.calls).toContainEqual(["setOnScreen", expect.stringMatching(/^claude-code:7c977b95-/)]);
});

test("a name changed from its worktree's row: the field is on the session's page, and the list is not held after it", async () => {
  const client = start("thirty", "uncommitted");
  within(screen.getByTestId("tree-/home/ada/src/storefront-spike")).getByText("spike/view-transitions").closest("button")?.focus();
  await key("F2");
  expect(document.activeElement).toBe(await screen.findByTestId("rename"));
  await key("Escape");
  await key("Escape");
  await waitFor(() => { expect(screen.queryByTestId("back")).toBeNull(); });
  arrive(client, "late");
  await fireEvent.click(screen.getByTestId("chip-needs"));
  await screen.findByTestId("card-claude-code:late");
});

test("on a worktree's row keys and menu act on the work left there, not on what its session asks for", async () => {
  const client = start("thirty");
  const row = (): HTMLElement => screen.getByTestId("tree-/home/ada/src/ledger-core");
  const acts = (): unknown[] => client.calls.filter(([c]) => c === "setCause").map(([, id, action]) => [id, (action as { type: string }).type]);
  const name = (): HTMLElement => row().querySelector<HTMLElement>("[data-open]") as HTMLElement;
  name().focus();
  await key("s");
  await waitFor(() => { expect(acts()).toEqual([["uncommitted-r1", "snooze"]]); });
  expect((await screen.findByTestId("toast")).textContent.replaceAll("\u00a0", " ")).toMatch(/“ledger-core” snoozed until/);
  await key("z");
  name().focus();
  await key("e");
  await waitFor(() => { expect(acts()).toEqual([["uncommitted-r1", "snooze"], ["uncommitted-r1", "restore"], ["uncommitted-r1", "dismiss"]]); });
  await key("z");
  await waitFor(() => { expect(acts()).toHaveLength(4); });
  await fireEvent.contextMenu(row(), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-handled"));
  await waitFor(() => { expect(acts().at(-1)).toEqual(["uncommitted-r1", "dismiss"]); });
  expect(screen.getByTestId("headline").textContent, "its reply calls as before").toBe("7 sessions need you");
});

test("a worktree that calls nobody is not handled again, and the end of its snooze is in its menu", async () => {
  const client = start("thirty");
  const row = (): HTMLElement => screen.getByTestId("tree-/home/ada/src/storefront-spike");
  row().querySelector<HTMLElement>("[data-open]")?.focus();
  await key("s");
  await waitFor(() => { expect(row().textContent).toContain("snoozed until"); });
  row().querySelector<HTMLElement>("[data-open]")?.focus();
  await key("e");
  await settle();
  expect(client.calls.filter(([c]) => c === "setCause")).toHaveLength(1);
  await fireEvent.contextMenu(row(), { clientX: 40, clientY: 40 });
  await screen.findByTestId("menu-wake");
  expect(screen.queryByTestId("menu-handled")).toBeNull();
  await fireEvent.click(screen.getByTestId("menu-wake"));
  await waitFor(() => { expect(client.calls.filter(([c]) => c === "setCause").at(-1)).toEqual(["setCause", "uncommitted-u2", { type: "restore" }]); });
});

test("what was told as one thing and turned out to be another is called as it is known now", async () => {
  history.replaceState(null, "", "/#/told");
  const client = new FixtureClient("thirty");
  const question = client.card([...(await client.status()).sessions].filter((c) => c.attention?.cause === "question").map(idOf)[0] ?? "");
  const entry = (cause_id: string, cause: "elicitation" | "question") => ({ at_ms: Date.now(), session: idOf(question), label: question.label, cause_id, cause, tier: 1 as const, outcome: "told" as const, why: null });
  client.notices = () => Promise.resolve({ notices: [entry("question-q", "elicitation"), entry("over", "question"), entry("over", "elicitation"), entry("form", "elicitation")], next: null });
  render(App, { client });
  const rows = await screen.findAllByTestId("told");
  expect(rows.map((row) => row.querySelector(".cause")?.textContent)).toEqual(["Question", "Question", "Question", "Input"]);
});

test("the toast of a snooze names its session, and the reason where another one calls", async () => {
  const client = start("thirty");
  await key("j");
  await key("s");
  const plain = (): string => screen.getByTestId("toast").textContent.replaceAll("\u00a0", " ");
  await waitFor(() => { expect(plain()).toMatch(/“Stripe webhook idempotency” snoozed until (tomorrow )?\d\d:\d\d/); });
  await fireEvent.click(within(screen.getByTestId("cause-uncommitted-r1")).getByRole("button", { name: "Snooze: Uncommitted work" }));
  await fireEvent.click(await screen.findByTestId("menu-snooze-change"));
  await waitFor(() => { expect(plain()).toContain("Uncommitted work of “Investigate why the multi-tenant ingest integration test fails only on Fridays” snoozed until something happens in it"); });
  expect(client.calls.filter(([c]) => c === "setCause").length).toBe(2);
});

test("the palette draws keys as keys, and finds what can be done to the chosen session", async () => {
  const client = start("three");
  await key("j");
  await key("k", { ctrlKey: true });
  const palette = await screen.findByTestId("palette");
  const entry = (text: string): HTMLElement => within(palette).getByText(text).closest("[data-command-item]") as HTMLElement;
  expect([...entry("Show what is quiet").querySelectorAll("kbd")].map((k) => k.textContent)).toEqual(["5"]);
  expect([...entry("Copy resume command").querySelectorAll("kbd")].map((k) => k.textContent)).toEqual(["Ctrl", "C"]);
  expect([...palette.querySelectorAll(".gh")].map((h) => h.textContent)).toEqual(["Sessions", "“Stripe webhook idempotency”", "Do"]);
  expect(within(palette).queryByText("Archive session"), "a process runs it").toBeNull();
  await fireEvent.click(entry("Snooze for an hour"));
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("All clear"); });
  expect(screen.queryByTestId("palette")).toBeNull();
  cardOf(WEBHOOK).querySelector<HTMLElement>("[data-open]")?.focus();
  await key("k", { ctrlKey: true });
  await fireEvent.click(await screen.findByText("Rename"));
  expect(document.activeElement).toBe(await screen.findByTestId("rename"));
  await settle();
  expect(document.activeElement).toBe(screen.getByTestId("rename"));
  expect(client.calls.filter(([c]) => c === "setCause").length).toBe(1);
});

test("the palette knows nothing of a session where none is chosen", async () => {
  start("three");
  await key("k", { ctrlKey: true });
  const palette = await screen.findByTestId("palette");
  expect(within(palette).queryByText("Mute session")).toBeNull();
});

test("resuming what still runs is no call to action, and says that it would branch the transcript", async () => {
  const client = start("three");
  const card = { ...client.card(WEBHOOK), terminal: null };
  client.change([card]);
  const button = (): HTMLElement => within(cardOf(WEBHOOK)).getByTestId("copy-resume");
  await waitFor(() => { expect(within(cardOf(WEBHOOK)).queryByTestId("go-to")).toBeNull(); });
  expect([button().classList.contains("ink"), button().dataset["tip"]]).toEqual([false, "It runs already; resuming it again would branch its transcript."]);
  client.change([{ ...card, liveness: { state: "dead", source: "process", observed_at_ms: 1 }, resume: { ...card.resume, state: "ready" } }]);
  await waitFor(() => { expect(button().classList.contains("ink")).toBe(true); });
  expect(button().dataset["tip"]).toContain("claude --resume");
});

test("an alarm says that states may be missing only where states are read from; news of the settings is none, and can be read away", async () => {
  start("port-taken");
  const alarm = screen.getByTestId("banner-source");
  expect(alarm.textContent).toContain("everything else works.");
  expect(alarm.textContent).toContain("OTLP");
  expect(alarm.textContent).not.toMatch(/missing or old|more/);
  const said = screen.getByTestId("banner-news");
  expect([said.getAttribute("role"), said.classList.contains("calm"), said.querySelector("p")?.textContent]).toEqual(["status", true, "[[roots]] was changed: the change holds from the next start on."]);
  await fireEvent.click(within(said).getByRole("button", { name: "Dismiss" }));
  await waitFor(() => { expect(screen.queryByTestId("banner-news")).toBeNull(); });
  expect(screen.getByTestId("banner-source").isConnected).toBe(true);
});

test("a missing tray is said until it is there or read, and once read not again while it is missing", async () => {
  const client = start("three");
  const said = (): HTMLElement | null => screen.queryByTestId("banner-tray");
  client.shell?.tray(false);
  await waitFor(() => { expect(said()?.textContent).toContain("This desktop shows no tray icon."); });
  client.shell?.tray(true);
  await waitFor(() => { expect(said()).toBeNull(); });
  client.shell?.tray(false);
  await fireEvent.click(within(await screen.findByTestId("banner-tray")).getByRole("button", { name: "Dismiss" }));
  client.shell?.tray(false);
  await settle();
  expect(said()).toBeNull();
  client.shell?.tray(true);
  client.shell?.tray(false);
  await screen.findByTestId("banner-tray");
});

test("closed while it runs: the toast and the card say that it calls no more, and Z brings back what it asked", async () => {
  const client = start("three");
  within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency").closest("button")?.focus();
  await key("Delete");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("All clear"); });
  expect(screen.getByTestId("toast").textContent).toContain("“Stripe webhook idempotency” still runs: it calls you no more until it goes on.");
  expect(within(cardOf(WEBHOOK)).getByTestId("state").textContent).toBe("Permission to run a command, seen to");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("state"));
  expect((await screen.findByTestId("evidence")).textContent).toContain("You have seen to it: nothing calls for it until it goes on.");
  await key("Escape");
  await waitFor(() => { expect(screen.queryByTestId("evidence")).toBeNull(); });
  await fireEvent.click(screen.getByTestId("undo"));
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("1 session needs you"); });
  expect(client.calls.filter(([c]) => c === "close" || c === "setCause")).toEqual([["close", WEBHOOK], ["setCause", "permission-w", { type: "restore" }]]);
});

test("a muted session does not call, keeps its place in the list with the mark, and Z takes it back", async () => {
  const client = start("three");
  await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-mute"));
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("All clear"); });
  expect(within(cardOf(WEBHOOK)).getByTestId("state").textContent).toBe("Permission to run a command, muted by you");
  await key("z");
  await waitFor(() => { expect(screen.getByTestId("headline").textContent).toBe("1 session needs you"); });
  expect(client.calls.filter(([c]) => c === "setMuted")).toEqual([["setMuted", WEBHOOK, true], ["setMuted", WEBHOOK, false]]);
});

test("what else is open is a chip of its own: snoozed and handled by itself, the reason that calls stays (X13)", async () => {
  const client = start("thirty");
  const chip = screen.getByTestId("cause-uncommitted-r1");
  expect(chip.textContent.replaceAll("\u00a0", " ")).toMatch(/^\s*Uncommitted work\s+3 h 12 min\s*$/);
  await fireEvent.click(within(chip).getByRole("button", { name: "Snooze: Uncommitted work" }));
  await fireEvent.click(await screen.findByTestId("menu-snooze-change"));
  await waitFor(() => { expect(screen.getByTestId("cause-uncommitted-r1").textContent).toContain("snoozed until it changes"); });
  await fireEvent.click(within(screen.getByTestId("cause-uncommitted-r1")).getByRole("button", { name: "Mark as handled: Uncommitted work" }));
  await waitFor(() => { expect(screen.queryByTestId("cause-uncommitted-r1")).toBeNull(); });
  expect(screen.getByTestId("headline").textContent).toBe("7 sessions need you");
  expect(client.calls.filter(([c]) => c === "setCause").map(([, id, action]) => [id, action])).toEqual([["uncommitted-r1", { type: "snooze_until_change" }], ["uncommitted-r1", { type: "dismiss" }]]);
  await key("z");
  await waitFor(() => { expect(screen.getByTestId("cause-uncommitted-r1").isConnected).toBe(true); });
});

test("a whole project is muted from the menu, into the settings, without those muted before; Z takes it back", async () => {
  const client = start("thirty", null);
  await fireEvent.contextMenu(cardOf(WEBHOOK), { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-mute-project"));
  await waitFor(() => { expect(screen.queryByTestId(`card-${WEBHOOK}`)).toBeNull(); });
  expect(screen.getByTestId("muted-line").textContent).toContain("3 muted sessions need you, 1 left work uncommitted");
  await fireEvent.click(within(screen.getByTestId("muted-line")).getByRole("button", { name: "show" }));
  expect(within(cardOf(WEBHOOK)).getByTestId("muted").textContent).toBe("muted with its project");
  await key("z");
  await waitFor(() => { expect(screen.getByTestId("muted-line").textContent).toContain("2 muted sessions need you"); });
  expect(client.calls.filter(([c]) => c === "setSettings").map(([, set]) => set)).toEqual([{ "notify.muted_projects": ["scratch", "harbor-api"] }, { "notify.muted_projects": ["scratch"] }]);
});

test("why this state: what says otherwise stands under its own heading, and why it was not told is said", async () => {
  const client = start("thirty");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("state"));
  const against = within(await screen.findByTestId("evidence")).getByTestId("overruled");
  expect(within(against).getByRole("heading").textContent).toMatch(/^Says otherwise/);
  expect(within(against).getAllByRole("listitem").map((li) => li.textContent.replace(/\d.*$/, "").trim())).toEqual(["Hook the turn is over, its Stop hook ran"]);
  await key("Escape");
  const attention = cause("permission", Date.now() - MIN, "held");
  client.change([{ ...client.card(WEBHOOK), attention, causes: [attention] }]);
  client.notices = () => Promise.resolve({ notices: [{ at_ms: Date.now(), session: WEBHOOK, label: "l", cause_id: "permission-held", cause: "permission", tier: 1, outcome: "held_back", why: "quiet_hours" }], next: null });
  await waitFor(() => { expect(screen.queryByTestId("evidence")).toBeNull(); });
  await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("state"));
  expect((await screen.findByTestId("not-told")).textContent).toMatch(/^Not told: quiet hours, \d\d:\d\d\.$/);
});

test("one that went on elsewhere names where, is quiet, and leads there", async () => {
  start("thirty");
  const link = screen.getByTestId("continued-in");
  expect(link.textContent).toBe("Checkout totals: rounding in DE, CH and 日本");
  expect(link.closest(".line")).not.toBeNull();
  await fireEvent.click(link);
  expect(screen.getByTestId("headline").textContent).toContain("Checkout totals");
});

test("Ctrl+Enter and the button go to the terminal; where that cannot be, it says why", async () => {
  const client = start("thirty");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByTestId("go-to"));
  expect((await screen.findByTestId("toast")).textContent).toContain("Went to tmux work:2.1");
  await key("j");
  await key("Enter", { ctrlKey: true });
  await waitFor(() => { expect(client.calls.filter(([c]) => c === "focus")).toEqual([["focus", WEBHOOK], ["focus", WEBHOOK]]); });
  await key("j");
  await key("Enter", { ctrlKey: true });
  await waitFor(() => { expect(screen.getByTestId("toast").textContent).toContain("runs in screen /dev/pts/4, which cannot be brought to the front from here"); });
  expect(client.calls.filter(([c]) => c === "focus").length).toBe(2);
});

test("the strip stays the strip: nobody leads it elsewhere, no key does", async () => {
  history.replaceState(null, "", "/#/strip");
  const client = start("thirty");
  await settle();
  expect(client.shell).toBeNull();
  await key("g");
  await key("j");
  await key("k", { ctrlKey: true });
  await key("ArrowDown");
  expect(screen.getByTestId("strip-line").isConnected).toBe(true);
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("the strip says the most urgent there is by its lamp, and how many of each", () => {
  history.replaceState(null, "", "/#/strip");
  const client = start("thirty");
  expect(screen.getByTestId("strip-line").textContent.replace(/\s+/g, " ").trim()).toBe("3 blocked4 your turn3 uncommitted5 working");
  expect(screen.getByTestId("strip-lamp").dataset["s"]).toBe("blocked");
  client.change([], [...document.querySelectorAll<HTMLElement>("[data-testid^='strip-claude-code'], [data-testid^='strip-codex']")].map((e) => e.dataset["testid"]?.slice("strip-".length) ?? ""));
  return waitFor(() => { expect(screen.getByTestId("strip-lamp").dataset["s"]).toBe("risk"); });
});

test("a session's page tells each subagent: its task, what became of it, how long, what it spent (X9)", async () => {
  start("thirty");
  await fireEvent.click(within(cardOf(WEBHOOK)).getByText("Stripe webhook idempotency"));
  const section = await screen.findByTestId("subagents");
  const rows = within(section).getAllByRole("listitem").map((row) => row.textContent.replaceAll("\u00a0", " ").replace(/\s+/g, " ").trim());
  expect(rows).toHaveLength(3);
  expect(rows[0]).toMatch(/^Find every caller of the old idempotency key works · .*min.* · 336k tok$/);
});
