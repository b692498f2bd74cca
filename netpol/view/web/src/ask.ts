// The answers to "what can reach it", "what can it reach" and "path between two".

import type { FlowEdge } from "./data";
import { h } from "./dom";
import type { Model } from "./model";
import { path, reached } from "./reach";
import type { Question, Store } from "./state";
import { counted, number, plain } from "./text";

const MOST = 300;

export interface Answer {
  /** Nodes other than those asked about, nearest first, with the steps that lie between. */
  readonly nodes: readonly (readonly [id: string, steps: number])[];
  readonly edges: readonly FlowEdge[];
  /** False where two ends were asked about and no way leads from one to the other. */
  readonly found: boolean;
}

export function answer(question: Question, edges: readonly FlowEdge[]): Answer {
  if (question.kind === "path") {
    const way = question.other ? path(edges, question.node, question.other) : [];
    if (!way) return { nodes: [], edges: [], found: false };
    const ends = new Map<string, number>();
    let at = question.node;
    way.forEach((edge, step) => {
      at = edge.source === at ? edge.destination : edge.source;
      ends.set(at, step + 1);
    });
    return { nodes: [...ends], edges: way, found: true };
  }
  const found = [...reached(edges, question.node, question.kind)];
  return {
    nodes: found.filter(([, step]) => step.edge).map(([id, step]) => [id, step.steps]),
    edges: found.flatMap(([, step]) => step.edge ?? []),
    found: true,
  };
}

export function answerPanel(question: Question, found: Answer, model: Model, store: Store): Node[] {
  const name = model.title(question.node);
  const to = (id: string): HTMLElement =>
    h("button", { type: "button", class: "link", onclick: () => store.selectNode(id) }, model.title(id));
  const close = h("button", { type: "button", onclick: () => store.set({ question: null }) }, "Close the answer");
  const remark = h("p", { class: "hint" }, "Over the connections that are shown and allowed, used or not, in any number of steps. What no policy restricts is in the graph only where it was seen.");
  if (question.kind === "path") return pathPanel(question, found, name, model, store, close, remark);
  const heading = question.kind === "to" ? `What can reach ${name}` : `What ${name} can reach`;
  const rows = found.nodes.slice(0, MOST).map(([id, steps]) => h("li", {}, to(id), h("span", { class: "faint" }, ` ${counted(steps, "step")}`)));
  const more = found.nodes.length > MOST && h("p", {}, `and ${number(found.nodes.length - MOST)} more`);
  const sum = found.nodes.length > 0 ? `${counted(found.nodes.length, "end")}, nearest first` : "nothing";
  return [h("article", { class: "answer", id: "answer" }, h("h2", {}, heading), h("p", {}, sum), h("p", { class: "buttons" }, close), h("ol", {}, ...rows), more, remark)];
}

function pathPanel(
  question: Extract<Question, { kind: "path" }>,
  found: Answer,
  name: string,
  model: Model,
  store: Store,
  close: HTMLElement,
  remark: HTMLElement,
): Node[] {
  const options = model.graph.nodes
    .filter((node) => node.id !== question.node)
    .map((node) => h("option", { value: node.id, selected: node.id === question.other }, model.title(node.id)));
  const select = h("select", { id: "path-to", "aria-label": "End of the path" }, h("option", { value: "" }, "choose an end"), ...options);
  select.addEventListener("change", () => store.set({ question: { ...question, other: select.value } }));
  const steps = found.edges.map((edge) =>
    h("li", {}, h("button", { type: "button", class: "link", onclick: () => store.selectEdges([edge.id]) }, `${model.title(edge.source)} ${edge.directed ? "\u2192" : "\u2014"} ${model.title(edge.destination)} ${plain(edge.label)}`)),
  );
  const sum = question.other === "" ? "" : found.found ? counted(found.edges.length, "step") : "No way leads there.";
  return [
    h(
      "article",
      { class: "answer", id: "answer" },
      h("h2", {}, `Path from ${name}`),
      h("p", {}, "to ", select),
      h("p", {}, sum),
      h("p", { class: "buttons" }, close),
      h("ol", {}, ...steps),
      remark,
    ),
  ];
}
