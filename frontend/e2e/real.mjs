// The browser against a real `lamp serve --ui`, fed over OTLP as programs do it.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { launch } from "./browser.mjs";
import { chat, id, Lamp, span } from "./lamp.mjs";

const PICTURES = new URL("../test-results/", import.meta.url).pathname;
const MIN = 60_000;
let browser;
before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  browser = await launch();
});
after(() => browser?.close());

/** Opens the page of a lamp; `act` gets it and what it complained of. */
async function visit(lamp, act, { theme = "light", width = 1280, height = 800, complaintsAllowed = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", locale: "en-GB" });
  await context.addInitScript(() => { localStorage.setItem("lamplight.chip", "all"); });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (e) => complaints.push(`error: ${e.message}`));
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") complaints.push(`console: ${m.text()}`);
  });
  page.on("request", (r) => {
    if (!r.url().startsWith(lamp.origin)) complaints.push(`request: ${r.url()}`);
  });
  page.setDefaultTimeout(15_000);
  try {
    await page.goto(lamp.ui);
    await page.getByTestId("headline").waitFor();
    await act(page);
    if (!complaintsAllowed) assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}
const open = (page, hash) => page.evaluate((h) => { location.hash = h; }, hash);
const title = (page, text) => page.getByTestId("headline").getByText(text, { exact: true }).waitFor();
const plain = async (locator) => (await locator.innerText()).replace(/[\s\u00a0]+/g, " ").trim();
async function audit(page, name) {
  await page.screenshot({ path: `${PICTURES}real-${name}.png` });
  const { violations } = await new AxeBuilder({ page }).analyze();
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join("; ")}`), [], name);
}

describe("services", () => {
  let lamp;
  const trace = id(16);
  before(async () => { lamp = await Lamp.start(); });
  after(() => lamp?.end());

  test("nothing yet: the page tells the address that is really listened on, and asks nothing of any other (A85, A217)", () =>
    visit(lamp, async (page) => {
      await page.getByTestId("nav-services").click();
      await title(page, "No service yet");
      assert.match(await plain(page.getByTestId("snippet-env")), new RegExp(`OTEL_EXPORTER_OTLP_ENDPOINT=http://${lamp.http} `));
      assert.ok((await page.getByTestId("snippet-python").innerText()).includes(`http://${lamp.http}/v1/traces`));
      await audit(page, "services-empty");
    }));

  test("a service appears while the page is open: live, quiet and dormant by the age of its last record (A73, A76, A79, A80, A81, A82)", () =>
    visit(lamp, async (page) => {
      await page.getByTestId("nav-services").click();
      // The older one first, and just over a minute older: never two in one minute.
      await lamp.spans({ "service.name": "triage-agent", "service.namespace": "support" }, [chat({ ago: 62_000, failed: "429 slow down" }), chat({ ago: 2_000 })]);
      await title(page, "1 service live");
      await lamp.spans({ "service.name": "nightly-etl", "service.namespace": "data" }, [chat({ ago: 7 * MIN + 20_000 }), chat({ ago: 9 * MIN })]);
      await title(page, "1 service went quiet");
      assert.equal((await page.getByTestId("nav-services").innerText()).replace(/\s+/g, " ").trim(), "Services 1 quiet");
      await lamp.spans({ "service.name": "old-scraper" }, [span("GET /", { ago: 26 * 60 * MIN, kind: 2 })]);
      await lamp.spans({ "service.name": "older-scraper" }, [span("GET /", { ago: 50 * 60 * MIN, kind: 2 })]);
      await page.getByTestId("dormant").getByText("2", { exact: true }).waitFor();
      assert.match(await plain(page.getByTestId("service-nightly-etl")), /^nightly-etl data Went quiet seen 7 min ago was /);
      assert.equal(await page.getByTestId("service-nightly-etl").getAttribute("data-s"), "blocked");
      await page.getByTestId("dormant").click();
      assert.deepEqual(await page.locator("table[aria-label^=Dormant] tbody tr .nm").allInnerTexts(), ["old-scraper", "older-scraper"]);
      await audit(page, "services-light");
    }));

  test("calls, cost and the share that failed by the minute; rate, errors and plain dollars (A77, A78, A83)", () =>
    visit(lamp, async (page) => {
      await open(page, "#/services");
      const row = page.getByTestId("service-triage-agent");
      await row.waitFor();
      const labels = await row.getByRole("img").evaluateAll((all) => all.map((e) => e.getAttribute("aria-label")));
      assert.deepEqual(labels, ["model calls per minute over the last hour, 1 at most, 1 failed, 100 % in the worst minute", "Cost per minute over the last hour, $0.30 at most"]);
      // 100,000 tokens in at $2 and 10,000 out at $10 per million, twice.
      assert.match(await plain(row), /1 \/ min 50 % 2\d\d ms 2\d\d ms \$0\.60$/);
      const grid = await row.locator("path.ln").first().getAttribute("d");
      assert.equal(grid.match(/[ML]/g).length, 60);
    }));

  test("what is a service is told by what it is, not by a session id; coding agents' telemetry is none (A74)", () =>
    visit(lamp, async (page) => {
      await lamp.spans({ "service.name": "chatty" }, [chat({ "session.id": "visit-1", "gen_ai.conversation.id": "talk-1" })]);
      await lamp.claude("11111111-2222-4333-8444-555555555555", { resource: { "service.name": "my-own-name" } });
      await open(page, "#/services");
      await page.getByTestId("service-chatty").waitFor();
      assert.equal(await page.locator("[data-testid=service-claude-code], [data-testid=service-my-own-name]").count(), 0);
      await page.getByTestId("nav-now").click();
      await page.getByTestId("card-claude-code:11111111-2222-4333-8444-555555555555").waitFor();
      assert.deepEqual(await page.locator("article[data-id]").evaluateAll((all) => all.map((e) => e.dataset.id)), ["claude-code:11111111-2222-4333-8444-555555555555"]);
    }));

  test("a service's page, its traces, and one of them as a waterfall; by keys, in both themes (A86)", async () => {
    const [root, call, tool] = [id(8), id(8), id(8)];
    const resource = { "service.name": "triage-agent", "service.namespace": "support" };
    await lamp.spans(resource, [
      span("execute_tool search", { trace, self: tool, parent: call, ago: 4_000, ms: 900, failed: "503: the queue is full", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search" }),
      span("lost", { trace, parent: "00000000000000ff", ago: 3_500, ms: 0 }),
      span("invoke_agent triage", { trace, self: root, ago: 5_000, ms: 3_000, "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage" }),
      chat({ trace, self: call, parent: root, ago: 4_500, ms: 2_000, "gen_ai.input.messages": "a secret prompt" }),
    ]);
    for (const theme of ["light", "dark"]) {
      await visit(lamp, async (page) => {
        await open(page, "#/services");
        await page.getByTestId("service-triage-agent").locator("td.rate").click();
        await title(page, "triage-agent");
        const row = page.getByTestId(`trace-${trace}`);
        assert.match(await plain(row), /invoke_agent triage 3\.00 s 4 1 110k \$0\.30$/);
        await audit(page, `service-${theme}`);
        await row.locator("td").first().click();
        await title(page, "invoke_agent triage");
        const tree = page.getByTestId("waterfall");
        const names = await tree.getByRole("treeitem").evaluateAll((all) => all.map((e) => `${e.getAttribute("aria-level")} ${e.getAttribute("aria-label").split(",")[0]}`));
        assert.deepEqual(names, ["1 agent: invoke_agent triage", "2 model call: chat test-model-1", "3 tool: execute_tool search", "1 step: lost"]);
        assert.match(await plain(tree.getByRole("treeitem").nth(3)), /parent not received/);
        await tree.focus();
        for (let n = 0; n < 3; n += 1) await page.keyboard.press("ArrowDown");
        const panel = page.getByTestId("span-panel");
        assert.match(await plain(panel), /503: the queue is full/);
        await page.keyboard.press("ArrowUp");
        assert.match(await plain(panel), /Tokens 100,000 in, 10,000 out Cost \$0\.30/);
        assert.ok(!(await page.locator("main").innerText()).includes("a secret prompt"));
        // Every bar lies inside the axis.
        for (const box of await tree.locator(".lane").evaluateAll((all) => all.map((lane) => { const [l, b] = [lane.getBoundingClientRect(), lane.firstElementChild.getBoundingClientRect()]; return b.left >= l.left - 1 && b.right <= l.right + 1 && b.width >= 3; }))) assert.ok(box);
        await audit(page, `trace-${theme}`);
        await page.keyboard.press("Escape");
        await panel.waitFor({ state: "detached" });
        await page.keyboard.press("Escape");
        await title(page, "triage-agent");
      }, { theme });
    }
  });

  test("a late span of an open trace arrives by itself, and the choice stays (A103)", () =>
    visit(lamp, async (page) => {
      await open(page, `#/trace/${trace}`);
      const tree = page.getByTestId("waterfall");
      await tree.getByRole("treeitem").nth(1).click();
      const chosen = await tree.locator("[aria-selected=true]").getAttribute("aria-label");
      await lamp.spans({ "service.name": "triage-agent", "service.namespace": "support" }, [span("late one", { trace, ago: 2_500, ms: 10 })]);
      await tree.getByRole("treeitem", { name: /late one/ }).waitFor();
      assert.equal(await tree.locator("[aria-selected=true]").getAttribute("aria-label"), chosen);
    }));

  test("a session of Claude Code leads to its traces, and a trace back to it", async () => {
    const recorded = readFileSync(new URL("../../tests/fixtures/otlp/claude-agents-traces-1.json", import.meta.url), "utf8");
    await lamp.post("/v1/traces", JSON.parse(recorded));
    const session = "claude-code:a2164028-d730-4798-b376-36be7148d15f";
    await visit(lamp, async (page) => {
      await open(page, `#/session/${encodeURIComponent(session)}`);
      await page.getByTestId("session-traces").getByRole("button").last().click();
      await title(page, "interaction");
      const tree = page.getByTestId("waterfall");
      await tree.getByRole("treeitem").nth(2).waitFor();
      const kinds = await tree.getByRole("treeitem").evaluateAll((all) => [...new Set(all.map((e) => e.getAttribute("aria-label").split(":")[0]))].sort());
      assert.deepEqual(kinds, ["agent", "model call", "tool", "waiting for a person"]);
      await audit(page, "claude-trace");
      await page.getByTestId("trace-session").click();
      await page.getByTestId("session-traces").waitFor();
    });
  });

  test("names of strangers are text, in both themes", async () => {
    const evil = '<img src=x onerror="document.title=\'owned\'"> \u001b[31m\u202egnirts ' + "x".repeat(180);
    await lamp.spans({ "service.name": evil, "service.namespace": evil }, [chat({ trace: "e".repeat(32), "gen_ai.request.model": `<b>${"m".repeat(90)}` }), span(evil, { trace: "e".repeat(32), failed: evil, evil, [evil]: "\u0007" })]);
    for (const theme of ["light", "dark"]) {
      await visit(lamp, async (page) => {
        await open(page, "#/services");
        await page.getByText('<img src=x onerror="document.title=').first().waitFor();
        await page.locator("[data-open]").filter({ hasText: "<img src=x" }).click();
        await page.locator("tr[data-testid^=trace-] [data-open]").first().click();
        await page.getByTestId("next-error").click();
        await page.getByTestId("span-panel").waitFor();
        assert.equal(await page.locator("main img, main script, main b.x").count(), 0);
        // eslint-disable-next-line no-control-regex
        assert.doesNotMatch(await page.locator("main").innerText(), /[\u0000-\u0008\u001b\u202e]/);
        assert.notEqual(await page.title(), "owned");
        await audit(page, `hostile-${theme}`);
      }, { theme, width: 900 });
    }
  });

  test("an engine that dies leaves the last good data on the screen, and says so (A218)", () =>
    visit(lamp, async (page) => {
      await open(page, "#/services");
      await page.getByTestId("service-triage-agent").waitFor();
      await lamp.kill();
      await title(page, "Not connected");
      assert.equal(await page.getByTestId("service-triage-agent").count(), 1);
      await page.getByTestId("banner-stale").waitFor();
    }, { complaintsAllowed: true }));
});

describe("runs", () => {
  let lamp;
  before(async () => {
    lamp = await Lamp.start();
    const session = (n) => `${n}1111111-2222-4333-8444-555555555555`;
    // What a fan-out harness does: workers of a coding agent, each told the run and who started it.
    const member = (n, parent, request) => lamp.claude(session(n), { resource: { "lamplight.run_id": "nightly 42/é", ...(parent === null ? {} : { "lamplight.parent_session_id": session(parent) }) }, request });
    await member(1, null, { model: "claude-opus-4-8", cost_usd: 0.25 });
    await member(2, 1, { model: "claude-opus-4-8", cost_usd: 0.35 });
    await member(3, 2, { model: "nobody-knows-its-price" });
  });
  after(() => lamp?.end());

  test("the index appears with the first run; its page has the sums and the tree by who started whom (A130, A132, A133)", async () => {
    for (const theme of ["light", "dark"]) {
      await visit(lamp, async (page) => {
        await page.getByTestId("nav-runs").click();
        await page.locator("[data-open]").getByText("nightly 42/é").click();
        await title(page, "nightly 42/é");
        assert.match(await plain(page.getByTestId("run-figures")), /^members 3 at work now 3 /);
        assert.match(await plain(page.getByTestId("run-money")), /^as reported, and 1 not known \$0\.60$/);
        const members = page.locator(".members li");
        assert.equal(await members.count(), 3);
        assert.deepEqual(await members.evaluateAll((all) => all.map((e) => e.style.getPropertyValue("--in"))), ["0rem", "1.5rem", "3rem"]);
        await audit(page, `run-${theme}`);
        await members.first().locator("[data-open]").click();
        await page.getByTestId("open-run").click();
        await title(page, "nightly 42/é");
      }, { theme });
    }
  });

  test("a program's own sessions have their places: on its page, in their run, never among the coding sessions (A73, A74)", async () => {
    const sdk = { "service.name": "sweeper", "service.namespace": "lab", "lamplight.run_id": "sweep-7" };
    await lamp.spans(sdk, [chat({ "session.id": "boss" })]);
    await lamp.spans({ ...sdk, "lamplight.parent_session_id": "boss" }, [chat({ "session.id": "worker", "gen_ai.request.model": "nobody-knows-its-price" })]);
    await visit(lamp, async (page) => {
      await open(page, "#/service/sweeper?project=lab");
      const sessions = page.getByRole("region", { name: "Sessions" });
      await sessions.getByText("worker").waitFor();
      assert.match(await plain(sessions), /Sessions 2 .*Active/);
      await sessions.getByText("sweep-7").click();
      await title(page, "sweep-7");
      assert.match(await plain(page.getByTestId("run-money")), /^list price, and 1 not known \$0\.30$/);
      assert.deepEqual(await page.locator(".members li").evaluateAll((all) => all.map((e) => e.style.getPropertyValue("--in"))), ["0rem", "1.5rem"]);
      await page.getByTestId("nav-now").click();
      await page.locator("article[data-id]").first().waitFor();
      assert.ok((await page.locator("article[data-id]").evaluateAll((all) => all.map((e) => e.dataset.id))).every((id) => id.startsWith("claude-code:")));
    });
  });

  test("an unknown run is a page that says so, and a 404 behind it (A131)", () =>
    visit(lamp, async (page) => {
      const answer = page.waitForResponse((r) => r.url().includes("/api/v1/runs/no%20such"));
      await open(page, "#/run/no%20such");
      assert.equal((await answer).status(), 404);
      await title(page, "No such run");
      await page.getByRole("button", { name: "All runs" }).click();
      await page.locator("[data-open]").getByText("nightly 42/é").waitFor();
    }, { complaintsAllowed: true }));
});

describe("set-up", () => {
  const SETTINGS = '{\n  // mine\n  "model": "opus",\n  "hooks": {}\n}\n';
  let lamp;
  before(async () => { lamp = await Lamp.start({ ".claude/settings.json": SETTINGS, ".bashrc": "# mine\n" }); });
  after(() => lamp?.end());

  test("shown, written, undone: the file ends as it began, byte for byte", async () => {
    const file = () => readFileSync(join(lamp.home, ".claude/settings.json"), "utf8");
    for (const theme of ["light", "dark"]) {
      await visit(lamp, async (page) => {
        await page.getByTestId("nav-setup").click();
        await title(page, "Nothing is connected yet");
        await page.getByTestId("setup-show").click();
        const plan = page.getByTestId("setup-plan");
        await plan.getByText("~/.claude/settings.json").waitFor({ timeout: 5_000 }).catch(() => plan.getByText(/\.claude\/settings\.json/).first().waitFor());
        assert.equal(file(), SETTINGS, "shown, and nothing written");
        await audit(page, `setup-${theme}`);
        await page.getByTestId("setup-apply").click();
        await page.getByTestId("setup-done").waitFor();
        assert.notEqual(file(), SETTINGS);
        assert.ok(file().includes("// mine") && file().includes("hook"));
        await title(page, "Claude Code is connected");
        await page.getByTestId("setup-undo").click();
        await page.getByTestId("setup-undo-yes").click();
        await page.getByText("as it was, byte for byte").first().waitFor();
        assert.equal(file(), SETTINGS);
        assert.equal(readFileSync(join(lamp.home, ".bashrc"), "utf8"), "# mine\n");
        await title(page, "Nothing is connected yet");
      }, { theme });
    }
  });
});
