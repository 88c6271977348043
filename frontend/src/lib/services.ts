// Instrumented services in the words and the order of the screen. Pure.
import { cleanLine } from "./clean";
import { count, money, NOT_KNOWN, number, perMinute, share } from "./format";
import type { Service, ServiceMeasure } from "./types";
import type { Tone } from "./words";

/** Names a service on the screen: two projects may have one of the same name. */
export function serviceKey(service: { name: string; namespace: string | null }): string {
  return JSON.stringify([service.name, service.namespace]);
}

export interface Zones {
  /** Silent for more than 5 and at most 30 minutes, the one heard of last first: it may be an outage. */
  quiet: Service[];
  /** By project and name: an order by activity would make rows jump. */
  live: Service[];
  /** The one heard of last first. */
  dormant: Service[];
}

/** Every service in exactly one zone, by the state the engine gives it. */
export function zones(services: readonly Service[], filter = ""): Zones {
  const out: Zones = { quiet: [], live: [], dormant: [] };
  for (const service of services) if (matches(service, filter)) out[service.state].push(service);
  const byName = (a: Service, b: Service): number => a.name.localeCompare(b.name) || (a.namespace ?? "").localeCompare(b.namespace ?? "");
  const latest = (a: Service, b: Service): number => b.last_seen_ms - a.last_seen_ms || byName(a, b);
  out.quiet.sort(latest);
  out.live.sort(byName);
  out.dormant.sort(latest);
  return out;
}

/** Whether a service has every word that was typed, in its name, project or models. */
function matches(service: Service, filter: string): boolean {
  const words = filter.toLocaleLowerCase().split(/\s+/).filter((w) => w !== "");
  if (words.length === 0) return true;
  const text = [service.name, service.namespace ?? "", ...service.models].join("\n").toLocaleLowerCase();
  return words.every((word) => text.includes(word));
}

/** The title is the answer, and what else there is. */
export function serviceHeadline(z: Zones): { title: string; sub: string } {
  const [quiet, live, dormant] = [z.quiet.length, z.live.length, z.dormant.length];
  const rest = (parts: [number, string][]): string => parts.filter(([n]) => n > 0).map(([n, word]) => `${number(n)} ${word}`).join(", ");
  if (quiet > 0) return { title: `${count(quiet, "service")} went quiet`, sub: rest([[live, "live"], [dormant, "dormant"]]) || "no other is known" };
  if (live > 0) return { title: `${count(live, "service")} live`, sub: rest([[dormant, "dormant"]]) || "none went quiet" };
  if (dormant > 0) return { title: "No service is live", sub: `${number(dormant)} dormant` };
  return { title: "No service yet", sub: "" };
}

/** Beside the entry of the rail: what is missing first. */
export function railCount(services: readonly Service[]): { text: string; lit: boolean } | null {
  const quiet = services.filter((s) => s.state === "quiet").length;
  if (quiet > 0) return { text: `${number(quiet)} quiet`, lit: true };
  const live = services.filter((s) => s.state === "live").length;
  return live > 0 ? { text: number(live), lit: false } : null;
}

interface ServiceWords {
  icon: string;
  tone: Tone;
  words: string;
}

export function serviceState(service: Pick<Service, "state">): ServiceWords {
  switch (service.state) {
    case "live":
      return { icon: "s-working", tone: "working", words: "Live" };
    case "quiet":
      return { icon: "warn", tone: "blocked", words: "Went quiet" };
    case "dormant":
      return { icon: "s-idle", tone: "idle", words: "Dormant" };
  }
}

/** What is counted: one, and more of them. */
export const MEASURES: Record<ServiceMeasure, { one: string; many: string }> = {
  model_calls: { one: "model call", many: "model calls" },
  requests: { one: "request", many: "requests" },
  logs: { one: "log record", many: "log records" },
};

export function counted(n: number, measure: ServiceMeasure): string {
  return count(n, MEASURES[measure].one, MEASURES[measure].many);
}

/** Minutes are kept for about a day: what was before is forgotten, and not zero. */
function forgotten(service: Service): boolean {
  return service.state === "dormant" && service.calls === 0;
}

/** The rate; of one that is silent it is what it was. */
export function rateWords(service: Service): string {
  if (forgotten(service)) return NOT_KNOWN;
  return service.state === "live" ? perMinute(service.requests_per_minute) : `was ${perMinute(service.requests_per_minute)}`;
}

export function errorWords(service: Service): string {
  if (forgotten(service)) return NOT_KNOWN;
  return service.error_rate === null ? "no calls" : share(service.error_rate);
}

/** What today cost, in plain dollars: services pay per token. Who calls no model has no such cost at all. */
export function costToday(service: Service): string {
  if (service.measures !== "model_calls") return "no model calls";
  return service.cost_today_usd === null ? NOT_KNOWN : money(service.cost_today_usd);
}

/** Where that figure comes from, for its hint. */
export function costTodayOrigin(service: Service): string {
  if (service.measures !== "model_calls") return "It called no model, so there is no token cost";
  if (service.cost_today_usd === null) return "Since midnight. A model it called has no known price";
  switch (service.cost_source) {
    case "reported":
      return "Since midnight, as the service reported it";
    case "mixed":
      return "Since midnight, partly reported, partly list price";
    case "table":
      return "Since midnight, at list price per token";
    case null:
      return "Since midnight. Nothing was called today";
  }
}

export function projectWords(service: Pick<Service, "namespace">): string {
  return service.namespace === null ? "no project" : cleanLine(service.namespace);
}

/**
 * Keeps the objects of services that did not change, so that a row that says the same is not drawn again: the engine
 * sends all of them when one changed.
 */
export function reuse(before: readonly Service[], after: Service[]): Service[] {
  const known = new Map(before.map((s) => [serviceKey(s), s]));
  return after.map((service) => {
    const old = known.get(serviceKey(service));
    return old !== undefined && JSON.stringify(old) === JSON.stringify(service) ? old : service;
  });
}
