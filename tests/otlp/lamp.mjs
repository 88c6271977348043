// A `lamp serve` of its own, in a home of its own, as a client on this machine meets it.
import { spawn } from "node:child_process";
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const BINARY = process.env.LAMPLIGHT_LAMP ?? fileURLToPath(new URL("../../target/debug/lamp", import.meta.url));
export const shop = JSON.parse(readFileSync(new URL("shop.json", import.meta.url), "utf8"));

export class Lamp {
  /** `prepare` fills the home before anybody looks at it; `ui` serves the screen as well. */
  static async start({ ui = false, prepare = () => undefined } = {}) {
    const lamp = new Lamp();
    lamp.ui = ui;
    lamp.home = mkdtempSync(join(tmpdir(), "lamplight-otlp-"));
    prepare(lamp.home);
    const prices = Object.entries(shop.prices).map(([kind, dollars]) => `${kind} = ${dollars.toFixed(1)}\n`);
    writeFileSync(join(lamp.home, "config.toml"), `[prices."shop-model-*"]\n${prices.join("")}`);
    await lamp.begin();
    return lamp;
  }

  async begin() {
    const env = { PATH: "/usr/bin:/bin", HOME: this.home, LAMPLIGHT_DATA: join(this.home, "data"), LAMPLIGHT_CONFIG: join(this.home, "config.toml") };
    const args = ["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", ...(this.ui ? ["--ui"] : [])];
    this.process = spawn(BINARY, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.process.stderr.pipe(createWriteStream(join(this.home, "serve.log"), { flags: "a" }));
    const [line] = await Promise.race([
      once(createInterface(this.process.stdout), "line"),
      once(this.process, "exit").then(([code]) => Promise.reject(new Error(`lamp serve ended with ${code}`))),
    ]);
    const ready = JSON.parse(line);
    this.http = ready.http;
    this.grpc = ready.grpc;
    this.token = readFileSync(ready.token_file, "utf8").trim();
  }

  async kill() {
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }

  async end() {
    await this.kill();
    rmSync(this.home, { recursive: true });
  }

  async get(path) {
    const answer = await fetch(`http://${this.http}${path}`, { headers: { Authorization: `Bearer ${this.token}` } });
    return answer.json();
  }

  /** The service, once it shows what is waited for. Its figures are told once a second. */
  async service(name, shows = () => true) {
    const limit = Date.now() + 20_000;
    for (;;) {
      const service = (await this.get("/api/v1/status")).services.find((known) => known.name === name);
      if (service !== undefined && shows(service)) return service;
      if (Date.now() > limit) throw new Error(`${name}: ${JSON.stringify(service)}`);
      await pause(50);
    }
  }

  /** How the receiver itself is. */
  async source() {
    return (await this.get("/api/v1/status")).sources.find((source) => source.name === "otlp");
  }
}
