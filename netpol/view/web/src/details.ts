// What is known of what was selected: the evidence of edges, a workload, or the whole graph where nothing is.

import type { FlowEdge, FlowNode, Replicas } from "./data";
import { h } from "./dom";
import { LOOKS } from "./looks";
import type { Group, Model } from "./model";
import type { Choice, Store } from "./state";
import { swatch } from "./swatch";
import { bytes, counted, moment, number, plain, rule } from "./text";

const MOST = 40;

type Row = readonly [term: string, ...values: (string | Node)[]];

export function details(model: Model, store: Store, edges: readonly FlowEdge[]): Node[] {
  const { choice } = store;
  if (choice.node !== null && model.nodes.has(choice.node)) return ofNode(model, store, model.node(choice.node), edges);
  const group = choice.group === null ? undefined : model.groups.get(choice.group);
  if (group) return ofGroup(model, store, group);
  const chosen = edges.filter((edge) => choice.edges.has(edge.id));
  if (chosen.length > 0) return ofEdges(model, store, chosen);
  return ofGraph(model, choice);
}

function list(rows: readonly Row[]): HTMLElement {
  const filled = rows.filter(([, ...values]) => values.length > 0 && values.some((value) => value !== ""));
  return h("dl", {}, ...filled.flatMap(([term, ...values]) => [h("dt", {}, term), ...values.map((one) => h("dd", {}, one))]));
}

function some(items: readonly string[], total = items.length): string[] {
  const shown = items.slice(0, MOST).map(plain);
  return total > shown.length ? [...shown, `and ${number(total - shown.length)} more`] : shown;
}

const replicas = (pods: Replicas): string[] => some(pods.names, pods.count);

const tally = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts).map(([name, count]) => `${plain(name)} ${number(count)}`).join(", ");

function link(text: string, act: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "link", onclick: act }, text);
}

const toNode = (model: Model, store: Store, id: string): HTMLButtonElement =>
  link(model.title(id), () => store.selectNode(id));

function ofEdges(model: Model, store: Store, chosen: readonly FlowEdge[]): Node[] {
  const shown = chosen.slice(0, MOST);
  const heading = chosen.length === 1 ? "Connection" : counted(chosen.length, "connection");
  const more = chosen.length > shown.length ? [h("p", {}, `The table marks ${number(chosen.length - shown.length)} more.`)] : [];
  return [h("h2", {}, heading), ...shown.map((edge) => ofEdge(model, store, edge)), ...more];
}

function ofEdge(model: Model, store: Store, edge: FlowEdge): HTMLElement {
  const seen = edge.seen;
  const blocked = edge.blocked_by;
  const ends = [
    toNode(model, store, edge.source),
    edge.directed ? " \u2192 " : " \u2014 ",
    toNode(model, store, edge.destination),
    ` ${plain(edge.label)}`,
  ];
  const state = h("span", {}, swatch(edge.state), ` ${LOOKS[edge.state].words}${edge.reason ? `: ${plain(edge.reason)}` : ""}`);
  const nobody = edge.verdict === "allowed" && edge.admitted_by.length === 0 ? ["nobody needs to: no policy isolates either end"] : [];
  const evidence: Row[] = seen
    ? [
        ["Connections", `${number(seen.connections)} (${tally(seen.outcomes)})`],
        ["First and last seen", `${moment(seen.first_seen)} to ${moment(seen.last_seen)} UTC`],
        ["Volume", `${bytes(seen.bytes)} in ${counted(seen.packets, "packet")}`],
        ["Direction known by", tally(seen.directions)],
        ["Older than the capture", seen.midstream > 0 ? number(seen.midstream) : ""],
        ["Without an answer", seen.silent > 0 ? number(seen.silent) : ""],
        ["Any of several may have answered", seen.shared > 0 ? number(seen.shared) : ""],
        ["Through Services", ...some(seen.services)],
        ["From pods", ...replicas(seen.source_pods)],
        ["To pods", ...replicas(seen.destination_pods)],
        ["On nodes", ...some(seen.nodes)],
      ]
    : [["Seen", "never"]];
  return h(
    "article",
    {},
    h("h3", {}, ...ends),
    list([
      ["State", state],
      ["Admitted by", ...edge.admitted_by.map(rule), ...nobody],
      ["Denied by", ...(blocked ? [`${blocked.direction}: ${blocked.policies.map(plain).join(", ")}`] : [])],
      ...evidence,
    ]),
  );
}

function ofNode(model: Model, store: Store, node: FlowNode, edges: readonly FlowEdge[]): Node[] {
  const own = edges.filter((edge) => edge.source === node.id || edge.destination === node.id);
  const ask = (kind: "from" | "to"): void => store.set({ question: { kind, node: node.id } });
  const isolated = node.id.endsWith("]") ? node.isolated.join(" and ") || "no: it may connect to and be reached by all that others let" : "";
  return [
    h("h2", {}, model.title(node.id)),
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => ask("to") }, "What can reach it?"),
      h("button", { type: "button", onclick: () => ask("from") }, "What can it reach?"),
      h("button", { type: "button", onclick: () => store.set({ question: { kind: "path", node: node.id, other: "" } }) }, "Path to\u2026"),
      own.length > 0 && h("button", { type: "button", onclick: () => store.selectEdges(own.map((edge) => edge.id)) }, `Its ${counted(own.length, "connection")}`),
    ),
    list([
      ["Kind", plain(node.kind)],
      ["Known as", ...some(node.names)],
      ["Addresses", ...some(node.addresses, node.address_count)],
      ["Pods seen", ...replicas(node.pods)],
      ["On nodes", ...some(node.nodes)],
      ["Labels that all its pods share", ...some(Object.entries(node.labels).map(([key, value]) => `${key}=${value}`))],
      ["Roles", ...some(node.roles)],
      ["Policies that select it", ...some(node.policies)],
      ["Isolated", isolated],
    ]),
  ];
}

function ofGroup(model: Model, store: Store, group: Group): Node[] {
  const open = store.choice.open.has(group.id);
  const nodes = group.nodes.slice(0, 200);
  return [
    h("h2", {}, group.title),
    h("p", { class: "buttons" }, h("button", { type: "button", onclick: () => store.toggleGroup(group.id) }, open ? "Close the box" : "Open the box")),
    list([
      [counted(group.nodes.length, "member"), ...nodes.map((node) => toNode(model, store, node.id))],
      ["", ...(group.nodes.length > nodes.length ? [`and ${number(group.nodes.length - nodes.length)} more`] : [])],
    ]),
  ];
}

function ofGraph({ graph }: Model, choice: Choice): Node[] {
  const judge = graph.judged_by === "learned" ? "the policies that this traffic teaches" : "the policies that were named";
  return [
    h("h2", {}, "The capture"),
    list([
      ["From", graph.window ? `${moment(graph.window.first_seen)} UTC` : "nothing was seen"],
      ["To", graph.window ? `${moment(graph.window.last_seen)} UTC` : ""],
      ["Connections", `${number(graph.connections)}, of which ${number(graph.learned)} were learned`],
      ["Not learned, by reason", tally(graph.left_out)],
      ["Judged by", judge + (graph.compared ? ", compared with those before" : "")],
      ["Never seen", ...some(graph.unseen)],
      ["Allowed and unused, not shown", graph.unused_dropped > 0 ? number(graph.unused_dropped) : ""],
    ]),
    h("p", { class: "hint" }, choice.folded
      ? "What everybody does with DNS, metrics and the like is folded to badges: \u2192 connects there, \u2190 is connected to from there. Everything else with them is drawn."
      : "Select a box, a line or a row to see what is known of it."),
  ];
}
