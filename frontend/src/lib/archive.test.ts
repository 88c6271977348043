// Past sessions are read from among all there are: what stands on the screen fills whole pages of them.
import { expect, test, vi } from "vitest";
import { card } from "../fixtures/build";
import { FixtureClient } from "../fixtures/client";
import { Archive, readOn } from "./archive.svelte";
import { idOf } from "./sections";

const asked = (client: FixtureClient): unknown[] => client.calls.filter(([c]) => c === "sessions").map(([, p]) => p);

test.each([
  ["thirty", "", 1],
  ["three-hundred", "", 3],
  ["three-hundred", "rate", 1],
])("%s, asked for “%s”: %i pages, then something is there to show", async (name, query, pages) => {
  const client = new FixtureClient(name);
  const listed = new Set((await client.status()).sessions.map(idOf));
  const archive = new Archive(client, (id) => listed.has(id));
  archive.show(query, 0);
  await vi.waitFor(() => { expect(archive.loading).toBe(false); });
  expect(asked(client)).toHaveLength(pages);
  expect(archive.cards.some((c) => query !== "" || !listed.has(idOf(c)))).toBe(true);
});

test("what nobody waits for any more is not read on", async () => {
  const client = new FixtureClient("three-hundred");
  const archive = new Archive(client, () => true);
  archive.show("", 0);
  archive.show("rate", 0);
  await vi.waitFor(() => { expect(archive.loading).toBe(false); });
  expect(asked(client)).toHaveLength(2);
});

test("a read comes to its end: at the last page, with enough found, and where neither ever comes", async () => {
  const client = new FixtureClient("thirty");
  const all = await readOn(client, { limit: 200 }, () => false);
  expect([all.sessions.length, all.next, all.total, new Set(all.sessions.map(idOf)).size]).toEqual([923, null, 923, 923]);
  const some = await readOn(client, { limit: 10 }, (found) => found.length >= 25);
  expect([some.sessions.length, some.next === null]).toEqual([30, false]);
  const endless = vi.fn(() => Promise.resolve({ sessions: [card(0, "a", "a")], next: "on", total: 1 }));
  client.sessions = endless;
  await readOn(client, { limit: 10 }, () => false);
  expect(endless).toHaveBeenCalledTimes(20);
});
