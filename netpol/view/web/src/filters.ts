// The form above the picture.

import { h } from "./dom";
import { portRanges } from "./filter";
import type { Model } from "./model";
import type { Choice, Store } from "./state";
import { plain } from "./text";

export class FilterForm {
  private readonly namespace = h("select", { id: "f-namespace" });
  private readonly protocol = h("select", { id: "f-protocol" });
  private readonly port = h("input", { id: "f-port", type: "text", placeholder: "all, 443, 8000-8010", size: 14, autocomplete: "off", spellcheck: "false" });
  private readonly connections = h("input", { id: "f-connections", type: "number", min: 0, step: 1, value: 0 });
  private readonly reset = h("button", { type: "button", id: "f-reset" }, "Show all");

  constructor(form: HTMLElement, private readonly store: Store) {
    form.append(
      field("Namespace", this.namespace),
      field("Protocol", this.protocol),
      field("Port", this.port),
      field("Least connections", this.connections),
      this.reset,
    );
    form.addEventListener("submit", (event) => event.preventDefault());
    this.namespace.addEventListener("change", () => store.filter({ namespace: this.namespace.value }));
    this.protocol.addEventListener("change", () => store.filter({ protocol: this.protocol.value }));
    this.connections.addEventListener("input", () => {
      store.filter({ connections: Math.max(0, Math.floor(Number(this.connections.value) || 0)) });
    });
    this.port.addEventListener("input", () => {
      const usable = this.port.value.trim() === "" || portRanges(this.port.value) !== null;
      this.port.setAttribute("aria-invalid", String(!usable));
      if (usable) store.filter({ port: this.port.value.trim() });
    });
  }

  onReset(act: () => void): void {
    this.reset.addEventListener("click", act);
  }

  offer(model: Model): void {
    fill(this.namespace, "all", model.namespaces);
    fill(this.protocol, "all", model.protocols);
    this.show(this.store.choice);
  }

  show({ filter }: Choice): void {
    this.namespace.value = filter.namespace;
    this.protocol.value = filter.protocol;
    if (document.activeElement !== this.port) {
      this.port.value = filter.port;
      this.port.setAttribute("aria-invalid", "false");
    }
    if (Number(this.connections.value) !== filter.connections) this.connections.value = String(filter.connections);
  }
}

function field(words: string, control: HTMLElement): HTMLElement {
  return h("label", {}, h("span", {}, words), control);
}

function fill(select: HTMLSelectElement, all: string, values: readonly string[]): void {
  const options = values.map((value) => h("option", { value }, plain(value)));
  select.replaceChildren(h("option", { value: "" }, all), ...options);
}
