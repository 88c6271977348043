// Every state of the window in a real browser, light and dark: no complaint, no request to anywhere else, axe clean, a
// picture of each in test-results. Then what a hand does: menu, rename, copy, keys, scroll and back.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { launch, open } from "./browser.mjs";
import { serve } from "./server.mjs";

const PICTURES = new URL("../test-results/", import.meta.url).pathname;
const WEBHOOK = "claude-code:7c1e2a41-93d4-4f0e-a6b8-2d51f0c9e3aa";
const session = `#/session/${encodeURIComponent(WEBHOOK)}`;

let browser;
let host;
before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  host = await serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host?.close();
});

/** Opens a state, does `act`, and holds the page against everything a page must not do. */
async function check(name, options, act = async () => undefined, { axe = true } = {}) {
  const { page, context, complaints } = await open(browser, host.origin, options);
  try {
    await act(page);
    await page.screenshot({ path: `${PICTURES}${name}.png` });
    // Nothing runs out of the window sideways.
    const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= width, `${name}: ${content} px wide in a window of ${width}`);
    if (axe) {
      const { violations } = await new AxeBuilder({ page }).analyze();
      assert.deepEqual(
        violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target.join(" ")} (${n.any[0]?.message ?? ""})`).slice(0, 3).join("; ")}`),
        [],
        name,
      );
    }
    assert.deepEqual(complaints, [], name);
  } finally {
    await context.close();
  }
}

/** Opens the palette, types, and does what it then offers first. A key too early would mean something else. */
async function palette(page, text, offered = null) {
  await page.keyboard.press("Control+k");
  const palette = page.getByTestId("palette");
  await palette.locator("input:focus").waitFor();
  await page.keyboard.type(text);
  if (offered === null) return;
  await palette.locator("[aria-selected=true]").filter({ hasText: offered }).waitFor();
  await page.keyboard.press("Enter");
}

describe("states", { concurrency: 2 }, () => {
  for (const theme of ["light", "dark"]) {
    for (const fixture of ["empty", "importing", "clear", "three", "thirty", "three-hundred", "long-names", "error", "port-taken", "stale", "loading"]) {
      // Three hundred take the audit seconds and are the parts of thirty: one theme is enough.
      const axe = !(fixture === "three-hundred" && theme === "dark");
      test(`${fixture} ${theme}`, () => check(`now-${fixture}-${theme}`, { fixture, theme }, undefined, { axe }));
    }
    for (const chip of ["all", "quiet", "uncommitted"]) test(`${chip} ${theme}`, () => check(`now-chip-${chip}-${theme}`, { fixture: "thirty", theme, chip, height: 1_000 }));
    test(`all of what nobody would choose ${theme}`, () => check(`now-all-long-names-${theme}`, { fixture: "long-names", theme, chip: "all" }));
    test(`archive ${theme}`, () => check(`archive-${theme}`, { fixture: "thirty", theme, hash: "#/archive?q=idempotency" }, (page) => page.locator("mark").first().waitFor()));
    test(`archive, nothing found ${theme}`, () => check(`archive-nothing-${theme}`, { fixture: "thirty", theme, hash: "#/archive?q=zzz" }, (page) => page.getByTestId("nothing").waitFor()));
    test(`session ${theme}`, () => check(`session-${theme}`, { fixture: "thirty", theme, hash: session }, (page) => page.getByText("good. go on with the webhook then").waitFor()));
  }
});

describe("widths", { concurrency: 2 }, () => {
  for (const width of [1600, 1024, 640, 360, 320]) {
    test(`thirty at ${width}`, () => check(`now-thirty-${width}`, { fixture: "thirty", width }, undefined, { axe: width === 360 || width === 640 }));
    test(`everything at ${width}`, () => check(`now-all-${width}`, { fixture: "thirty", width, chip: "all", height: 1_600 }, undefined, { axe: width === 360 || width === 640 }));
    test(`long names at ${width}`, () => check(`now-long-names-${width}`, { fixture: "long-names", width, chip: "all" }, undefined, { axe: width === 360 }));
    test(`session at ${width}`, () => check(`session-${width}`, { fixture: "thirty", width, hash: session }, (page) => page.getByText("good. go on").waitFor(), { axe: width === 360 }));
  }
  // 200 % zoom is a window of half the size with twice the pixels.
  test("200 % zoom", () => check("now-zoom200", { fixture: "thirty", width: 640, height: 400, scale: 2 }));
});

// What the fixtures call their traces: see trace() in src/fixtures/telemetry.ts.
const traceId = (n) => (((n + 77) * 2_654_435_761) % 4_294_967_296).toString(16).padStart(8, "0").repeat(4);
const TELEMETRY = [
  ["services", "#/services", (page) => page.getByTestId("service-billing-bot").waitFor()],
  ["service", "#/service/triage-agent?project=support", (page) => page.getByRole("table", { name: "Traces, newest first" }).waitFor()],
  ["trace", `#/trace/${traceId(1)}`, async (page) => {
    await page.getByTestId("next-error").click();
    await page.getByTestId("span-panel").waitFor();
  }],
  ["runs", "#/runs", (page) => page.getByTestId("run-nightly-42").waitFor()],
  ["run", "#/run/nightly-42", (page) => page.locator(".members li").first().waitFor()],
  ["setup", "#/setup", async (page) => {
    await page.getByTestId("setup-show").click();
    await page.getByTestId("setup-apply").waitFor();
  }],
];
const HOSTILE = [
  ["services", "#/services"],
  ["service", `#/service/${"x".repeat(255)}?project=${"y".repeat(255)}`],
  ["trace", `#/trace/${"e".repeat(32)}`],
  ["runs", "#/runs"],
];

describe("services, traces, runs, set-up", { concurrency: 2 }, () => {
  for (const theme of ["light", "dark"]) {
    for (const [name, hash, ready] of TELEMETRY) test(`${name} ${theme}`, () => check(`${name}-${theme}`, { fixture: "thirty", theme, hash }, ready));
    for (const name of ["services", "runs", "setup"]) test(`${name}, nothing there ${theme}`, () => check(`${name}-empty-${theme}`, { fixture: "empty", theme, hash: `#/${name}` }));
    for (const [name, hash] of HOSTILE) test(`${name}, names nobody would choose ${theme}`, () => check(`${name}-hostile-${theme}`, { fixture: "long-names", theme, hash }, (page) => page.getByTestId("headline").waitFor()));
  }
  for (const name of ["services", "runs"]) test(`three hundred ${name}`, () => check(`${name}-300`, { fixture: "three-hundred", hash: `#/${name}`, width: 1600 }, undefined, { axe: false }));
  test("three services", () => check("services-three", { fixture: "three", hash: "#/services" }));
  test("no such run", () => check("run-unknown", { fixture: "thirty", hash: "#/run/nothing" }, (page) => page.getByText("No session said").waitFor()));
  for (const width of [1600, 1024, 640, 360, 320]) {
    for (const [name, hash, ready] of TELEMETRY) test(`${name} at ${width}`, () => check(`${name}-${width}`, { fixture: "thirty", width, hash }, ready, { axe: width === 360 || width === 640 }));
  }
  for (const width of [1024, 320]) {
    for (const [name, hash] of HOSTILE) test(`${name}, names nobody would choose, at ${width}`, () => check(`${name}-hostile-${width}`, { fixture: "long-names", width, hash }, undefined, { axe: false }));
  }
  test("200 % zoom", () => check("services-zoom200", { fixture: "thirty", width: 640, height: 400, scale: 2, hash: "#/services" }));
});

const card = (page, id = WEBHOOK) => page.getByTestId(`card-${id}`);
/** States of the pages about being told, each with what has to be there before it is looked at. */
const TOLD = [
  ["settings", { hash: "#/settings", height: 1_700 }, (page) => page.getByTestId("open-told").waitFor()],
  ["told", { hash: "#/told" }, (page) => page.getByTestId("told").first().waitFor()],
];
const strip = { hash: "#/strip", width: 320, height: 300, ready: "strip-line" };

describe("settings, told, strip, chips, why", { concurrency: 2 }, () => {
  for (const theme of ["light", "dark"]) {
    for (const [name, options, ready] of TOLD) {
      test(`${name} ${theme}`, () => check(`${name}-${theme}`, { fixture: "thirty", theme, ...options }, ready));
      test(`${name}, names nobody would choose ${theme}`, () => check(`${name}-hostile-${theme}`, { fixture: "long-names", theme, ...options }, ready));
    }
    for (const fixture of ["thirty", "clear", "long-names", "stale", "empty"]) test(`strip, ${fixture} ${theme}`, () => check(`strip-${fixture}-${theme}`, { fixture, theme, ...strip }));
    test(`snooze of one cause ${theme}`, () =>
      check(`cause-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await page.getByRole("button", { name: "Snooze: Usage limit" }).click();
        await page.getByTestId("menu-wake").waitFor();
      }));
    test(`muted ones opened ${theme}`, () =>
      check(`muted-${theme}`, { fixture: "thirty", theme, height: 1_500 }, async (page) => {
        await page.getByTestId("muted-line").getByRole("button").click();
        await page.getByText("Try the new tokenizer").waitFor();
      }));
    test(`what says otherwise ${theme}`, () =>
      check(`overruled-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await card(page).getByTestId("state").click();
        await page.getByTestId("overruled").getByText("its Stop hook ran").waitFor();
      }));
  }
  for (const width of [1600, 1024, 640, 360, 320]) {
    for (const [name, options, ready] of TOLD) test(`${name} at ${width}`, () => check(`${name}-${width}`, { fixture: "thirty", ...options, width }, ready, { axe: width === 360 || width === 640 }));
    if (width <= 640) test(`why at ${width}`, () =>
      check(`overruled-${width}`, { fixture: "thirty", width }, async (page) => {
        await card(page).getByTestId("state").click();
        await page.getByTestId("overruled").waitFor();
      }, { axe: width === 360 }));
  }
  for (const width of [240, 480, 700]) test(`strip at ${width}`, () => check(`strip-${width}`, { fixture: "thirty", ...strip, width }, undefined, { axe: width === 240 }));

  test("a moment of the log takes one line", async () => {
    const { page, context } = await open(browser, host.origin, { fixture: "thirty", hash: "#/told" });
    await page.getByTestId("told").first().waitFor();
    const tall = await page.getByTestId("told").locator("time").evaluateAll((all) => all.filter((e) => e.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(e).lineHeight || "20")).length);
    assert.equal(tall, 0);
    await context.close();
  });

  test("the lamp of the strip has the colour of the most urgent there is", async () => {
    const colour = async (fixture) => {
      const { page, context } = await open(browser, host.origin, { fixture, ...strip });
      const [tone, light] = await page.getByTestId("strip-lamp").evaluate((e) => [e.dataset.s, getComputedStyle(e).getPropertyValue("--lamp")]);
      await context.close();
      return [tone, light];
    };
    const [needs, clear, stale] = [await colour("thirty"), await colour("clear"), await colour("stale")];
    assert.deepEqual([needs[0], clear[0], stale[0]], ["blocked", "working", "idle"]);
    assert.equal(new Set([needs[1], clear[1], stale[1]]).size, 3);
  });

  test("nobody chose: what needs you, the rest counted and one click away; the choice is kept (X15, X16)", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty" });
    assert.equal(await page.getByTestId("chip-needs").getAttribute("aria-pressed"), "true");
    assert.equal(await page.locator(".wrow, .line").count(), 0);
    await page.getByTestId("rest-working").click();
    await page.locator(".wrow").first().waitFor();
    await page.reload();
    await page.locator(".wrow").first().waitFor();
    assert.equal(await page.getByTestId("chip-working").getAttribute("aria-pressed"), "true");
    await page.evaluate(() => { localStorage.setItem("lamplight.chip", "<b>"); });
    await page.reload();
    await page.getByText("Blocked on you").waitFor();
    assert.equal(await page.getByTestId("chip-needs").getAttribute("aria-pressed"), "true");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("one cause is put off and waved away by keys alone, and the focus comes back (X13)", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty" });
    const chip = page.getByTestId("cause-uncommitted-r1");
    const snooze = chip.getByRole("button", { name: "Snooze: Uncommitted work" });
    await snooze.focus();
    await page.keyboard.press("Enter");
    await page.getByTestId("menu-snooze-0").waitFor();
    await page.keyboard.press("Escape");
    await page.getByTestId("menu-snooze-0").waitFor({ state: "detached" });
    assert.ok(await snooze.evaluate((e) => e === document.activeElement));
    await page.keyboard.press("Enter");
    await page.getByTestId("menu-snooze-change").waitFor();
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await chip.getByText("snoozed until it changes").waitFor();
    await chip.getByRole("button", { name: "Mark as handled: Uncommitted work" }).focus();
    await page.keyboard.press("Enter");
    await chip.waitFor({ state: "detached" });
    await page.getByTestId("headline").getByText("7 sessions need you").waitFor();
    await page.keyboard.press("z");
    await chip.waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("a setting is one click, a refusal stands where it was tried, and the log is one click away", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty", hash: "#/settings", height: 1_700 });
    const where = page.getByRole("checkbox", { name: /^Look where sessions run/ });
    assert.equal(await where.isChecked(), true);
    await where.uncheck();
    assert.deepEqual(await page.evaluate(() => window.lamplightFixture.calls.filter(([call]) => call === "setSettings")), [["setSettings", { "terminals.find": false }]]);
    await page.getByRole("checkbox", { name: /^Quiet hours/ }).check();
    await page.getByLabel("Quiet to").fill("22:00");
    await page.getByRole("region", { name: "Quiet hours" }).getByRole("alert").getByText("two different times").waitFor();
    assert.equal(await page.getByLabel("Quiet to").inputValue(), "07:30");
    await page.getByTestId("open-told").click();
    await page.getByTestId("told").first().waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("Ctrl+Enter goes to the terminal of the card under the focus", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty" });
    await page.keyboard.press("j");
    await page.keyboard.press("Control+Enter");
    await page.getByTestId("toast").getByText("Went to tmux work:2.1").waitFor();
    assert.deepEqual(await page.evaluate(() => window.lamplightFixture.calls.filter(([call]) => call === "focus")), [["focus", WEBHOOK]]);
    assert.deepEqual(complaints, []);
    await context.close();
  });
});

describe("overlays", { concurrency: 2 }, () => {
  for (const theme of ["light", "dark"]) {
    test(`menu ${theme}`, () =>
      check(`menu-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await card(page).click({ button: "right", position: { x: 400, y: 60 } });
        await page.getByTestId("menu-rename").waitFor();
      }));
    test(`rename ${theme}`, () =>
      check(`rename-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await card(page).click({ button: "right", position: { x: 400, y: 60 } });
        await page.getByTestId("menu-rename").click();
        await page.getByTestId("rename").waitFor();
      }));
    test(`evidence ${theme}`, () =>
      check(`evidence-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await card(page).getByTestId("state").click();
        await page.getByText("Bash call without a result").waitFor();
      }));
    test(`sources ${theme}`, () =>
      check(`sources-${theme}`, { fixture: "error", theme }, async (page) => {
        await page.getByRole("button", { name: "Look" }).click();
        await page.getByText("What Lamplight reads").waitFor();
      }));
    test(`palette ${theme}`, () =>
      check(`palette-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await palette(page, "rate");
        await page.getByText("Archive", { exact: true }).last().waitFor();
      }));
    test(`keys ${theme}`, () =>
      check(`keys-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await page.keyboard.press("?");
        await page.getByTestId("keys").getByText("Copy its resume command").waitFor();
      }));
    test(`toast ${theme}`, () =>
      check(`toast-${theme}`, { fixture: "thirty", theme }, async (page) => {
        await card(page).getByTestId("copy-resume").click();
        await page.getByTestId("toast").waitFor();
      }));
  }
});

describe("the list of keys", { concurrency: 2 }, () => {
  for (const width of [1024, 640, 360, 320]) {
    test(`keys at ${width}`, () =>
      check(`keys-${width}`, { fixture: "thirty", width }, async (page) => {
        await page.keyboard.press("?");
        await page.getByTestId("keys").waitFor();
      }, { axe: width === 360 }));
  }

  test("from a card, from the palette: Esc gives the focus back", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty" });
    const on = () => page.evaluate(() => document.activeElement?.closest("[data-id]")?.getAttribute("data-id") ?? null);
    await page.keyboard.press("j");
    await page.keyboard.press("?");
    await page.getByTestId("keys").waitFor();
    await page.keyboard.press("Escape");
    await page.getByTestId("keys").waitFor({ state: "detached" });
    assert.equal(await on(), WEBHOOK);
    await palette(page, "keys", "Keys: the list of all");
    await page.getByTestId("keys").waitFor();
    // The list takes the focus from the palette a moment after it is there.
    await page.waitForFunction(() => document.querySelector("[data-testid=keys]")?.contains(document.activeElement));
    await page.keyboard.press("Escape");
    await page.getByTestId("keys").waitFor({ state: "detached" });
    assert.equal(await on(), WEBHOOK);
    assert.deepEqual(complaints, []);
    await context.close();
  });
});

describe("a hand", () => {
  const focus = (page) => page.evaluate(() => document.activeElement?.closest("[data-id]")?.getAttribute("data-id") ?? document.activeElement?.getAttribute("data-testid") ?? null);

  test("right-click, one letter, a new name; the focus comes back to the card", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty" });
    const card = page.getByTestId(`card-${WEBHOOK}`);
    await card.click({ button: "right", position: { x: 600, y: 80 } });
    await page.getByTestId("menu-rename").waitFor();
    await page.keyboard.press("r");
    await page.keyboard.press("Enter");
    await page.getByTestId("rename").waitFor();
    assert.equal(await focus(page), WEBHOOK);
    await page.keyboard.press("Control+a");
    await page.keyboard.type("Webhooks");
    await page.keyboard.press("Enter");
    await card.getByText("Webhooks", { exact: true }).waitFor();
    assert.equal(await focus(page), WEBHOOK);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("the list does not move under the pointer; the headline does not wait", async () => {
    const { page, context } = await open(browser, host.origin, { fixture: "three", chip: "all" });
    const idle = page.locator(".line").first();
    const id = await idle.getAttribute("data-id");
    const card = page.getByTestId(`card-${WEBHOOK}`);
    await card.hover();
    const before = await card.boundingBox();
    await page.evaluate((id) => {
      const host = window.lamplightFixture;
      const attention = { tier: 1, cause: "permission", cause_id: "late", since_ms: 0, snoozed_until_ms: null, until_change: false, notified_at_ms: null };
      host.change([{ ...host.card(id), turn_state: "awaiting_permission", attention, causes: [] }]);
    }, id);
    await page.getByTestId("headline").getByText("2 sessions need you").waitFor();
    assert.deepEqual(await card.boundingBox(), before);
    await page.getByText("1 session more needs you").waitFor();
    await page.mouse.move(5, 5);
    await page.getByText("1 session more needs you").waitFor({ state: "detached" });
    assert.notDeepEqual(await card.boundingBox(), before);
    await context.close();
  });

  test("the focus goes with its card, through a new order, into another section, and to its neighbour; a held key acts once", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty", chip: "all" });
    // Cards that leave fade: the focus must not go with them.
    await page.emulateMedia({ reducedMotion: "no-preference" });
    await page.reload();
    await page.getByTestId("headline").waitFor();
    const change = (more) => page.evaluate(([id, more]) => { const host = window.lamplightFixture; host.change([{ ...host.card(id), causes: [], ...more }]); }, [WEBHOOK, more]);
    const attention = { tier: 1, cause: "permission", cause_id: "permission-w", since_ms: Date.now(), snoozed_until_ms: null, until_change: false, notified_at_ms: null };
    await page.keyboard.press("j");
    await change({ attention });
    await page.waitForFunction((id) => document.querySelector(".card")?.dataset.id !== id, WEBHOOK);
    assert.equal(await focus(page), WEBHOOK);
    await change({ attention: null, turn_state: "working" });
    await page.waitForFunction((id) => document.activeElement?.closest(".wrow")?.dataset.id === id, WEBHOOK);
    await page.getByTestId("chip-needs").click();
    await page.locator(".card [data-open]").first().focus();
    const second = await page.locator(".card").nth(1).getAttribute("data-id");
    for (let n = 0; n < 5; n += 1) await page.keyboard.down("e");
    await page.keyboard.up("e");
    await page.waitForFunction((id) => document.activeElement?.closest("[data-id]")?.dataset.id === id, second);
    assert.equal(await page.evaluate(() => window.lamplightFixture.calls.filter(([call]) => call === "setCause").length), 1);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("back is where one was", async () => {
    const { page, context } = await open(browser, host.origin, { fixture: "three-hundred", chip: "all" });
    const scroller = page.locator("[data-scroll]");
    await scroller.evaluate((e) => e.scrollTo(0, 1_200));
    const name = page.locator("[data-open]").nth(25);
    await name.click();
    await page.getByTestId("back").waitFor();
    const top = 1_200;
    await page.getByTestId("back").click();
    await page.getByTestId("filter").waitFor();
    await page.waitForFunction((top) => Math.abs((document.querySelector("[data-scroll]")?.scrollTop ?? 0) - top) < 400, top);
    assert.notEqual(await focus(page), null);
    await context.close();
  });

  test("nine hundred past sessions are a few dozen elements, and the last one can be reached", async () => {
    const { page, context } = await open(browser, host.origin, { fixture: "thirty", hash: "#/archive" });
    await page.locator(".hit").first().waitFor();
    for (let n = 0; n < 12; n += 1) {
      await page.locator("[data-scroll]").evaluate((e) => e.scrollTo(0, e.scrollHeight));
      await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
    }
    await page.locator('[aria-posinset="' + (await page.locator("[aria-setsize]").first().getAttribute("aria-setsize")) + '"]').waitFor();
    assert.ok((await page.locator(".hit").count()) < 60);
    await context.close();
  });

  test("a search is typed without losing the field, and back brings it again", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty" });
    await page.keyboard.press("Control+f");
    await page.getByTestId("archive-search").waitFor();
    await page.keyboard.type("retry bud");
    await page.locator("mark").first().waitFor();
    assert.equal(await page.getByTestId("archive-search").inputValue(), "retry bud");
    await page.locator(".hit [data-open]").first().click();
    await page.getByTestId("back").click();
    assert.equal(await page.getByTestId("archive-search").inputValue(), "retry bud");
    await page.locator("mark").first().waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("two thousand spans are a few dozen elements, and the last one can be reached by a key", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty", hash: `#/trace/${traceId(1)}` });
    const tree = page.getByTestId("waterfall");
    await tree.focus();
    await page.keyboard.press("End");
    await tree.locator("[aria-selected=true]").waitFor();
    assert.ok((await tree.getByRole("treeitem").count()) < 90);
    const seen = await tree.locator("[aria-selected=true]").evaluate((e) => { const b = e.getBoundingClientRect(); const s = e.closest("[data-scroll]").getBoundingClientRect(); return b.top >= s.top && b.bottom <= s.bottom + 1; });
    assert.ok(seen, "the chosen row is in sight");
    await page.keyboard.press("Home");
    const first = await tree.locator("[aria-selected=true]").evaluate((e) => { const b = e.getBoundingClientRect(); const a = e.closest("[data-scroll]").querySelector(".axis").getBoundingClientRect(); return b.top >= a.bottom - 1; });
    assert.ok(first, "not under the axis");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("a quiet minute repaints nothing of the services but their ages", async () => {
    const { page, context } = await open(browser, host.origin, { fixture: "thirty", hash: "#/services" });
    await page.getByTestId("service-billing-bot").waitFor();
    await page.evaluate(() => {
      window.changed = [];
      const watch = new MutationObserver((all) => {
        for (const m of all) {
          const at = m.target instanceof Element ? m.target : m.target.parentElement;
          if (at?.closest("time") === null) window.changed.push(`${m.type} ${at.tagName} ${at.className?.baseVal ?? at.className}`);
        }
      });
      watch.observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true, attributes: true });
    });
    await page.waitForTimeout(2_500);
    // Should a new minute begin meanwhile, every line moves by one: that is the grid, and no animation.
    const moved = (await page.evaluate(() => window.changed)).filter((c) => !/path/.test(c));
    assert.deepEqual(moved, []);
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    await context.close();
  });

  test("keys reach everything: filter, chips, pages, palette", async () => {
    const { page, context, complaints } = await open(browser, host.origin, { fixture: "thirty" });
    await page.keyboard.press("/");
    assert.equal(await focus(page), "filter");
    await page.keyboard.type("terraform");
    await page.getByTestId("chip-all").getByText("1", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByTestId("chip-all").getByText("21", { exact: true }).waitFor();
    await page.keyboard.press("3");
    assert.equal(await page.getByTestId("chip-working").getAttribute("aria-pressed"), "true");
    await page.keyboard.press("1");
    await page.keyboard.press("j");
    assert.equal(await focus(page), WEBHOOK);
    await page.keyboard.press("Shift+F10");
    await page.getByTestId("menu-why").waitFor();
    await page.keyboard.press("Escape");
    await page.getByTestId("menu-why").waitFor({ state: "detached" });
    assert.equal(await focus(page), WEBHOOK);
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    await page.getByTestId("archive-search").waitFor();
    await palette(page, "go to now", "Go to Now");
    await page.getByTestId("filter").waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });
});
