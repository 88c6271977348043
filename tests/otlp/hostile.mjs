// What strangers can do with a running Lamplight, in a real browser: a page of another origin gets nothing and writes
// nothing, and what telemetry and transcripts carry of HTML, SQL, terminal escapes, direction marks and shell reaches the
// screen, the clipboard and the log harmless.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Lamp } from "./lamp.mjs";

const { chromium } = createRequire(new URL("../../frontend/package.json", import.meta.url))("playwright-core");

let browser;
before(async () => {
  // As an attacker's name server would have it: a public name that leads to this machine.
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP evil.example 127.0.0.1"];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
});
after(() => browser?.close());

const record = (service, n = 1) => ({
  resourceLogs: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] }, scopeLogs: [{ logRecords: [{ timeUnixNano: `${Date.now()}${String(n).padStart(6, "0")}` }] }] }],
});

describe("a page of another origin", () => {
  let lamp, evil;
  before(async () => {
    lamp = await Lamp.start({ ui: true });
    evil = createServer((_, response) => response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>evil</title><body></body>"));
    await new Promise((resolve) => evil.listen(0, "127.0.0.1", resolve));
  });
  after(async () => {
    evil?.close();
    await lamp?.end();
  });

  /** Everything a page can try, from inside of it. Returns what it got hold of. */
  const attack = async ({ target, token, body, patienceMs = 1_500 }) => {
    const got = [];
    const attempt = async (name, act) => {
      try {
        const found = await Promise.race([act(), new Promise((_, fail) => setTimeout(() => fail(new Error("nothing came")), patienceMs))]);
        if (found) got.push(`${name}: ${String(found).slice(0, 80)}`);
      } catch {
        // Refused, as it should be.
      }
    };
    const text = async (answer) => (answer.type === "opaque" ? "" : `${answer.status} ${await answer.text()}`);
    const paths = ["/", "/healthz", "/metrics", "/api/v1/status", "/api/v1/sessions", "/api/v1/stream"];
    const Authorization = `Bearer ${token}`;
    for (const path of paths) {
      await attempt(`read ${path}`, async () => text(await fetch(target + path)));
      await attempt(`read ${path} with the token`, async () => text(await fetch(target + path, { headers: { Authorization } })));
      await attempt(`read ${path} unseen`, async () => text(await fetch(target + path, { mode: "no-cors", credentials: "include" })));
    }
    for (const path of ["/v1/logs", "/v1/traces", "/v1/metrics", "/api/v1/sessions/close", "/api/v1/sessions/x/label"]) {
      for (const type of ["application/json", "application/x-protobuf", "text/plain", "application/x-www-form-urlencoded"]) {
        await attempt(`write ${path} ${type}`, async () => text(await fetch(target + path, { method: "POST", body, headers: { "Content-Type": type } })));
        await attempt(`write ${path} ${type} unseen`, async () => text(await fetch(target + path, { method: "POST", mode: "no-cors", body: new Blob([body], { type }) })));
        navigator.sendBeacon(target + path, new Blob([body], { type }));
      }
      // A form of plain text whose name and value make JSON together.
      const form = Object.assign(document.createElement("form"), { action: target + path, method: "POST", enctype: "text/plain", target: "sink" });
      const [name, value] = [body.slice(0, -1) + ',"x":"', '"}'];
      form.append(Object.assign(document.createElement("input"), { name, value }));
      const sink = Object.assign(document.createElement("iframe"), { name: "sink" });
      document.body.append(sink, form);
      form.submit();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await attempt("EventSource", () => new Promise((resolve, fail) => {
      const source = new EventSource(`${target}/api/v1/stream?token=${token}`);
      source.onmessage = source.onopen = () => resolve("open");
      source.onerror = fail;
    }));
    await attempt("WebSocket", () => new Promise((resolve, fail) => {
      const socket = new WebSocket(target.replace("http", "ws"));
      socket.onopen = () => resolve("open");
      socket.onerror = fail;
    }));
    for (const [tag, property, path] of [["script", "src", "/api/v1/status"], ["img", "src", "/icon.svg"], ["script", "src", "/healthz"]]) {
      await attempt(`${tag} ${path}`, () => new Promise((resolve, fail) => {
        const element = document.createElement(tag);
        element.onload = () => resolve("loaded");
        element.onerror = fail;
        element[property] = target + path;
        document.body.append(element);
      }));
    }
    const frame = Object.assign(document.createElement("iframe"), { src: `${target}/#token=${token}` });
    document.body.append(frame);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await attempt("frame", async () => frame.contentDocument?.body?.innerText ?? frame.contentWindow.document.title);
    return got;
  };

  test("reads nothing and writes nothing, by any means a page has", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${evil.address().port}/`);
    const body = JSON.stringify(record("planted"));
    assert.deepEqual(await page.evaluate(attack, { target: `http://${lamp.http}`, token: lamp.token, body }), []);
    const localhost = `http://localhost:${lamp.http.split(":")[1]}`;
    assert.deepEqual(await page.evaluate(attack, { target: localhost, token: lamp.token, body }), []);
    // What does come in is seen at once, so that what is not there now has not come in.
    await fetch(`http://${lamp.http}/v1/logs`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(record("ours")) });
    await lamp.service("ours");
    assert.deepEqual((await lamp.get("/api/v1/status")).services.map((service) => service.name), ["ours"]);
    await context.close();

    // The same from the listener's own page gets through, so that it is the origin that is held back and not the attempt.
    const own = await browser.newContext({ bypassCSP: true });
    const home = await own.newPage();
    await home.goto(`http://${lamp.http}/`);
    // What does get through may be slow: an attempt that fails for want of time would tell nothing.
    const got = await home.evaluate(attack, { target: `http://${lamp.http}`, token: lamp.token, body, patienceMs: 15_000 });
    for (const expected of ["read /healthz: 200 ok", "read /api/v1/status with the token: 200", "write /v1/logs application/json: 200 {}"]) assert.ok(got.some((line) => line.startsWith(expected)), `${expected}: ${got.join("\n")}`);
    await lamp.service("planted");
    await own.close();
  });

  test("a name that was made to lead here is refused, page and all", async () => {
    // Without the policy that even a refusal carries, under which the page could not ask at all.
    const context = await browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    const rebound = `http://evil.example:${lamp.http.split(":")[1]}`;
    const answer = await page.goto(`${rebound}/#token=${lamp.token}`);
    assert.equal(answer.status(), 403);
    // Same origin for the browser: only the server can tell.
    const got = await page.evaluate(async ([token, body]) => {
      const statuses = [];
      for (const path of ["/api/v1/status", "/metrics", "/healthz"]) statuses.push((await fetch(path, { headers: { Authorization: `Bearer ${token}` } })).status);
      statuses.push((await fetch("/v1/logs", { method: "POST", body, headers: { "Content-Type": "application/json" } })).status);
      return statuses;
    }, [lamp.token, JSON.stringify(record("rebound"))]);
    assert.deepEqual(got, [403, 403, 403, 403]);
    assert.equal((await lamp.get("/api/v1/status")).services.some((service) => service.name === "rebound"), false);
    await context.close();
  });
});

describe("hostile words", () => {
  const SHELL = "$(touch pwned) `touch pwned` ; touch pwned '\"";
  const HOSTILE = `<img src=x onerror="window.pwned=1"><b class=hostile>x</b>'); DROP TABLE services; --\u001b[31mred\u001b]0;title\u0007\u202egnp.exe\u2066 ${SHELL}`;
  const SESSION = "8315008f-4e85-4f76-9793-9ca591af70eb";
  // Of a directory whose name no line could carry safely.
  const NOWHERE = "01a1f8dc-f545-4661-b9fb-954e090b8669";
  const attribute = (key, value) => ({ key, value: typeof value === "number" ? { intValue: value } : { stringValue: value } });
  let lamp, work;

  before(async () => {
    lamp = await Lamp.start({
      ui: true,
      prepare: (home) => {
        work = join(home, `sho'p ${SHELL.replaceAll("/", "")} <b class=hostile>`);
        mkdirSync(work, { recursive: true });
        const project = join(home, ".claude/projects/-shop");
        mkdirSync(project, { recursive: true });
        const line = (session, cwd, seconds, more) => `${JSON.stringify({ isSidechain: false, userType: "external", entrypoint: "cli", cwd, sessionId: session, version: "2.1.329", gitBranch: HOSTILE, timestamp: new Date(Date.now() - seconds * 1_000).toISOString(), ...more })}\n`;
        const usage = { input_tokens: 10, output_tokens: 5, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
        const nowhere = join(home, "a\u202eb\nc\u001b[31m");
        mkdirSync(nowhere);
        for (const [session, cwd] of [[SESSION, work], [NOWHERE, nowhere]]) {
          const message = { id: `m-${session}`, type: "message", role: "assistant", model: HOSTILE, content: [{ type: "text", text: HOSTILE }], stop_reason: "end_turn", usage };
          writeFileSync(
            join(project, `${session}.jsonl`),
            line(session, cwd, 60, { type: "user", uuid: `u-${session}`, parentUuid: null, message: { role: "user", content: HOSTILE } }) +
              line(session, cwd, 55, { type: "assistant", uuid: `a-${session}`, parentUuid: `u-${session}`, requestId: `r-${session}`, message }),
          );
        }
      },
    });
    const send = async (signal, body) => {
      const answer = await fetch(`http://${lamp.http}/v1/${signal}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      assert.deepEqual([answer.status, await answer.text()], [200, "{}"]);
    };
    const resource = { attributes: [attribute("service.name", HOSTILE), attribute("service.namespace", HOSTILE)] };
    const nowNs = `${Date.now()}000000`;
    const span = (n, parent) => ({
      traceId: "5b8efff798038103d269b633813fc60c", spanId: `00000000000000${String(n).padStart(2, "0")}`, parentSpanId: parent, name: HOSTILE, kind: 2,
      startTimeUnixNano: nowNs, endTimeUnixNano: `${Date.now() + 1}000000`, status: { code: 2, message: HOSTILE },
      attributes: [attribute("gen_ai.operation.name", "chat"), attribute("gen_ai.request.model", HOSTILE), attribute("error.type", HOSTILE), attribute(HOSTILE, HOSTILE), attribute("gen_ai.usage.input_tokens", 5)],
      events: [{ timeUnixNano: nowNs, name: HOSTILE, attributes: [attribute("exception.message", HOSTILE)] }],
    });
    await send("traces", { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: HOSTILE }, spans: [span(1, ""), span(2, "0000000000000001")] }] }] });
    // The agent's own telemetry: a terminal, a run and a parent with such names, and sessions with such ids.
    for (const id of [SESSION, HOSTILE, "x; touch pwned", "../../etc/passwd"]) {
      const attributes = [attribute("event.name", "user_prompt"), attribute("session.id", id), attribute("service.instance.id", HOSTILE), attribute("lamplight.run_id", HOSTILE), attribute("prompt", HOSTILE)];
      await send("logs", { resourceLogs: [{ resource: { attributes: [attribute("service.name", "claude-code")] }, scopeLogs: [{ scope: { name: "com.anthropic.claude_code.events" }, logRecords: [{ timeUnixNano: nowNs, attributes }] }] }] });
    }
    await lamp.service((await shownName()), (service) => service.calls >= 2);
  });
  after(() => lamp?.end());

  /** The one service there is; its name has lost what could turn a line into something else. */
  const shownName = async () => {
    for (let n = 0; n < 100; n += 1) {
      const [service] = (await lamp.get("/api/v1/status")).services;
      if (service !== undefined) return service.name;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("no service came");
  };

  // Tab and newline are layout; every other control, and every mark of direction but the isolates the page sets itself.
  // eslint-disable-next-line no-control-regex
  const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

  test("are text on every screen, and nothing else", async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    // Every session is listed, whatever needs somebody.
    await context.addInitScript(() => { localStorage.setItem("lamplight.chip", "all"); });
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(`console: ${message.text()}`));
    page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`));
    page.on("request", (request) => !request.url().startsWith(`http://${lamp.http}/`) && complaints.push(`request: ${request.url()}`));
    await page.goto(`http://${lamp.http}/#token=${lamp.token}`);
    await page.getByTestId("headline").waitFor();
    const name = encodeURIComponent(await shownName());
    const project = new URLSearchParams({ project: (await lamp.get("/api/v1/status")).services[0].namespace });
    const screens = {
      "#/": async () => {
        for (const session of [SESSION, NOWHERE]) await page.getByTestId(`card-claude-code:${session}`).waitFor();
      },
      "#/services": () => page.locator("[data-testid^='service-']").first().waitFor(),
      [`#/service/${name}?${project}`]: () => page.locator("[data-testid^='trace-']").first().waitFor(),
      "#/trace/5b8efff798038103d269b633813fc60c": () => page.getByTestId("waterfall").waitFor(),
      "#/runs": () => page.getByText("DROP TABLE").first().waitFor(),
      // Its models stand at the end of what is read for it.
      [`#/session/${encodeURIComponent(`claude-code:${SESSION}`)}`]: () => page.getByText("1 response").first().waitFor(),
      "#/archive": () => page.getByTestId("archive-search").waitFor(),
    };
    for (const [hash, shown] of Object.entries(screens)) {
      await page.evaluate((to) => (location.hash = to), hash);
      await shown();
      const found = await page.evaluate(() => ({
        ran: window.pwned ?? null,
        made: document.querySelectorAll("img[src='x'], b.hostile, [onerror]").length,
        words: `${document.title}\n${document.body.innerText}\n${[...document.querySelectorAll("*")].flatMap((e) => [...e.attributes].filter((a) => /^(title|aria-|data-tip|alt|placeholder)/.test(a.name)).map((a) => a.value)).join("\n")}`,
      }));
      assert.deepEqual([found.ran, found.made], [null, 0], hash);
      const at = found.words.search(UNSAFE);
      assert.equal(at, -1, `${hash}: ${JSON.stringify(found.words.slice(Math.max(0, at - 40), at + 40))}`);
      if (hash !== "#/archive") assert.ok(found.words.includes("DROP TABLE"), `${hash} shows the words`);
    }
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("in a directory's name stay one argument of the line on the clipboard", async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    // Every session is listed, whatever needs somebody.
    await context.addInitScript(() => { localStorage.setItem("lamplight.chip", "all"); });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: `http://${lamp.http}` });
    const page = await context.newPage();
    await page.goto(`http://${lamp.http}/#token=${lamp.token}`);
    await page.getByTestId(`card-claude-code:${SESSION}`).getByTestId("copy-resume").first().click();
    await page.getByTestId("toast").waitFor();
    const line = await page.evaluate(() => navigator.clipboard.readText());
    await context.close();
    // What a person would do with it, with an agent that says where and how it was called.
    const tools = join(lamp.home, "bin");
    mkdirSync(tools);
    writeFileSync(join(tools, "claude"), '#!/bin/sh\npwd > "$SAID"\nfor argument; do printf "%s\\n" "$argument" >> "$SAID"; done\n');
    chmodSync(join(tools, "claude"), 0o755);
    for (const shell of ["bash", "sh"]) {
      const said = join(lamp.home, `said-${shell}`);
      execFileSync(shell, ["-c", line], { cwd: tools, env: { PATH: `${tools}:/usr/bin:/bin`, HOME: lamp.home, SAID: said } });
      assert.deepEqual(readFileSync(said, "utf8").split("\n"), [work, "--resume", SESSION, ""], `${shell}: ${line}`);
    }
    const everywhere = [tools, work, lamp.home].flatMap((folder) => readdirSync(folder));
    assert.equal(everywhere.includes("pwned") || existsSync("pwned"), false);
  });

  test("in ids make no session, and in SQL change nothing (A210)", async () => {
    const { services } = await lamp.get("/api/v1/status");
    assert.equal(services.length, 1);
    assert.ok(services[0].name.includes("DROP TABLE") && !UNSAFE.test(services[0].name), services[0].name);
    const { sessions } = await lamp.get("/api/v1/sessions?limit=100");
    const cards = [...sessions, ...(await lamp.get("/api/v1/status")).sessions];
    assert.deepEqual([...new Set(cards.map((card) => card.session_id))].sort(), [NOWHERE, SESSION]);
    const { resume } = cards.find((card) => card.session_id === NOWHERE);
    assert.equal(resume.command, null, "no line is better than one that reads otherwise than it runs");
    assert.ok(resume.reason.length > 10, resume.reason);
    const found = await lamp.get(`/api/v1/sessions?limit=100&q=${encodeURIComponent("'); DROP TABLE")}`);
    assert.ok(Array.isArray(found.sessions));
    assert.equal(readFileSync(join(lamp.home, "serve.log"), "utf8"), "", "nothing of it is logged");
  });
});
