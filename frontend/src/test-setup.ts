// jsdom has no layout: what components ask of it is answered with "visible, and never moving".
import { cleanup } from "@testing-library/svelte";
import { afterEach } from "vitest";

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
