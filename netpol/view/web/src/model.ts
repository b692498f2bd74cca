// The graph with what every part of the page asks for: who is where, who has which edges.

import type { FlowEdge, FlowGraph, FlowNode } from "./data";
import { plain } from "./text";

/** A box: a namespace, or one of the places outside of all namespaces. */
export interface Group {
  readonly id: string;
  readonly title: string;
  readonly namespace: string | null;
  readonly nodes: readonly FlowNode[];
}

// Maps, not objects: a kind comes from whoever wrote the graph, and every object answers to `__proto__`.
const PLACES: ReadonlyMap<string, readonly [id: string, title: string]> = new Map([
  ["External", ["outside", "Outside the cluster"]],
  ["Node", ["nodes", "Nodes of the cluster"]],
]);

/** What makes an edge the same in another graph: its id is only its number. */
export const edgeKey = (edge: FlowEdge): string =>
  JSON.stringify([edge.source, edge.destination, edge.state, edge.reason, edge.label, edge.directed]);

/** Roles by which a node is folded: what everybody has to do with hides the rest. */
export const HUBS: Readonly<Record<string, string>> = { dns: "DNS", metrics: "metrics", hub: "hub" };

export const hubOf = (node: FlowNode): string | null => {
  const role = Object.keys(HUBS).find((name) => node.roles.includes(name));
  return role === undefined ? null : (HUBS[role] ?? null);
};

export class Model {
  readonly nodes = new Map<string, FlowNode>();
  readonly groups = new Map<string, Group>();
  readonly groupOf = new Map<string, Group>();
  readonly edges = new Map<string, FlowEdge>();
  readonly edgesOf = new Map<string, FlowEdge[]>();
  /** Sorted. */
  readonly namespaces: readonly string[];
  readonly protocols: readonly string[];
  private readonly titles = new Map<string, string>();
  /** Nodes that a picture may fold to badges, with the badge's text. */
  readonly hubs = new Map<string, string>();

  constructor(readonly graph: FlowGraph) {
    const members = new Map<string, { title: string; namespace: string | null; nodes: FlowNode[] }>();
    for (const node of graph.nodes) {
      this.nodes.set(node.id, node);
      const [id, title] = node.namespace
        ? [`namespace ${node.namespace}`, plain(node.namespace)]
        : (PLACES.get(node.kind) ?? ["unknown", "Not attributed"]);
      const found = members.get(id) ?? { title, namespace: node.namespace || null, nodes: [] };
      found.nodes.push(node);
      members.set(id, found);
      const hub = hubOf(node);
      if (hub !== null) this.hubs.set(node.id, hub);
    }
    for (const [id, found] of members) {
      const group = { id, ...found };
      this.groups.set(id, group);
      for (const node of found.nodes) this.groupOf.set(node.id, group);
    }
    const twins = new Map<string, number>();
    const short = (node: FlowNode): string => (node.id.endsWith("]") ? `${node.namespace}/${node.name}` : node.id);
    for (const node of graph.nodes) twins.set(short(node), (twins.get(short(node)) ?? 0) + 1);
    for (const node of graph.nodes) {
      const own = node.names.length > 0 ? `${node.names.join(", ")} (${node.name.replace(/^external /, "")})` : short(node);
      this.titles.set(node.id, plain(twins.get(short(node)) === 1 ? own : node.id));
    }
    for (const edge of graph.edges) {
      this.edges.set(edge.id, edge);
      for (const end of new Set([edge.source, edge.destination])) {
        const found = this.edgesOf.get(end);
        if (found) found.push(edge);
        else this.edgesOf.set(end, [edge]);
      }
    }
    this.namespaces = [...new Set(graph.nodes.map((node) => node.namespace).filter(Boolean))].sort();
    this.protocols = [...new Set(graph.edges.flatMap((edge) => edge.protocols))].sort();
  }

  node(id: string): FlowNode {
    const found = this.nodes.get(id);
    if (!found) throw new Error(`the graph has no node ${JSON.stringify(id)}`);
    return found;
  }

  /** How a node is called in text: without its kind where no other has the name. */
  title(id: string): string {
    return this.titles.get(id) ?? plain(id);
  }

  /** The time of a boundary between bins, as it is shown. */
  time(bin: number): string {
    const time = this.graph.time;
    if (!time) return "";
    const at = new Date(Date.parse(time.start) + bin * time.bin_seconds * 1000);
    return at.toISOString().replace("T", " ").replace(/\.\d+Z$/, "");
  }
}
