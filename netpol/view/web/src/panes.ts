// The parts of the page as tabs: on a narrow screen one at a time, on a wide one the graph and the table always.

import { h, part } from "./dom";

const PANES = [
  ["graph", "Graph"],
  ["table", "Connections"],
  ["details", "Details"],
  ["list", "Workloads"],
  ["dns", "DNS"],
  ["traffic", "Bytes"],
] as const;

export type Pane = (typeof PANES)[number][0];

const LOW: readonly Pane[] = ["details", "list", "dns", "traffic"];

export class Panes {
  private readonly tabs = new Map<Pane, HTMLButtonElement>();

  constructor(private readonly turned: (pane: Pane) => void) {
    const bar = part("panes");
    for (const [pane, title] of PANES) {
      const tab = h(
        "button",
        { type: "button", role: "tab", id: `tab-${pane}`, "aria-controls": `${pane}-pane`, onclick: () => this.turn(pane) },
        title,
      );
      this.tabs.set(pane, tab);
      bar.append(tab);
    }
    bar.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined) return;
      const seen = [...this.tabs].filter(([, tab]) => tab.offsetParent !== null);
      const at = seen.findIndex(([, tab]) => tab === document.activeElement);
      const [pane, tab] = seen[(at + step + seen.length) % seen.length] as [Pane, HTMLButtonElement];
      this.turn(pane);
      tab.focus();
      event.preventDefault();
    });
    this.turn("graph");
  }

  /** Panes that the page has no data for are not there. */
  offer(pane: Pane, there: boolean): void {
    const tab = this.tabs.get(pane);
    if (!tab || tab.hidden === !there) return;
    tab.hidden = !there;
    if (!there && document.body.dataset["pane"] === pane) this.turn("graph");
  }

  /** On a wide screen the graph and the table are always there, and the others take turns. */
  get narrow(): boolean {
    return this.tabs.get("graph")?.offsetParent !== null;
  }

  turn(pane: Pane): void {
    document.body.dataset["pane"] = pane;
    const low = LOW.includes(pane) ? pane : "details";
    for (const [name, tab] of this.tabs) {
      const shown = this.narrow ? name === pane : name === low;
      tab.setAttribute("aria-selected", String(shown));
      tab.tabIndex = shown ? 0 : -1;
    }
    this.turned(pane);
  }
}
