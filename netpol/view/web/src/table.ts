// The edges as a table. Of ten thousand rows only those in view are in the page.

import { STATES, type FlowEdge } from "./data";
import { h } from "./dom";
import { LOOKS } from "./looks";
import type { Model } from "./model";
import { swatch } from "./swatch";
import { bytes, counted, decision, moment, number, plain } from "./text";

const ROW = 30;
const SPARE = 12;

interface Column {
  readonly title: string;
  readonly name: string;
  readonly text: (edge: FlowEdge, model: Model) => string;
  /** Sorts by this where the text is no order. */
  readonly order?: (edge: FlowEdge) => number;
}

const COLUMNS: readonly Column[] = [
  {
    title: "State",
    name: "state",
    text: (edge) => LOOKS[edge.state].words + (edge.reason ? `: ${plain(edge.reason)}` : ""),
    order: (edge) => STATES.indexOf(edge.state),
  },
  { title: "From", name: "from", text: (edge, model) => model.title(edge.source) },
  { title: "To", name: "to", text: (edge, model) => model.title(edge.destination) },
  { title: "Port", name: "port", text: (edge) => plain(edge.label) },
  {
    title: "Seen",
    name: "seen",
    text: (edge) => (edge.seen ? number(edge.seen.connections) : "never"),
    order: (edge) => -(edge.seen?.connections ?? 0),
  },
  { title: "Admitted or denied by", name: "rule", text: decision },
  {
    title: "Last seen (UTC)",
    name: "last",
    text: (edge) => (edge.seen ? moment(edge.seen.last_seen) : ""),
    order: (edge) => -(edge.seen ? Date.parse(edge.seen.last_seen) : 0),
  },
  {
    title: "Volume",
    name: "bytes",
    text: (edge) => (edge.seen ? bytes(edge.seen.bytes) : ""),
    order: (edge) => -(edge.seen?.bytes ?? 0),
  },
];

export class Table {
  private readonly caption = h("p", { class: "caption" });
  private readonly body = h("tbody");
  private readonly head = h("tr", { "aria-rowindex": 1 });
  private readonly grid = h("table", { role: "grid", "aria-label": "Connections" }, h("thead", {}, this.head), this.body);
  private readonly scroller = h("div", { class: "scroller" }, this.grid);
  private edges: readonly FlowEdge[] = [];
  private rows: readonly FlowEdge[] = [];
  private chosen: ReadonlySet<string> = new Set();
  private sorted = { column: 0, down: false };
  private cursor = 0;

  constructor(
    pane: HTMLElement,
    private model: Model,
    private readonly choose: (edge: FlowEdge) => void,
  ) {
    pane.append(this.caption, this.scroller);
    COLUMNS.forEach((column, index) => {
      const button = h("button", { type: "button", onclick: () => this.sort(index) }, column.title);
      this.head.append(h("th", { scope: "col", class: `c-${column.name}` }, button));
    });
    this.scroller.addEventListener("scroll", () => this.paint());
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.paint()).observe(this.scroller);
  }

  show(model: Model, edges: readonly FlowEdge[]): void {
    this.model = model;
    this.edges = edges;
    this.cursor = 0;
    this.arrange();
  }

  /** Marks rows, and brings the first of them into view where none is. */
  mark(chosen: ReadonlySet<string>, reveal: boolean): void {
    this.chosen = chosen;
    const first = this.rows.findIndex((edge) => chosen.has(edge.id));
    if (reveal && first >= 0) {
      this.cursor = first;
      this.scrollTo(first);
    }
    this.paint();
  }

  private sort(column: number): void {
    this.sorted = { column, down: this.sorted.column === column && !this.sorted.down };
    this.arrange();
  }

  private arrange(): void {
    const { column: at, down } = this.sorted;
    const column = COLUMNS[at] as Column;
    const keys = new Map(this.edges.map((edge) => [edge, column.order?.(edge) ?? column.text(edge, this.model)]));
    const compare = (one: FlowEdge, other: FlowEdge): number => {
      const [a, b] = [keys.get(one) ?? "", keys.get(other) ?? ""];
      return a < b ? -1 : a > b ? 1 : 0;
    };
    this.rows = [...this.edges].sort(down ? (one, other) => compare(other, one) : compare);
    this.head.childNodes.forEach((cell, index) => {
      const order = index === at ? (down ? "descending" : "ascending") : "none";
      (cell as HTMLElement).setAttribute("aria-sort", order);
    });
    this.grid.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.caption.textContent = counted(this.rows.length, "connection") + ", each line all of one kind between two ends";
    this.scroller.scrollTop = 0;
    this.paint();
  }

  private paint(): void {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - SPARE);
    const last = Math.min(this.rows.length, first + Math.ceil((this.scroller.clientHeight || 600) / ROW) + 2 * SPARE);
    const focused = this.body.contains(document.activeElement);
    const rows = this.rows.slice(first, last).map((edge, offset) => this.row(edge, first + offset));
    this.body.replaceChildren(gap(first), ...rows, gap(this.rows.length - last));
    if (focused) this.focus();
  }

  private row(edge: FlowEdge, index: number): HTMLTableRowElement {
    const cells = COLUMNS.map((column) => {
      const text = column.text(edge, this.model);
      const sign = column.name === "state" ? swatch(edge.state) : null;
      return h("td", { class: `c-${column.name}`, title: text }, sign, text);
    });
    const attributes = {
      "data-index": index,
      "aria-rowindex": index + 2,
      "aria-selected": this.chosen.has(edge.id) ? "true" : "false",
      tabindex: index === this.cursor ? 0 : -1,
    };
    return h("tr", attributes, ...cells);
  }

  private scrollTo(index: number): void {
    const [top, height] = [index * ROW, this.scroller.clientHeight - ROW];
    if (top < this.scroller.scrollTop || top + ROW > this.scroller.scrollTop + height) {
      this.scroller.scrollTop = Math.max(0, top - height / 3);
    }
  }

  private focus(): void {
    this.body.querySelector<HTMLElement>(`[data-index="${this.cursor}"]`)?.focus({ preventScroll: true });
  }

  private click(event: Event): void {
    const row = (event.target as Element).closest<HTMLElement>("[data-index]");
    const edge = this.rows[Number(row?.dataset["index"])];
    if (!edge) return;
    this.cursor = Number(row?.dataset["index"]);
    this.choose(edge);
    this.focus();
  }

  private key(event: KeyboardEvent): void {
    if (!this.body.contains(event.target as Node)) return;
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: 12,
      PageUp: -12,
      Home: -this.rows.length,
      End: this.rows.length,
    };
    const edge = this.rows[this.cursor];
    if ((event.key === "Enter" || event.key === " ") && edge) this.choose(edge);
    else if (event.key in steps) {
      this.cursor = Math.min(this.rows.length - 1, Math.max(0, this.cursor + (steps[event.key] ?? 0)));
      this.scrollTo(this.cursor);
    } else return;
    event.preventDefault();
    this.paint();
    this.focus();
  }
}

/** What stands for the rows out of view. */
function gap(rows: number): HTMLTableRowElement {
  const row = h("tr", { "aria-hidden": "true", class: "gap" }, h("td", { colspan: COLUMNS.length }));
  row.style.height = `${rows * ROW}px`;
  return row;
}
