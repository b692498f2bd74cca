// Puts the page together. `window.netpol.replace(graph)` shows other data of the same shape in the same page.

import { answer, answerPanel, type Answer } from "./ask";
import { Canvas, type Emphasis } from "./canvas";
import { embedded, type FlowEdge, type FlowGraph, type FlowNode } from "./data";
import { details } from "./details";
import { dnsPanel } from "./dns";
import { h, part } from "./dom";
import { filtered } from "./filter";
import { FilterForm } from "./filters";
import { walkByKeys } from "./keys";
import { Legend } from "./legend";
import { fromHash, toHash } from "./link";
import { workloadList } from "./list";
import { Live } from "./live";
import type { Theme } from "./looks";
import { Model, edgeKey } from "./model";
import { Panes } from "./panes";
import { pictureOf, shapeOfGroup, shapeOfNode, type Picture, type Shape } from "./picture";
import { savePng, saveSvg, shareLink, showLicences } from "./save";
import { SearchBox } from "./search";
import { NOTHING_CHOSEN, Store, type Choice } from "./state";
import { Table } from "./table";
import { counted, number } from "./text";
import { TimeBar } from "./timebar";
import { trafficPanel } from "./traffic";

/** Edges beyond which not all can be drawn in a frame. */
const LARGE = 3000;

class Page {
  private model = new Model(embedded());
  private readonly store = new Store(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  private readonly canvas: Canvas;
  private readonly table: Table;
  private readonly form = new FilterForm(part("filters"), this.store);
  private readonly legend = new Legend(part("legend"), this.store);
  private readonly time = new TimeBar(part("time"), this.store);
  private readonly panes: Panes;
  private edges: readonly FlowEdge[] = [];
  private picture: Picture = { shapes: [], lines: [], folded: 0 };
  private answer: Answer | null = null;
  private found: readonly FlowNode[] = [];

  constructor() {
    const graph = part("graph");
    this.canvas = new Canvas(graph, this.store.choice.theme, this.model.graph.edges.length > LARGE, {
      shape: (shape) => this.select(shape),
      line: (line) => this.store.selectEdges(line.edges.map((edge) => edge.id)),
      nothing: () => this.store.set(NOTHING_CHOSEN),
    });
    this.table = new Table(part("table-pane"), this.model, (edge) => this.store.selectEdges([edge.id]));
    this.panes = new Panes((pane) => {
      if (pane === "graph") requestAnimationFrame(() => this.look());
    });
    walkByKeys(graph, this.canvas, {
      at: (shape) => this.say(`${shape.label.split("\n").join(", ")}, ${shape.kind === "closed" ? "closed box" : shape.kind === "open" ? "open box" : "end"}`),
      select: (shape) => this.select(shape),
      toggle: (shape) => this.store.toggleGroup(shape.group.id),
    });
    new SearchBox(part<HTMLInputElement>("search"), part("found"), () => this.model, {
      found: (nodes) => {
        this.found = nodes;
        this.emphasise();
      },
      go: (node) => this.go(node),
    });
    this.buttons();
    this.store.subscribe((choice, before) => this.changed(choice, before));
    addEventListener("hashchange", () => this.follow());
    new ResizeObserver(() => this.canvas.cy.resize()).observe(graph);
    this.begin();
  }

  /** Shows another graph; what was chosen stays where the graph still has it. */
  replace(graph: FlowGraph): void {
    const keys = new Set([...this.store.choice.edges].map((id) => edgeKey(this.model.edges.get(id) as FlowEdge)));
    const hash = toHash(this.store.choice, this.model);
    this.model = new Model(graph);
    const edges = new Set(graph.edges.filter((edge) => keys.has(edgeKey(edge))).map((edge) => edge.id));
    this.found = [];
    this.begin({ ...fromHash(hash, this.model), edges });
  }

  private begin(choice: Partial<Choice> = fromHash(location.hash, this.model)): void {
    const { graph } = this.model;
    const judge = graph.judged_by === "learned" ? "judged by the policies it teaches" : "judged by the named policies";
    part("summary").textContent = `${counted(graph.nodes.length, "end")}, ${counted(graph.edges.length, "edge")}, ${counted(graph.connections, "connection")}, ${judge}`;
    this.store.choice = { ...this.store.choice, ...choice };
    this.form.offer(this.model);
    this.time.offer(this.model);
    this.dress(this.store.choice.theme);
    this.panes.offer("dns", graph.dns !== undefined);
    part("dns-pane").replaceChildren(...(graph.dns ? dnsPanel(graph.dns) : []));
    this.panes.offer("traffic", graph.traffic !== undefined);
    part("traffic-pane").replaceChildren(...(graph.traffic === undefined ? [] : trafficPanel(graph.traffic)));
    this.draw(true);
  }

  /** Asks the server for news, where there is one. */
  listen(): void {
    const { live } = this.model.graph;
    if (live) new Live(live.seconds, live.tag, (graph) => this.replace(graph), (words) => this.say(words));
  }

  private follow(): void {
    if (location.hash.replace(/^#/, "") !== toHash(this.store.choice, this.model)) this.store.set(fromHash(location.hash, this.model));
  }

  private changed(choice: Choice, before: Choice): void {
    if (choice.theme !== before.theme) this.dress(choice.theme);
    if (choice.filter !== before.filter || choice.open !== before.open || choice.folded !== before.folded) {
      this.draw(false);
    } else {
      this.choose(choice.edges !== before.edges && choice.edges.size > 0);
    }
    const asked = choice.question !== before.question && choice.question !== null;
    const selected = choice.node !== before.node || choice.group !== before.group || choice.edges !== before.edges;
    if ((asked || selected) && !this.panes.narrow) this.panes.turn("details");
    if (asked) {
      this.panes.turn("details");
      this.canvas.fit(this.emphasise());
    }
  }

  /** After a change of what is shown. */
  private draw(anew: boolean): void {
    const { choice } = this.store;
    const { edges, counts } = filtered(this.model, choice.filter);
    this.edges = edges;
    const extra = new Set(choice.node === null ? [] : [choice.node]);
    this.picture = pictureOf(this.model, edges, choice.open, choice.folded, extra);
    this.canvas.show(this.picture, anew);
    this.table.show(this.model, edges);
    this.form.show(choice);
    this.legend.show(this.model, choice, counts);
    this.time.show(this.model, choice);
    part("graph").setAttribute("aria-label", `Graph of connections: ${counted(this.picture.shapes.length, "box", "boxes")}, ${counted(this.picture.lines.length, "line")}`);
    this.say(`${counted(edges.length, "edge")} shown`);
    this.choose(false);
  }

  /** After a change of what is chosen. */
  private choose(reveal: boolean): void {
    const { choice } = this.store;
    this.answer = choice.question ? answer(choice.question, this.edges) : null;
    const marked = new Set(choice.edges);
    for (const edge of this.answer?.edges ?? []) marked.add(edge.id);
    // An answer takes the place of everything else that a node has to do with.
    const node = choice.question === null ? choice.node : null;
    for (const edge of node === null ? [] : (this.model.edgesOf.get(node) ?? [])) marked.add(edge.id);
    this.table.mark(marked, reveal);
    const panel = choice.question && this.answer ? answerPanel(choice.question, this.answer, this.model, this.store) : [];
    part("details-pane").replaceChildren(...panel, ...details(this.model, this.store, this.edges), this.foot());
    part("list-pane").replaceChildren(...workloadList(this.model, this.store, this.edges));
    this.emphasise();
    const hash = toHash(choice, this.model);
    if (location.hash.replace(/^#/, "") !== hash) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  /** Brings into view what stands out, else everything. */
  private look(): void {
    const ids = this.emphasise();
    this.canvas.fit(ids.size > 0 ? ids : undefined);
  }

  /** Lets what is chosen or found stand out; gives the ids of what does. */
  private emphasise(): ReadonlySet<string> {
    const { choice } = this.store;
    const chosen = new Set<string>();
    const near = new Set<string>();
    const shape = (node: string): string => {
      const group = this.model.groupOf.get(node);
      return group && choice.open.has(group.id) ? shapeOfNode(node) : shapeOfGroup(group?.id ?? "");
    };
    if (choice.node !== null) chosen.add(shape(choice.node));
    if (choice.group !== null) chosen.add(shapeOfGroup(choice.group));
    for (const node of this.found) chosen.add(shape(node.id));
    const marked = new Set(this.answer?.edges);
    for (const [id] of this.answer?.nodes ?? []) near.add(shape(id));
    if (choice.question) chosen.add(shape(choice.question.node));
    for (const line of this.picture.lines) {
      const hit = line.edges.some((edge) => choice.edges.has(edge.id));
      const touched = choice.question === null && choice.node !== null && line.edges.some((edge) => edge.source === choice.node || edge.destination === choice.node);
      if (hit) chosen.add(line.id);
      if (hit || touched || line.edges.some((edge) => marked.has(edge))) {
        near.add(line.id).add(line.source).add(line.target);
      }
    }
    const dim = choice.edges.size > 0 || choice.node !== null || choice.question !== null || this.found.length > 0;
    const emphasis: Emphasis = { chosen, near, dim };
    this.canvas.emphasise(emphasis);
    document.body.toggleAttribute("data-chosen", choice.edges.size > 0 || choice.node !== null || choice.group !== null);
    return new Set([...chosen, ...near]);
  }

  /** A closed box opens where it is pointed at; everything else is selected. */
  private select(shape: Shape): void {
    if (shape.node) this.store.selectNode(shape.node.id);
    else if (shape.kind === "closed") this.store.set({ ...NOTHING_CHOSEN, group: shape.group.id, open: new Set([...this.store.choice.open, shape.group.id]) });
    else this.store.selectGroup(shape.group.id);
  }

  private go(node: FlowNode): void {
    const group = this.model.groupOf.get(node.id);
    const open = new Set(this.store.choice.open);
    if (group) open.add(group.id);
    this.found = [];
    this.store.set({ ...NOTHING_CHOSEN, node: node.id, open });
    this.canvas.reveal(shapeOfNode(node.id));
    this.say(this.model.title(node.id));
  }

  private buttons(): void {
    const dialog = part<HTMLDialogElement>("dialog");
    const on = (id: string, act: () => void): void => part(id).addEventListener("click", act);
    on("theme", () => this.store.set({ theme: this.store.choice.theme === "dark" ? "light" : "dark" }));
    on("save-png", () => savePng(this.canvas, this.store.choice.theme));
    on("save-svg", () => saveSvg(this.canvas, this.store.choice.theme));
    on("link", () => shareLink(dialog));
    this.form.onReset(() => this.store.set({ ...fromHash("", this.model), open: this.store.choice.open }));
    const tool = (id: string, words: string, title: string, act: () => void): HTMLElement =>
      h("button", { type: "button", id, title, "aria-label": title, onclick: act }, words);
    part("tools").append(
      tool("zoom-in", "+", "Zoom in", () => this.canvas.zoomBy(1.25)),
      tool("zoom-out", "\u2212", "Zoom out", () => this.canvas.zoomBy(0.8)),
      tool("fit", "\u2922", "Show everything", () => this.canvas.fit()),
      tool("open-all", "Open all", "Open all boxes", () => this.store.set({ open: new Set(this.model.groups.keys()) })),
      tool("close-all", "Close all", "Close all boxes", () => this.store.set({ open: new Set() })),
    );
  }

  private foot(): HTMLElement {
    const folded = this.picture.folded > 0 ? `${number(this.picture.folded)} edges with hubs are folded to badges. ` : "";
    const licences = h("button", { type: "button", class: "link", onclick: () => showLicences(part<HTMLDialogElement>("dialog")) }, "Licences");
    return h("p", { class: "foot" }, folded, licences);
  }

  private dress(theme: Theme): void {
    document.documentElement.dataset["theme"] = theme;
    part("theme").setAttribute("aria-pressed", String(theme === "dark"));
    this.canvas.theme(theme);
  }

  private say(words: string): void {
    part("status").textContent = words;
  }
}

declare global {
  interface Window {
    /** The seam for whoever serves this page: other data in the same shell. */
    netpol: { replace(graph: FlowGraph): void };
  }
}

const page = new Page();
window.netpol = { replace: (graph) => page.replace(graph) };
page.listen();
requestAnimationFrame(() =>
  requestAnimationFrame(() => {
    // Painted, and open to input: what the benchmark looks at.
    document.documentElement.dataset["ready"] = String(Math.round(performance.now()));
  }),
);
