// The legend, which is the filter by state too: each line with its words and how many there are.

import { STATES, type State } from "./data";
import { h } from "./dom";
import { LOOKS } from "./looks";
import type { Model } from "./model";
import type { Choice, Store } from "./state";
import { swatch } from "./swatch";
import { number } from "./text";

export class Legend {
  private readonly boxes = new Map<State, HTMLInputElement>();
  private readonly counts = new Map<State, HTMLElement>();
  private readonly folded = h("input", { type: "checkbox", id: "folded" });
  private readonly hubs = h("label", { class: "hubs" }, this.folded, "fold hubs to badges");

  constructor(field: HTMLElement, store: Store) {
    for (const state of STATES) {
      const box = h("input", { type: "checkbox", "data-state": state });
      const count = h("span", { class: "faint" });
      box.addEventListener("change", () => {
        const states = new Set(store.choice.filter.states);
        if (box.checked) states.add(state);
        else states.delete(state);
        store.filter({ states });
      });
      this.boxes.set(state, box);
      this.counts.set(state, count);
      field.append(h("label", {}, box, swatch(state), h("span", {}, LOOKS[state].words), count));
    }
    this.folded.addEventListener("change", () => store.set({ folded: this.folded.checked }));
    field.append(this.hubs);
  }

  show(model: Model, choice: Choice, counts: ReadonlyMap<State, number>): void {
    for (const state of STATES) {
      const box = this.boxes.get(state);
      const count = this.counts.get(state);
      if (box) box.checked = choice.filter.states.has(state);
      if (count) count.textContent = number(counts.get(state) ?? 0);
    }
    this.folded.checked = choice.folded;
    this.hubs.hidden = model.hubs.size === 0;
  }
}
