// The screens of services, traces and runs, driven as a hand would.
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { beforeEach, expect, test, vi } from "vitest";
import App from "../App.svelte";
import { FixtureClient } from "../fixtures/client";
import { MIN } from "../fixtures/build";
import { service } from "../fixtures/telemetry";

beforeEach(() => {
  localStorage.clear();
});

function start(name: string, hash: string): FixtureClient {
  history.replaceState(null, "", `/${hash}`);
  const client = new FixtureClient(name);
  render(App, { client });
  return client;
}
const plain = (e: Element | null): string => (e?.textContent ?? "").replace(/[\s\u00a0]+/g, " ").trim();
const title = (): string => plain(screen.getByTestId("headline"));
const key = (k: string): Promise<boolean> => fireEvent.keyDown(document.activeElement ?? document.body, { key: k });
const traceId = (n: number): string => (((n + 77) * 2_654_435_761) % 4_294_967_296).toString(16).padStart(8, "0").repeat(4);

test("services stand apart from sessions, in zones; coding sessions alone leave the page empty, without an error (A73, A75, A85)", async () => {
  start("thirty", "#/services");
  expect(title()).toBe("1 service went quiet");
  expect(screen.getAllByRole("table").map((t) => t.getAttribute("aria-label"))).toEqual(["Services that went quiet", "Live services"]);
  expect(document.querySelector("article")).toBeNull();
  await fireEvent.click(screen.getByTestId("nav-now"));
  expect(screen.queryByTestId("service-billing-bot")).toBeNull();
});

test("no service: it says how one comes to be here, with lines to copy (A85)", async () => {
  const client = start("empty", "#/services");
  expect(title()).toBe("No service yet");
  expect(screen.queryByRole("alert")).toBeNull();
  const snippet = screen.getByTestId("snippet-python");
  expect(snippet.textContent.split("\n").filter((l) => l.trim() !== "" && !l.startsWith("#")).length).toBe(10);
  expect(screen.getByTestId("snippet-env").textContent).toContain("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318");
  await fireEvent.click(screen.getAllByRole("button", { name: "Copy" })[1] as HTMLElement);
  expect(client.calls).toContainEqual(["copyText", snippet.textContent]);
});

test("one that went quiet is amber, in words, and says that it may be an outage (A80)", () => {
  start("thirty", "#/services");
  const row = screen.getByTestId("service-nightly-etl");
  expect([row.dataset["s"], plain(row.querySelector(".state"))]).toEqual(["blocked", "Went quiet"]);
  expect(plain(row)).toContain("seen 7 min ago");
  expect(plain(row)).toContain("was ");
  expect(plain(screen.getByRole("region", { name: "Went quiet" }))).toContain("it may be an outage");
});

test("a row tells calls, errors and cost by the minute, rate, error rate, latency and plain dollars (A77, A78, A83)", () => {
  start("thirty", "#/services");
  const row = screen.getByTestId("service-billing-bot");
  expect(within(row).getAllByRole("img").map((i) => (i.getAttribute("aria-label") ?? "").replace(/\d[\d,.]*/g, "n"))).toEqual(["model calls per minute over the last hour, n at most, n failed, n % in the worst minute", "Cost per minute over the last hour, $n at most"]);
  expect(plain(row)).toMatch(/38 \/ min ?1\.\d % ?820 ms ?1\.90 s ?\$3\.12/);
  expect(plain(screen.getByTestId("service-edge-gateway"))).toContain("no model calls");
  expect(plain(screen.getByTestId("service-請求書-抽出エージェント"))).toContain("not known");
});

test("what is dormant is folded, by last seen, and stays as it was left (A81, A82)", async () => {
  start("thirty", "#/services");
  const fold = screen.getByTestId("dormant");
  expect(fold.getAttribute("aria-expanded")).toBe("false");
  await fireEvent.click(fold);
  const rows = within(screen.getByRole("table", { name: /Dormant/ })).getAllByRole("row").slice(1);
  expect(rows.map((r) => r.dataset["testid"])).toEqual(["service-doc-indexer-eu-central-1-canary", "service-old-scraper"]);
  await fireEvent.click(screen.getByTestId("nav-now"));
  await fireEvent.click(screen.getByTestId("nav-services"));
  expect(screen.getByTestId("dormant").getAttribute("aria-expanded")).toBe("true");
});

test("a row opens its page by click anywhere and by its name; Esc comes back (A86)", async () => {
  start("thirty", "#/services");
  await fireEvent.click(screen.getByTestId("service-billing-bot").querySelector("td.rate") as HTMLElement);
  expect(title()).toBe("billing-bot");
  expect(location.hash).toBe("#/service/billing-bot?project=harbor-api");
  await key("Escape");
  await waitFor(() => { expect(title()).toBe("1 service went quiet"); });
  await key("j");
  await key("j");
  expect(document.activeElement?.textContent).toBe("billing-bot");
  await fireEvent.click(document.activeElement as HTMLElement);
  expect(title()).toBe("billing-bot");
});

test("the filter finds, tells when nothing matches, and Esc clears it", async () => {
  start("thirty", "#/services");
  await key("/");
  const field = screen.getByTestId("service-filter");
  expect(document.activeElement).toBe(field);
  await fireEvent.input(field, { target: { value: "scraper" } });
  expect(screen.getByTestId("service-old-scraper")).toBeTruthy();
  expect(screen.queryByTestId("service-billing-bot")).toBeNull();
  await fireEvent.input(field, { target: { value: "zzz" } });
  expect(plain(screen.getByTestId("nothing"))).toContain("No service matches");
  await key("Escape");
  expect(screen.getByTestId("service-billing-bot")).toBeTruthy();
});

test("news of one service changes its row and draws no other anew", async () => {
  const client = start("three", "#/services");
  const other = screen.getByTestId("service-triage-agent");
  const drawn: MutationRecord[] = [];
  const observer = new MutationObserver((m) => drawn.push(...m));
  observer.observe(other, { subtree: true, childList: true, characterData: true, attributes: true });
  const before = (await client.status()).services;
  client.change([], [], before.map((s) => (s.name === "billing-bot" ? { ...s, state: "quiet" as const, last_seen_ms: Date.now() - 6 * MIN } : structuredClone(s))));
  await waitFor(() => { expect(title()).toBe("1 service went quiet"); });
  expect(plain(screen.getByTestId("nav-services"))).toContain("1 quiet");
  expect(drawn).toEqual([]);
  observer.disconnect();
});

test("a service's page: figures, models, operations, traces; as a table too", async () => {
  start("thirty", "#/service/triage-agent?project=support");
  await screen.findByRole("table", { name: "Traces, newest first" });
  expect(plain(screen.getByTestId("cost-today"))).toBe("$1.07");
  expect(screen.getAllByRole("table").map((t) => t.getAttribute("aria-label"))).toEqual(["Models, the dearest first", "Operations, the most frequent first", "Traces, newest first"]);
  const rows = within(screen.getByRole("table", { name: "Traces, newest first" })).getAllByRole("row").slice(1);
  expect(rows.length).toBe(43);
  expect(rows.some((r) => r.dataset["s"] === "error")).toBe(true);
  await fireEvent.click(screen.getByTestId("charts-table"));
  expect(within(screen.getByRole("region", { name: "The last hour" })).getAllByRole("columnheader").map(plain)).toEqual(["Minute", "Model calls", "Failed", "Known cost"]);
});

test("older traces come page by page, each once, and the button goes with the last", async () => {
  const client = start("thirty", "#/service/triage-agent?project=support");
  await screen.findByTestId("older-traces");
  const [first, second] = (await client.traces({ service: "triage-agent" })).traces;
  if (first === undefined || second === undefined) throw new Error("BUG: the fixture has both");
  const pages = [{ traces: [first, { ...second, trace_id: "a".repeat(32) }], next: "cursor" }, { traces: [{ ...second, trace_id: "b".repeat(32) }], next: null }];
  const asked: unknown[] = [];
  client.traces = (p) => {
    asked.push(p);
    return Promise.resolve(pages[asked.length - 1] ?? { traces: [], next: null });
  };
  await fireEvent.click(screen.getByTestId("older-traces"));
  await screen.findByTestId(`trace-${"a".repeat(32)}`);
  await fireEvent.click(screen.getByTestId("older-traces"));
  await screen.findByTestId(`trace-${"b".repeat(32)}`);
  expect(screen.queryByTestId("older-traces")).toBeNull();
  expect(document.querySelectorAll("tr[data-testid^=trace-]").length).toBe(45);
  expect(asked).toEqual([{ service: "triage-agent", namespace: "support", limit: 200 }, { service: "triage-agent", namespace: "support", limit: 200, before: "cursor" }]);
});

test("a read that fails keeps what is on the screen and can be tried again (A218)", async () => {
  const client = start("thirty", "#/service/triage-agent?project=support");
  await screen.findByRole("table", { name: "Traces, newest first" });
  client.failing.add("service");
  client.change([], [], (await client.status()).services.map((s) => (s.name === "triage-agent" ? { ...s, calls: s.calls + 1 } : s)));
  await screen.findByText("The database cannot be read.", undefined, { timeout: 5_000 });
  expect(screen.getByRole("table", { name: "Traces, newest first" })).toBeTruthy();
  client.failing.clear();
  await fireEvent.click(screen.getByRole("button", { name: "Try again" }));
  await waitFor(() => { expect(screen.queryByText("The database cannot be read.")).toBeNull(); });
});

test("what cannot be told of services takes nothing from the sessions (A84, A219)", async () => {
  const client = start("three", "#/");
  client.failing.add("runs");
  client.change([], [], []);
  await fireEvent.click(screen.getByTestId("nav-services"));
  await waitFor(() => { expect(title()).toBe("No service yet"); });
  await fireEvent.click(screen.getByTestId("nav-now"));
  expect(title()).toBe("1 session needs you");
});

test("an unknown service and an unknown trace are said to be so", async () => {
  start("thirty", "#/service/nobody");
  await waitFor(() => { expect(title()).toBe("Not found"); });
  await fireEvent.click(screen.getByRole("button", { name: "All services" }));
  expect(title()).toBe("1 service went quiet");
});

test("a trace: keys walk the tree, fold it, and open a span; what is folded away is not chosen", async () => {
  start("thirty", `#/trace/${traceId(0)}`);
  const tree = await screen.findByTestId("waterfall");
  const active = (): string => document.getElementById(tree.getAttribute("aria-activedescendant") ?? "")?.getAttribute("aria-label")?.split(",")[0] ?? "";
  const expanded = (): string | null => document.getElementById(tree.getAttribute("aria-activedescendant") ?? "")?.getAttribute("aria-expanded") ?? null;
  tree.focus();
  await key("ArrowDown");
  expect([active(), expanded()]).toEqual(["agent: invoke_agent triage", "true"]);
  await key("ArrowDown");
  expect(active()).toBe("waiting for a person: waiting for approval");
  expect(screen.getByTestId("span-panel").textContent).toContain("server.address");
  await key("ArrowLeft");
  expect(expanded()).toBe("false");
  await key("ArrowLeft");
  expect(active()).toBe("agent: invoke_agent triage");
  await key("ArrowRight");
  await key("ArrowRight");
  expect(expanded()).toBe("true");
  await key("ArrowRight");
  const inside = active();
  await key("ArrowLeft");
  await key("ArrowLeft");
  expect([active() === inside, active(), expanded()]).toEqual([false, "waiting for a person: waiting for approval", "true"]);
  await key("End");
  expect(tree.querySelector('[aria-selected="true"]')?.getAttribute("aria-label")).toContain("its parent was not received");
  await key("Escape");
  expect(screen.queryByTestId("span-panel")).toBeNull();
  expect(title()).toBe("invoke_agent triage");
});

test("the next error is brought into sight, whatever is folded; two thousand spans are a few dozen elements", async () => {
  start("thirty", `#/trace/${traceId(1)}`);
  const tree = await screen.findByTestId("waterfall");
  await fireEvent.click(screen.getByRole("button", { name: "Fold" }));
  expect(tree.querySelectorAll("[role=treeitem]").length).toBeLessThan(12);
  await fireEvent.click(screen.getByTestId("next-error"));
  expect(plain(screen.getByTestId("span-panel"))).toContain("upstream answered 503");
  expect(tree.querySelectorAll("[role=treeitem]").length).toBeLessThan(80);
  await fireEvent.click(screen.getByTestId("trace-session"));
  expect(title()).toContain("Stripe webhook idempotency");
});

test("a session leads to its traces and to its run, and back", async () => {
  start("thirty", `#/session/${encodeURIComponent("claude-code:7c1e2a41-93d4-4f0e-a6b8-2d51f0c9e3aa")}`);
  const traces = await screen.findByTestId("session-traces");
  expect(within(traces).getAllByRole("listitem").length).toBe(1);
  await fireEvent.click(screen.getByTestId("open-run"));
  await waitFor(() => { expect(title()).toBe("nightly-42"); });
  await key("Escape");
  await fireEvent.click(within(await screen.findByTestId("session-traces")).getByRole("button"));
  await waitFor(() => { expect(title()).toBe("invoke_agent triage"); });
});

test("runs are listed once there are any; one opens with its sums and members under who started them (A130, A132, A133)", async () => {
  start("thirty", "#/");
  await fireEvent.click(await screen.findByTestId("nav-runs"));
  expect(title()).toBe("1 run needs you");
  await fireEvent.click(within(await screen.findByTestId("run-nightly-42")).getByRole("button"));
  await waitFor(() => { expect(title()).toBe("nightly-42"); });
  expect(plain(screen.getByTestId("run-money"))).toMatch(/^implied value, partly reported, and 2 not known ?\$/);
  const members = within(screen.getByRole("region", { name: "Members" })).getAllByRole("listitem");
  expect(members.length).toBe(7);
  expect(members.map((m) => m.style.getPropertyValue("--in"))).toEqual(["0rem", "1.5rem", "1.5rem", "3rem", "1.5rem", "1.5rem", "3rem"]);
  await fireEvent.click(within(members[0] as HTMLElement).getByText("Stripe webhook idempotency"));
  expect(title()).toContain("Stripe webhook idempotency");
});

test("the menu of a session opens its run, and has no such entry where there is none (A132)", async () => {
  start("thirty", "#/");
  const [withRun, without] = screen.getAllByRole("article");
  await fireEvent.contextMenu(without as HTMLElement, { clientX: 40, clientY: 40 });
  await screen.findByTestId("menu-open");
  expect(screen.queryByTestId("menu-run")).toBeNull();
  await key("Escape");
  await fireEvent.contextMenu(withRun as HTMLElement, { clientX: 40, clientY: 40 });
  await fireEvent.click(await screen.findByTestId("menu-run"));
  await waitFor(() => { expect(title()).toBe("nightly-42"); });
});

test("an unknown run is a page that says so, with a way on (A131)", async () => {
  start("thirty", "#/run/nothing%20like%20it");
  await waitFor(() => { expect(title()).toBe("No such run"); });
  expect(plain(screen.getByText(/No session said/))).toContain("nothing like it");
  await fireEvent.click(screen.getByRole("button", { name: "All runs" }));
  await waitFor(() => { expect(title()).toBe("1 run needs you"); });
});

test("a run is read again when a member changes, and not for anybody else", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  try {
    const client = start("thirty", "#/run/nightly-42");
    await vi.waitFor(() => { expect(title()).toBe("nightly-42"); }, { timeout: 10_000 });
    const reads = (): number => client.calls.filter(([c]) => c === "run").length;
    const first = reads();
    const sessions = (await client.status()).sessions;
    const member = sessions.find((c) => c.run_id === "nightly-42");
    const stranger = sessions.find((c) => c.run_id === null);
    if (member === undefined || stranger === undefined) throw new Error("BUG: the fixture has both");
    client.change([stranger]);
    await vi.advanceTimersByTimeAsync(1_700);
    expect(reads()).toBe(first);
    for (let n = 0; n < 20; n += 1) client.change([{ ...member, tool_calls: n }]);
    await vi.waitFor(() => { expect(reads()).toBe(first + 1); }, { timeout: 10_000 });
  } finally {
    vi.useRealTimers();
  }
});

test("names of strangers are text on every page", async () => {
  start("long-names", "#/services");
  expect(document.querySelectorAll("main img, main script").length).toBe(0);
  expect(document.querySelector("main")?.textContent).toContain('<img src=x onerror="document.title=\'owned\'">');
  // eslint-disable-next-line no-control-regex
  expect(document.querySelector("main")?.textContent).not.toMatch(/[\u0000-\u0008\u001b\u202e]/);
  expect(document.title).not.toBe("owned");
  await fireEvent.click(await screen.findByTestId("nav-runs"));
  // eslint-disable-next-line no-control-regex
  expect(document.querySelector("main")?.textContent).not.toMatch(/[\u0000-\u0008\u001b\u202e]/);
});

test("the palette knows pages and services", async () => {
  start("thirty", "#/");
  await fireEvent.keyDown(document.body, { key: "k", ctrlKey: true });
  const palette = await screen.findByTestId("palette");
  await fireEvent.input(within(palette).getByRole("combobox"), { target: { value: "triage" } });
  await fireEvent.click(await within(palette).findByText("triage-agent"));
  await waitFor(() => { expect(title()).toBe("triage-agent"); });
});

test("the made-up service is what the engine would send", () => {
  const s = service(Date.now(), "x");
  expect([s.series.calls.length, s.series.errors.length, s.series.cost_usd.length]).toEqual([60, 60, 60]);
});
