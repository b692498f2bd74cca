// All boxes and their members as a list: what the picture shows, for those who walk with the keyboard or listen.

import type { FlowEdge } from "./data";
import { h } from "./dom";
import type { Model } from "./model";
import type { Store } from "./state";
import { counted, nodeLabel, plain } from "./text";

export function workloadList(model: Model, store: Store, edges: readonly FlowEdge[]): Node[] {
  const counts = new Map<string, number>();
  for (const edge of edges) {
    for (const end of new Set([edge.source, edge.destination])) counts.set(end, (counts.get(end) ?? 0) + 1);
  }
  const groups = [...model.groups.values()].map((group) => {
    const open = store.choice.open.has(group.id);
    const toggle = h(
      "button",
      { type: "button", "aria-expanded": open ? "true" : "false", onclick: () => store.toggleGroup(group.id) },
      `${open ? "\u25be" : "\u25b8"} ${group.title}`,
    );
    const members = open ? h("ul", {}, ...group.nodes.map((node) => {
      const chosen = store.choice.node === node.id;
      const words = `${nodeLabel(node)} [${plain(node.kind)}]`;
      const button = h(
        "button",
        { type: "button", class: "link", "aria-pressed": chosen ? "true" : "false", onclick: () => store.selectNode(node.id) },
        words,
      );
      return h("li", {}, button, h("span", { class: "faint" }, ` ${counted(counts.get(node.id) ?? 0, "connection")}`));
    })) : null;
    return h("li", {}, toggle, h("span", { class: "faint" }, ` ${counted(group.nodes.length, "member")}`), members);
  });
  return [h("h2", {}, "Workloads and other ends"), h("ul", { class: "tree" }, ...groups)];
}
