// jsdom has no layout: what components ask of it is answered with "visible, and never moving".
import { cleanup, configure } from "@testing-library/svelte";
import { afterEach } from "vitest";

// A machine that builds beside it is slow; what never comes still fails before the test's own time is over.
configure({ asyncUtilTimeout: 10_000 });

afterEach(() => {
  cleanup();
});

Element.prototype.scrollIntoView ??= () => undefined;
Element.prototype.animate ??= () => {
  const done: Partial<Animation> = { cancel: () => undefined, currentTime: 0, onfinish: null };
  queueMicrotask(() => done.onfinish?.call(done as Animation, new Event("finish") as AnimationPlaybackEvent));
  return done as Animation;
};
globalThis.ResizeObserver ??= class {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
};
globalThis.matchMedia ??= (query: string) =>
  ({ matches: false, media: query, addEventListener: () => undefined, removeEventListener: () => undefined }) as unknown as MediaQueryList;
