import { expect, test, vi } from "vitest";
import { Intake } from "./intake";

test("the first at once, the rest together and in order, then at once again", () => {
  vi.useFakeTimers();
  const log: number[] = [];
  const intake = new Intake<number>((n) => log.push(n));
  intake.push(1);
  expect(log).toEqual([1]);
  intake.push(2);
  intake.push(3);
  expect(log).toEqual([1]);
  vi.advanceTimersByTime(50);
  expect(log).toEqual([1, 2, 3]);
  intake.push(4);
  vi.advanceTimersByTime(50);
  vi.advanceTimersByTime(50);
  intake.push(5);
  expect(log).toEqual([1, 2, 3, 4, 5]);
  intake.push(6);
  intake.stop();
  vi.runAllTimers();
  expect(log).toEqual([1, 2, 3, 4, 5]);
  vi.useRealTimers();
});
