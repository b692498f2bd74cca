// The choice as the part of an address behind #, and back. A link is untrusted: what the graph does not know is dropped.

import { STATES } from "./data";
import { EVERYTHING, portRanges } from "./filter";
import type { Model } from "./model";
import { opened } from "./picture";
import { NOTHING_CHOSEN, type Choice, type Question } from "./state";

type Linked = Pick<Choice, "filter" | "open" | "folded" | "edges" | "node" | "group" | "question">;

const same = (some: ReadonlySet<string>, others: ReadonlySet<string>): boolean =>
  some.size === others.size && [...some].every((item) => others.has(item));

export function toHash(choice: Choice, model: Model): string {
  const { filter, question } = choice;
  const found = new URLSearchParams();
  if (filter.namespace) found.set("namespace", filter.namespace);
  if (filter.protocol) found.set("protocol", filter.protocol);
  if (filter.port) found.set("port", filter.port);
  if (filter.connections > 0) found.set("connections", String(filter.connections));
  if (!same(filter.states, EVERYTHING.states)) found.set("states", [...filter.states].join(","));
  if (filter.time) found.set("time", filter.time.join("-"));
  if (!choice.folded) found.set("hubs", "drawn");
  if (!same(choice.open, opened(model))) {
    found.set("open", "");
    for (const group of choice.open) found.append("open", group);
  }
  if (choice.node !== null) found.set("node", choice.node);
  if (question) {
    found.set("ask", question.kind);
    found.set("about", question.node);
    if (question.kind === "path" && question.other) found.set("and", question.other);
  }
  return found.toString();
}

export function fromHash(hash: string, model: Model): Linked {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (name: string): string => found.get(name) ?? "";
  const one = (name: string, known: readonly string[]): string => (known.includes(text(name)) ? text(name) : "");
  const node = (name: string): string | null => (model.nodes.has(text(name)) ? text(name) : null);
  const states = found.has("states") ? STATES.filter((state) => text("states").split(",").includes(state)) : EVERYTHING.states;
  const open = found.has("open") ? found.getAll("open").filter((group) => model.groups.has(group)) : opened(model);
  return {
    filter: {
      namespace: one("namespace", model.namespaces),
      protocol: one("protocol", model.protocols),
      port: portRanges(text("port")) ? text("port") : "",
      connections: /^\d{1,12}$/.test(text("connections")) ? Number(text("connections")) : 0,
      states: new Set(states),
      time: timeOf(text("time"), model.graph.time?.bins ?? 0),
    },
    open: new Set(open),
    folded: text("hubs") !== "drawn",
    ...NOTHING_CHOSEN,
    node: node("node"),
    question: questionOf(text("ask"), node("about"), node("and")),
  };
}

function timeOf(text: string, bins: number): readonly [number, number] | null {
  const found = /^(\d{1,6})-(\d{1,6})$/.exec(text);
  const [low, high] = [Number(found?.[1]), Number(found?.[2])];
  return found && low <= high && high < bins ? [low, high] : null;
}

function questionOf(kind: string, node: string | null, other: string | null): Question | null {
  if (node === null) return null;
  if (kind === "path") return { kind, node, other: other ?? "" };
  return kind === "from" || kind === "to" ? { kind, node } : null;
}
