// What can reach what, step by step over edges that policies let pass.

import { ALLOWED, type FlowEdge } from "./data";

/** How a node is reached: in how many steps, and over which edge at last. */
export interface Step {
  readonly steps: number;
  readonly edge: FlowEdge | null;
  readonly before: string | null;
}

/**
 * Everything that is reached from a node, or that reaches it, nearest first.
 *
 * An edge of which nobody knows who opened it leads both ways: it must not hide a way in.
 */
export function reached(edges: readonly FlowEdge[], start: string, way: "from" | "to"): Map<string, Step> {
  const next = new Map<string, [string, FlowEdge][]>();
  const link = (from: string, to: string, edge: FlowEdge): void => {
    const found = next.get(from);
    if (found) found.push([to, edge]);
    else next.set(from, [[to, edge]]);
  };
  for (const edge of edges) {
    if (!ALLOWED.has(edge.state)) continue;
    if (way === "from" || !edge.directed) link(edge.source, edge.destination, edge);
    if (way === "to" || !edge.directed) link(edge.destination, edge.source, edge);
  }
  const found = new Map<string, Step>([[start, { steps: 0, edge: null, before: null }]]);
  for (const [at, { steps }] of found) {
    // A map is walked in the order of entry, and what is added meanwhile is walked too.
    for (const [to, edge] of next.get(at) ?? []) {
      if (!found.has(to)) found.set(to, { steps: steps + 1, edge, before: at });
    }
  }
  return found;
}

/** The edges of a shortest way, in order; null where there is none. */
export function path(edges: readonly FlowEdge[], from: string, to: string): FlowEdge[] | null {
  const found = reached(edges, from, "from");
  if (!found.has(to)) return null;
  const way: FlowEdge[] = [];
  for (let at = found.get(to); at?.edge; at = at.before === null ? undefined : found.get(at.before)) {
    way.unshift(at.edge);
  }
  return way;
}
