// What the canvas shows of the filtered edges: boxes, their members or one box in their place, and lines between them.
//
// It is made anew from the edges whenever these or the boxes change, so that lines add up what they stand for. Hiding what
// was drawn, as cytoscape's extensions for closing boxes do, would have ten thousand lines drawn first.

import type { FlowEdge, FlowNode, State } from "./data";
import { LOOKS } from "./looks";
import type { Group, Model } from "./model";
import { counted, nodeLabel, plain, short } from "./text";

/** A box around members, a closed box in their place, or a member. */
export interface Shape {
  readonly id: string;
  readonly kind: "open" | "closed" | "member";
  readonly label: string;
  readonly parent: string | null;
  readonly group: Group;
  readonly node: FlowNode | null;
  readonly hub: boolean;
}

/** All edges of one state between the same two shapes. */
export interface Line {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly state: State;
  readonly directed: boolean;
  readonly edges: readonly FlowEdge[];
  readonly label: string;
}

export interface Picture {
  readonly shapes: readonly Shape[];
  readonly lines: readonly Line[];
  /** Edges that badges stand for. */
  readonly folded: number;
}

const LONGEST_LABEL = 16;

export const MOST_OPEN = 150;
/** With more nodes than `MOST_OPEN`, a page opens on its boxes. */
export const opened = (model: Model): ReadonlySet<string> =>
  new Set(model.graph.nodes.length > MOST_OPEN ? [] : model.groups.keys());

export const shapeOfGroup = (group: string): string => `g ${group}`;
export const shapeOfNode = (node: string): string => `n ${node}`;

/** The edge that a badge can stand for: usual traffic with a hub, and nothing that asks to be looked at. */
function foldedEnd(model: Model, edge: FlowEdge): readonly [hub: string, other: string] | null {
  if (edge.state !== "allowed-used") return null;
  if (model.hubs.has(edge.destination)) return [edge.destination, edge.source];
  if (model.hubs.has(edge.source)) return [edge.source, edge.destination];
  return null;
}

export function pictureOf(
  model: Model,
  edges: readonly FlowEdge[],
  open: ReadonlySet<string>,
  folded: boolean,
  extra: ReadonlySet<string>,
): Picture {
  const drawn: FlowEdge[] = [];
  const badges = new Map<string, Set<string>>();
  const ends = new Set<string>(extra);
  for (const edge of edges) {
    ends.add(edge.source);
    ends.add(edge.destination);
    const fold = folded ? foldedEnd(model, edge) : null;
    if (!fold) {
      drawn.push(edge);
      continue;
    }
    const [hub, other] = fold;
    const arrow = hub === edge.destination ? "\u2192" : "\u2190";
    const found = badges.get(other) ?? new Set();
    badges.set(other, found.add(`${arrow} ${model.hubs.get(hub)}`));
  }
  const lines = linesOf(model, drawn, open);
  return { shapes: shapesOf(model, ends, open, badges, drawn), lines, folded: edges.length - drawn.length };
}

function shapesOf(
  model: Model,
  ends: ReadonlySet<string>,
  open: ReadonlySet<string>,
  badges: ReadonlyMap<string, ReadonlySet<string>>,
  drawn: readonly FlowEdge[],
): Shape[] {
  const inside = new Map<string, FlowEdge[]>();
  for (const edge of drawn) {
    const group = model.groupOf.get(edge.source);
    if (!group || group !== model.groupOf.get(edge.destination)) continue;
    const found = inside.get(group.id);
    if (found) found.push(edge);
    else inside.set(group.id, [edge]);
  }
  const shapes: Shape[] = [];
  for (const group of model.groups.values()) {
    const members = group.nodes.filter((node) => ends.has(node.id));
    if (members.length === 0) continue;
    const id = shapeOfGroup(group.id);
    if (!open.has(group.id)) {
      const label = closedLabel(group, members, inside.get(group.id) ?? []);
      shapes.push({ id, kind: "closed", label, parent: null, group, node: null, hub: false });
      continue;
    }
    // Whoever is in no namespace stands near those it has to do with, in no box.
    const parent = group.namespace === null ? null : id;
    if (parent) shapes.push({ id, kind: "open", label: short(group.title, 40), parent: null, group, node: null, hub: false });
    for (const node of members) {
      const own = model.hubs.get(node.id);
      const below = [...(badges.get(node.id) ?? [])].sort().join("  ");
      const label = [nodeLabel(node) + (own ? ` \u2b21 ${own}` : ""), below].filter(Boolean).join("\n");
      shapes.push({ id: shapeOfNode(node.id), kind: "member", label, parent, group, node, hub: own !== undefined });
    }
  }
  return shapes;
}

/** What is inside, and of its connections those that ask to be looked at. */
function closedLabel(group: Group, members: readonly FlowNode[], inside: readonly FlowEdge[]): string {
  const word = group.namespace === null ? "end" : "workload";
  const odd = (["denied", "quarantined", "new"] as const).flatMap((state) => {
    const count = inside.filter((edge) => edge.state === state).length;
    return count > 0 ? [`${counted(count, "edge")} ${LOOKS[state].words.split(" ")[0]}`] : [];
  });
  const within = inside.length > 0 ? [`${counted(inside.length, "edge")} inside`] : [];
  return [short(group.title, 36), counted(members.length, word), ...within, ...odd].join("\n");
}

function linesOf(model: Model, drawn: readonly FlowEdge[], open: ReadonlySet<string>): Line[] {
  const shapeOf = new Map<string, string>();
  for (const [id, group] of model.groupOf) {
    shapeOf.set(id, open.has(group.id) ? shapeOfNode(id) : shapeOfGroup(group.id));
  }
  const bundles = new Map<string, FlowEdge[]>();
  for (const edge of drawn) {
    const [source, target] = [shapeOf.get(edge.source), shapeOf.get(edge.destination)];
    if (source === undefined || target === undefined) continue;
    if (source === target && edge.source !== edge.destination) continue; // within a closed box, which tells of it
    if (source === target && source.startsWith("g ")) continue;
    const key = `${edge.state}${edge.directed ? ">" : "-"}${source}\n${target}`;
    const found = bundles.get(key);
    if (found) found.push(edge);
    else bundles.set(key, [edge]);
  }
  return [...bundles].map(([id, edges]) => {
    const [first] = edges as [FlowEdge, ...FlowEdge[]];
    return {
      id: `e ${id}`,
      source: shapeOf.get(first.source) as string,
      target: shapeOf.get(first.destination) as string,
      state: first.state,
      directed: first.directed,
      edges,
      label: lineLabel(edges),
    };
  });
}

function lineLabel(edges: readonly FlowEdge[]): string {
  const labels = [...new Set(edges.map((edge) => plain(edge.label)))];
  const whole = labels.join(" ");
  if (whole.length <= LONGEST_LABEL) return whole;
  const items = labels.flatMap((label) => label.split(/[, ]/));
  return `${short(items[0] ?? "", LONGEST_LABEL)} +${items.length - 1}`;
}
