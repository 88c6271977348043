import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Footing, SETTLE_MS } from "./focus";

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.useRealTimers(); });

/** What was done, and whether keys that change a session act after it. */
function check(steps: (footing: Footing) => Promise<void> | void, settled: boolean): () => Promise<void> {
  return async () => {
    const footing = new Footing();
    await steps(footing);
    expect(footing.isSettled).toBe(settled);
  };
}
const nothing = (): Promise<void> => Promise.resolve();
const broken = (): Promise<void> => Promise.reject(new Error("That is already cleared."));

test("nothing left yet", check(() => undefined, true));
test("a row left by itself", check((f) => { f.slipped("a"); }, false));
test("almost long enough ago", check((f) => { f.slipped("a"); vi.advanceTimersByTime(SETTLE_MS - 1); }, false));
test("long enough ago", check((f) => { f.slipped("a"); vi.advanceTimersByTime(SETTLE_MS); }, true));
test("another one left meanwhile: from then on", check((f) => { f.slipped("a"); vi.advanceTimersByTime(SETTLE_MS - 1); f.slipped("b"); vi.advanceTimersByTime(1); }, false));
test("the person took it away, told before the answer", check((f) => f.during(["a"], () => { f.slipped("a"); return nothing(); }), true));
test("told after the answer", check(async (f) => { await f.during(["a", "b"], nothing); vi.advanceTimersByTime(500); f.slipped("b"); }, true));
test("they did something to it long ago, and it stayed", check(async (f) => { await f.during(["a"], nothing); vi.advanceTimersByTime(2_001); f.slipped("a"); }, false));
test("they took another one away", check(async (f) => { await f.during(["a"], nothing); f.slipped("b"); }, false));
test("their own does not end the pause of another", check(async (f) => { f.slipped("b"); await f.during(["a"], nothing); f.slipped("a"); }, false));
test("it was gone already: they know, and the error is theirs to hear", check(async (f) => { await expect(f.during(["a"], broken)).rejects.toThrow("cleared"); f.slipped("a"); }, true));
