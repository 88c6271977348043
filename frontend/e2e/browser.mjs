// One browser for the whole suite; a page per state, with its complaints collected.
import { chromium } from "playwright-core";

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Opens a state; `complaints` gathers errors, policy violations and requests that leave the origin. */
export async function open(browser, origin, { fixture, theme = "light", width = 1280, height = 800, hash = "", scale = 1, ready = "headline", chip = null }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: "reduce", locale: "en-GB", deviceScaleFactor: scale });
  // What the person chose last; nobody chose anything where it is null.
  if (chip !== null) await context.addInitScript((chosen) => { localStorage.setItem("lamplight.chip", chosen); }, chip);
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (e) => complaints.push(`error: ${e.message}`));
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") complaints.push(`console: ${m.text()}`);
  });
  page.on("request", (r) => {
    if (!r.url().startsWith(origin)) complaints.push(`request: ${r.url()}`);
  });
  await page.goto(`${origin}/?fixture=${fixture}${hash}`);
  await page.getByTestId(ready).waitFor();
  return { page, context, complaints };
}
