// The drawing: keeps cytoscape's elements as the picture says, and tells what was pointed at.

import cytoscape from "cytoscape";

import { FONT, styleOf } from "./canvas_style";
import { layOut } from "./layout";
import { LOOKS, type Theme } from "./looks";
import { shapeOfGroup, type Line, type Picture, type Shape } from "./picture";

const MOST_LABELS = 60;
const MOST_CURVES = 1500;
const [READABLE, CLOSEST] = [0.5, 1.4];

export interface Pointed {
  shape(shape: Shape): void;
  line(line: Line): void;
  nothing(): void;
}

/** What stands out: ids of shapes and lines; everything else is dimmed where `rest` says so. */
export interface Emphasis {
  readonly chosen: ReadonlySet<string>;
  readonly near: ReadonlySet<string>;
  readonly dim: boolean;
}

// Lines between boxes that lie on each other, as they do while one opens, cannot be drawn; it says so on the console.
cytoscape.warnings(false);

export class Canvas {
  readonly cy: cytoscape.Core;
  private shapes = new Map<string, Shape>();
  private lines = new Map<string, Line>();
  private readonly pen = document.createElement("canvas").getContext("2d");

  constructor(container: HTMLElement, theme: Theme, large: boolean, pointed: Pointed) {
    this.cy = cytoscape({
      container,
      style: styleOf(theme),
      minZoom: 0.05,
      maxZoom: 3,
      boxSelectionEnabled: false,
      autounselectify: true,
      hideEdgesOnViewport: large, // while it is dragged: drawing thousands of lines takes longer than a frame
    });
    this.cy.on("tap", (event) => {
      const id = event.target === this.cy ? "" : event.target.id();
      const [shape, line] = [this.shapes.get(id), this.lines.get(id)];
      if (shape) pointed.shape(shape);
      else if (line) pointed.line(line);
      else pointed.nothing();
    });
  }

  theme(theme: Theme): void {
    this.cy.style(styleOf(theme));
  }

  shape(id: string): Shape | undefined {
    return this.shapes.get(id);
  }

  /** Brings the elements to what the picture says; lays out where shapes came or went. */
  show(picture: Picture, anew: boolean): void {
    const before = this.shapes;
    this.shapes = new Map(picture.shapes.map((shape) => [shape.id, shape]));
    this.lines = new Map(picture.lines.map((line) => [line.id, line]));
    // A box that opens is another element: cytoscape sizes it by its members.
    const changed = (shape: Shape): boolean => before.get(shape.id)?.kind !== shape.kind;
    const places = new Map(this.cy.nodes().map((node) => [node.id(), { ...node.position() }]));
    const moved = anew || picture.shapes.some(changed) || before.size !== this.shapes.size;
    this.cy.batch(() => {
      this.cy.edges().remove();
      this.cy.nodes().filter((node) => {
        const shape = this.shapes.get(node.id());
        return !shape || changed(shape);
      }).remove();
      // Boxes first: a member names its box.
      for (const shape of picture.shapes) this.put(shape, places);
      this.cy.add(picture.lines.map((line) => this.lineElement(line, picture.lines.length)));
    });
    if (moved) {
      layOut(this.cy, anew || places.size === 0);
      this.fit();
    }
  }

  emphasise({ chosen, near, dim }: Emphasis): void {
    this.cy.batch(() => {
      for (const element of this.cy.elements().toArray()) {
        const id = element.id();
        element.toggleClass("chosen", chosen.has(id));
        const standsOut = chosen.has(id) || near.has(id) || element.isNode() && element.isParent();
        element.toggleClass("dim", dim && !standsOut);
      }
    });
  }

  /** Brings everything into view, or these shapes and lines. */
  fit(ids?: ReadonlySet<string>): void {
    const wanted = ids ? this.cy.elements().filter((element) => ids.has(element.id())) : this.cy.elements();
    this.cy.resize();
    this.cy.fit(wanted, 28);
    if (this.cy.zoom() > CLOSEST) {
      this.cy.zoom(CLOSEST);
      this.cy.center(wanted);
    }
  }

  zoomBy(factor: number): void {
    const middle = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: middle });
  }

  /** Brings one element into view, and close enough to be read. */
  reveal(id: string): void {
    const element = this.cy.getElementById(id);
    if (element.empty()) return;
    const [view, box] = [this.cy.extent(), element.boundingBox()];
    const seen = box.x1 >= view.x1 && box.x2 <= view.x2 && box.y1 >= view.y1 && box.y2 <= view.y2;
    if (seen && this.cy.zoom() > READABLE) return;
    if (this.cy.zoom() <= READABLE) this.cy.zoom(READABLE * 1.4);
    this.cy.center(element);
  }

  private put(shape: Shape, places: ReadonlyMap<string, { x: number; y: number }>): void {
    const existing = this.cy.getElementById(shape.id);
    const [width, height] = this.size(shape.label);
    if (existing.nonempty()) {
      existing.data({ label: shape.label, width, height });
      return;
    }
    const place = places.get(shape.id) ?? (shape.node === null ? undefined : this.near(shape, places));
    const classes = [shape.kind, look(shape)].filter(Boolean);
    this.cy.add({
      group: "nodes",
      data: {
        id: shape.id,
        label: shape.label,
        width,
        height,
        ...(shape.parent === null ? {} : { parent: shape.parent }),
      },
      classes: classes as string[],
      ...(place ? { position: { ...place } } : {}),
    });
  }

  /** Members of a box that opens begin around the place where it stood. */
  private near(shape: Shape, places: ReadonlyMap<string, { x: number; y: number }>): { x: number; y: number } {
    const middle = places.get(shapeOfGroup(shape.group.id)) ?? { x: 0, y: 0 };
    const members = shape.group.nodes;
    const index = shape.node === null ? 0 : members.indexOf(shape.node);
    const columns = Math.ceil(Math.sqrt(members.length));
    return {
      x: middle.x + ((index % columns) - columns / 2) * 130,
      y: middle.y + (Math.floor(index / columns) - columns / 2) * 70,
    };
  }

  private size(label: string): [number, number] {
    const rows = label.split("\n");
    if (this.pen) this.pen.font = `13px ${FONT}`;
    const widths = rows.map((row) => this.pen?.measureText(row).width ?? row.length * 7);
    return [Math.max(56, ...widths.map((width) => width + 22)), 18 + rows.length * 16];
  }

  private lineElement(line: Line, of: number): cytoscape.ElementDefinition {
    const classes = [line.state as string];
    const width = Math.min(9, LOOKS[line.state].width + Math.log2(line.edges.length) / 2);
    if (!line.directed) classes.push("undirected");
    if (of > MOST_CURVES) classes.push("straight");
    if (of <= MOST_LABELS) classes.push("named");
    return {
      group: "edges",
      data: { id: line.id, source: line.source, target: line.target, label: line.label, width },
      classes,
    };
  }
}

const KINDS: ReadonlyMap<string, string> = new Map([
  ["External", "outside"],
  ["Node", "machine"],
  ["Service", "unsure"],
  ["Unknown", "unsure"],
  ["Ambiguous", "unsure"],
]);

function look(shape: Shape): string {
  if (shape.node === null) return "";
  if (shape.hub) return "hub";
  return KINDS.get(shape.node.kind) ?? "";
}
