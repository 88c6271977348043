// A `lamp serve --ui` of its own, in a home of its own, and what programs send to it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY = process.env.LAMPLIGHT_LAMP ?? fileURLToPath(new URL("../../target/debug/lamp", import.meta.url));

export class Lamp {
  /** `files` are written into its home before it starts. */
  static async start(files = {}) {
    const lamp = new Lamp();
    lamp.home = mkdtempSync(join(tmpdir(), "lamplight-ui-"));
    for (const [path, text] of Object.entries({ "config.toml": '[prices."test-model-*"]\ninput = 2.0\noutput = 10.0\ncache_read = 0.5\ncache_write_5m = 3.0\ncache_write_1h = 4.0\n', ...files })) {
      mkdirSync(dirname(join(lamp.home, path)), { recursive: true });
      writeFileSync(join(lamp.home, path), text);
    }
    // Where it is about noon: what is summed since midnight holds what was sent a minute ago.
    const TZ = `NOON${new Date().getUTCHours() - 12}`;
    const env = { PATH: "/usr/bin:/bin", HOME: lamp.home, LAMPLIGHT_DATA: join(lamp.home, "data"), LAMPLIGHT_CONFIG: join(lamp.home, "config.toml"), TZ };
    lamp.process = spawn(BINARY, ["serve", "--ui", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"], { env, stdio: ["ignore", "pipe", "pipe"] });
    lamp.process.stderr.pipe(createWriteStream(join(lamp.home, "serve.log"), { flags: "a" }));
    const [line] = await Promise.race([
      once(createInterface(lamp.process.stdout), "line"),
      once(lamp.process, "exit").then(([code]) => Promise.reject(new Error(`lamp serve ended with ${code}; build it with: cargo build -p lamplight-cli`))),
    ]);
    const ready = JSON.parse(line);
    lamp.http = ready.http;
    lamp.ui = ready.ui;
    lamp.origin = new URL(ready.ui).origin;
    return lamp;
  }

  async kill() {
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }

  async end() {
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    rmSync(this.home, { recursive: true });
  }

  async post(path, body) {
    const answer = await fetch(`http://${this.http}${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  }

  /** Spans of one resource, as an OTLP/JSON exporter sends them. */
  spans(resource, spans) {
    return this.post("/v1/traces", { resourceSpans: [{ resource: { attributes: attributes(resource) }, scopeSpans: [{ scope: { name: "test" }, spans }] }] });
  }

  /** A prompt and a request of a Claude Code session, as its own exporter tells them. */
  claude(session, { resource = {}, request = { model: "claude-opus-4-8", cost_usd: 0.25 } } = {}) {
    const record = (name, ago, own) => ({ timeUnixNano: String(BigInt(Date.now() - ago) * 1_000_000n), body: { stringValue: `claude_code.${name}` }, attributes: attributes({ "event.name": name, "session.id": session, ...own }) });
    const logRecords = [
      record("user_prompt", 3_000, { prompt_length: 12 }),
      record("api_request", 1_000, { input_tokens: 1_000, output_tokens: 100, cache_read_tokens: 0, cache_creation_tokens: 0, duration_ms: 900, request_id: `req_${session}`, ...request }),
    ];
    const scope = { name: "com.anthropic.claude_code.events", version: "2.1.7" };
    return this.post("/v1/logs", { resourceLogs: [{ resource: { attributes: attributes({ "service.name": "claude-code", ...resource }) }, scopeLogs: [{ scope, logRecords }] }] });
  }
}

export function attributes(of) {
  return Object.entries(of).map(([key, value]) => ({ key, value: typeof value === "number" ? (Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value }) : { stringValue: value } }));
}

let ids = 0;
/** An id of so many bytes that nobody else has. */
export function id(bytes) {
  ids += 1;
  return (ids * 2_654_435_761).toString(16).padStart(bytes * 2, "a1b2c3d4e5f60718").slice(-bytes * 2);
}

/** A span that began `ago` ms ago and lasted `ms`. */
export function span(name, { trace = id(16), parent = "", ago = 1_000, ms = 200, kind = 1, failed = null, self = id(8), ...of } = {}) {
  const start = BigInt(Math.round((Date.now() - ago) * 1_000)) * 1_000n;
  return {
    traceId: trace,
    spanId: self,
    parentSpanId: parent,
    name,
    kind,
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(start + BigInt(Math.round(ms * 1_000)) * 1_000n),
    attributes: attributes(of),
    status: failed === null ? {} : { code: 2, message: failed },
  };
}

/** A model call as the semantic conventions have it. */
export function chat(more = {}) {
  return span("chat test-model-1", { kind: 3, "gen_ai.operation.name": "chat", "gen_ai.request.model": "test-model-1", "gen_ai.usage.input_tokens": 100_000, "gen_ai.usage.output_tokens": 10_000, ...more });
}
