// Which edges are shown.

import { STATES, type FlowEdge, type State } from "./data";
import type { Model } from "./model";

export interface Filter {
  /** Edges with an end in it; empty: all. */
  readonly namespace: string;
  readonly protocol: string;
  /** `443`, `8000-8010`, several with commas; empty: all. */
  readonly port: string;
  readonly states: ReadonlySet<State>;
  /** Inclusive bins of time; null: the whole capture, and what was never seen too. */
  readonly time: readonly [number, number] | null;
  readonly connections: number;
}

export const EVERYTHING: Filter = {
  namespace: "",
  protocol: "",
  port: "",
  states: new Set(STATES.filter((state) => state !== "not-for-policies")),
  time: null,
  connections: 0,
};

type Range = readonly [number, number];

/** The ranges that the text asks for; null where it asks for nothing that could be a port. */
export function portRanges(text: string): Range[] | null {
  const ranges: Range[] = [];
  for (const item of text.split(",")) {
    const found = /^\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?$/.exec(item);
    if (!found) return null;
    const low = Number(found[1]);
    const high = Number(found[2] ?? found[1]);
    if (low > high || high > 65535) return null;
    ranges.push([low, high]);
  }
  return ranges;
}

const meets = (some: readonly Range[], others: readonly Range[]): boolean =>
  some.some(([low, high]) => others.some(([from, to]) => from <= high && low <= to));

/** The test that every edge is put to, but for its state. */
function exceptState(filter: Filter, model: Model): (edge: FlowEdge) => boolean {
  const ranges = filter.port.trim() ? portRanges(filter.port) : null;
  return (edge) => {
    if ((edge.seen?.connections ?? 0) < filter.connections) return false;
    if (filter.namespace) {
      const ends = [edge.source, edge.destination];
      if (!ends.some((end) => model.nodes.get(end)?.namespace === filter.namespace)) return false;
    }
    if (filter.protocol && !edge.protocols.includes(filter.protocol)) return false;
    if (ranges) {
      const asked = Object.entries(edge.ports).filter(([name]) => !filter.protocol || name === filter.protocol);
      if (!asked.some(([, found]) => meets(found, ranges))) return false;
    }
    return !filter.time || (edge.seen !== null && meets(edge.seen.active, [filter.time]));
  };
}

/** The edges that are shown, and how many there would be in each state. */
export function filtered(model: Model, filter: Filter): { edges: FlowEdge[]; counts: Map<State, number> } {
  const passes = exceptState(filter, model);
  const counts = new Map<State, number>(STATES.map((state) => [state, 0]));
  const edges = [];
  for (const edge of model.graph.edges) {
    if (!passes(edge)) continue;
    counts.set(edge.state, (counts.get(edge.state) ?? 0) + 1);
    if (filter.states.has(edge.state)) edges.push(edge);
  }
  return { edges, counts };
}
