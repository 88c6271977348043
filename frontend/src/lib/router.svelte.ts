// Where the person is. In the fragment, so that reload, back and forward work in the window and in a browser alike.
import { tick } from "svelte";
import { focusSession } from "./dom";

export type Route =
  | { page: "now" }
  | { page: "services" }
  | { page: "service"; name: string; namespace: string | null }
  | { page: "trace"; id: string }
  | { page: "runs" }
  | { page: "run"; id: string }
  | { page: "archive"; query: string }
  | { page: "session"; id: string }
  | { page: "setup" }
  | { page: "settings" }
  | { page: "told" }
  | { page: "strip" };

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page, ...rest] = path.split("/");
  const params = new URLSearchParams(query);
  if (page === "archive") return { page: "archive", query: params.get("q") ?? "" };
  if (page === "services" || page === "runs" || page === "setup" || page === "settings" || page === "told" || page === "strip") return { page };
  if (rest.length === 0) return { page: "now" };
  let name;
  try {
    name = decodeURIComponent(rest.join("/"));
  } catch {
    return { page: "now" };
  }
  switch (page) {
    case "service":
      return { page, name, namespace: params.get("project") };
    case "trace":
    case "run":
    case "session":
      return { page, id: name };
    default:
      return { page: "now" };
  }
}

export function routeHash(route: Route): string {
  switch (route.page) {
    case "now":
      return "#/";
    case "archive":
      return route.query === "" ? "#/archive" : `#/archive?${new URLSearchParams({ q: route.query }).toString()}`;
    case "services":
    case "runs":
    case "setup":
    case "settings":
    case "told":
    case "strip":
      return `#/${route.page}`;
    case "service":
      return `#/service/${encodeURIComponent(route.name)}${route.namespace === null ? "" : `?${new URLSearchParams({ project: route.namespace }).toString()}`}`;
    case "trace":
    case "run":
    case "session":
      return `#/${route.page}/${encodeURIComponent(route.id)}`;
  }
}

/** How far a page was scrolled and what had the focus, so that back is where one was. */
interface Place {
  top: number;
  focus: string | null;
}

export class Router {
  route = $state.raw<Route>({ page: "now" });
  /** Pages opened from here: back has somewhere to go. */
  depth = 0;
  readonly #places = new Map<string, Place>();

  constructor() {
    this.route = parseRoute(location.hash);
  }

  start(): () => void {
    const onMove = (event: PopStateEvent | HashChangeEvent): void => {
      if (event instanceof PopStateEvent) this.depth = Math.max(0, this.depth - 1);
      this.#show(parseRoute(location.hash));
    };
    window.addEventListener("popstate", onMove);
    return () => { window.removeEventListener("popstate", onMove); };
  }

  go(route: Route): void {
    if (routeHash(route) === routeHash(this.route)) return;
    this.#remember();
    history.pushState(null, "", routeHash(route));
    this.depth += 1;
    this.route = route;
  }

  /** Changes the address without a step in the history, for a search as it is typed. */
  replace(route: Route): void {
    history.replaceState(null, "", routeHash(route));
    this.route = route;
  }

  /** One step back, or to Now when this page was the first. */
  back(): void {
    if (this.depth > 0) history.back();
    else this.go({ page: "now" });
  }

  /** Called by a page once its content stands: puts it where it was left. */
  async restore(): Promise<void> {
    const place = this.#places.get(routeHash(this.route));
    if (!place) return;
    await tick();
    const scroller = document.querySelector("[data-scroll]");
    if (scroller) scroller.scrollTop = place.top;
    if (place.focus !== null) focusSession(place.focus);
  }

  #show(route: Route): void {
    this.#remember();
    this.route = route;
  }

  #remember(): void {
    const focus = document.activeElement?.closest<HTMLElement>("[data-id]")?.dataset["id"] ?? null;
    this.#places.set(routeHash(this.route), { top: document.querySelector("[data-scroll]")?.scrollTop ?? 0, focus });
  }
}
