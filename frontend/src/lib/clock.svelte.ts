// One clock for the whole screen. It sleeps until the next text really changes, counts only what is on the screen, and
// stops when the window is hidden: a quiet minute repaints nothing but the seconds in sight.
import { getContext, setContext } from "svelte";
import { nextWaitChange } from "./format";

interface Hand {
  /** Moment the age is counted from. */
  since: () => number | null;
  update: (now: number) => void;
  visible: boolean;
}

/** Coarse time, for what is worded by the minute. */
const COARSE_MS = 15_000;

export class Clock {
  /** Time to the quarter minute; moves only while the window is visible. */
  coarse = $state(0);
  readonly #now: () => number;
  readonly #hands = new Map<Element, Hand>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #observer: IntersectionObserver | null = null;

  constructor(now: () => number = () => Date.now()) {
    this.#now = now;
    this.coarse = now();
  }

  now(): number {
    return this.#now();
  }

  /** Starts ticking; the returned function stops it. */
  start(): () => void {
    const onVisible = (): void => {
      this.#running = document.visibilityState === "visible";
      this.#tick();
    };
    document.addEventListener("visibilitychange", onVisible);
    if (typeof IntersectionObserver !== "undefined") {
      this.#observer = new IntersectionObserver((entries) => {
        let woken = false;
        for (const entry of entries) {
          const hand = this.#hands.get(entry.target);
          if (!hand || hand.visible === entry.isIntersecting) continue;
          hand.visible = entry.isIntersecting;
          woken ||= entry.isIntersecting;
        }
        if (woken) this.#tick();
      });
      for (const element of this.#hands.keys()) this.#observer.observe(element);
    }
    onVisible();
    return () => {
      this.#running = false;
      clearTimeout(this.#timer);
      document.removeEventListener("visibilitychange", onVisible);
      this.#observer?.disconnect();
      this.#observer = null;
    };
  }

  /** Calls `update` now and whenever the worded age of `since` changes while `element` is in sight. */
  follow(element: Element, since: () => number | null, update: (now: number) => void): () => void {
    this.#hands.set(element, { since, update, visible: true });
    this.#observer?.observe(element);
    update(this.#now());
    this.#schedule();
    return () => {
      this.#hands.delete(element);
      this.#observer?.unobserve(element);
    };
  }

  #tick(): void {
    if (!this.#running) {
      clearTimeout(this.#timer);
      return;
    }
    const now = this.#now();
    for (const hand of this.#hands.values()) if (hand.visible) hand.update(now);
    if (now - this.coarse >= COARSE_MS || now < this.coarse) this.coarse = now;
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (!this.#running) return;
    const now = this.#now();
    let sleep = COARSE_MS - Math.max(0, now - this.coarse);
    for (const hand of this.#hands.values()) {
      const since = hand.visible ? hand.since() : null;
      if (since !== null) sleep = Math.min(sleep, nextWaitChange(now - since));
    }
    this.#timer = setTimeout(() => { this.#tick(); }, Math.max(50, sleep));
  }
}

const KEY = Symbol("clock");

export function provideClock(clock: Clock): void {
  setContext(KEY, clock);
}

export function useClock(): Clock {
  return getContext<Clock>(KEY);
}
