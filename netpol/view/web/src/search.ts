// Finds nodes by anything that is known of them, as one types.

import type { FlowNode } from "./data";
import { h } from "./dom";
import type { Model } from "./model";
import { plain } from "./text";

const MOST = 12;

/** The nodes that have every word somewhere, those whose name has them first. */
export function search(model: Model, text: string): FlowNode[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const found: [number, FlowNode][] = [];
  for (const node of model.graph.nodes) {
    const name = node.id.toLowerCase();
    const all = haystack(model, node);
    if (words.every((word) => name.includes(word))) found.push([0, node]);
    else if (words.every((word) => all.includes(word))) found.push([1, node]);
  }
  return found.sort(([one], [other]) => one - other).map(([, node]) => node);
}

function haystack(model: Model, node: FlowNode): string {
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  const ports = (model.edgesOf.get(node.id) ?? []).filter((edge) => edge.destination === node.id).map((edge) => edge.label);
  const texts = [node.id, ...node.names, ...node.addresses, ...labels, ...node.pods.names, ...node.policies, ...node.roles, ...ports];
  return texts.join("\n").toLowerCase();
}

export interface Finding {
  found(nodes: readonly FlowNode[]): void;
  go(node: FlowNode): void;
}

/** The box to type in with the list of what was found below it (WAI-ARIA: combobox with a listbox). */
export class SearchBox {
  private nodes: readonly FlowNode[] = [];
  private at = -1;

  constructor(
    private readonly input: HTMLInputElement,
    private readonly popup: HTMLElement,
    private readonly model: () => Model,
    private readonly finding: Finding,
  ) {
    input.addEventListener("input", () => this.look());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    popup.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // or the input would lose the focus, and the list with it
      const option = (event.target as Element).closest<HTMLElement>("[data-at]");
      if (option) this.go(Number(option.dataset["at"]));
    });
  }

  private look(): void {
    this.nodes = search(this.model(), this.input.value);
    this.at = -1;
    this.paint();
    this.finding.found(this.nodes);
  }

  private paint(): void {
    const shown = this.nodes.slice(0, MOST);
    const options = shown.map((node, index) =>
      h("div", { role: "option", id: `found-${index}`, "data-at": index, "aria-selected": index === this.at ? "true" : "false" }, this.model().title(node.id)),
    );
    const rest = this.nodes.length - shown.length;
    const asked = this.input.value.trim() !== "";
    const remark = asked && this.nodes.length === 0 ? `nothing has ${plain(this.input.value.trim())}` : rest > 0 ? `and ${rest} more` : "";
    if (remark) options.push(h("div", { class: "remark", role: "option", "aria-disabled": "true", "aria-selected": "false" }, remark));
    this.popup.replaceChildren(...options);
    this.popup.hidden = options.length === 0;
    this.input.setAttribute("aria-expanded", String(!this.popup.hidden));
    if (this.at >= 0) this.input.setAttribute("aria-activedescendant", `found-${this.at}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  private key(event: KeyboardEvent): void {
    const most = Math.min(this.nodes.length, MOST);
    if (event.key === "ArrowDown" && most > 0) this.at = (this.at + 1) % most;
    else if (event.key === "ArrowUp" && most > 0) this.at = (this.at + most - (this.at < 0 ? 0 : 1)) % most;
    else if (event.key === "Enter") this.go(Math.max(0, this.at));
    else if (event.key === "Escape") {
      this.input.value = "";
      this.look();
    } else return;
    event.preventDefault();
    if (event.key.startsWith("Arrow")) this.paint();
  }

  private go(index: number): void {
    const node = this.nodes[index];
    if (!node) return;
    this.close();
    this.finding.go(node);
  }

  private close(): void {
    this.popup.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
