import { expect, test } from "vitest";
import { EventStreamParser, type ServerEvent } from "./sse";

const STREAM = 'retry: 2000\n: heartbeat\n\nevent: snapshot\nid: e-1\ndata: {"a":\ndata: 1}\n\r\nevent: change\r\nid: e-2\r\ndata: "ü🚢"\r\n\r\ndata:tight\n\nevent: none\n\n';
const EVENTS: ServerEvent[] = [
  { event: "snapshot", data: '{"a":\n1}', id: "e-1" },
  { event: "change", data: '"ü🚢"', id: "e-2" },
  { event: "message", data: "tight", id: "e-2" },
];

test("events, comments, ids and retry, with any line ends", () => {
  const parser = new EventStreamParser();
  expect(parser.push(STREAM)).toEqual(EVENTS);
  expect(parser.retry).toBe(2000);
});

test("any split in two gives the same events", () => {
  for (let at = 0; at <= STREAM.length; at += 1) {
    const parser = new EventStreamParser();
    expect([...parser.push(STREAM.slice(0, at)), ...parser.push(STREAM.slice(at))], `split at ${String(at)}`).toEqual(EVENTS);
  }
});

test("character by character gives the same events", () => {
  const parser = new EventStreamParser();
  expect(Array.from({ length: STREAM.length }, (_, n) => parser.push(STREAM.charAt(n))).flat()).toEqual(EVENTS);
});
