// The picture as SVG, from where cytoscape put everything.

import type { EdgeSingular, NodeSingular, Position } from "cytoscape";

import type { Canvas } from "./canvas";
import { FONT } from "./canvas_style";
import { STATES, type State } from "./data";
import { s } from "./dom";
import { LOOKS, PALETTES, type Theme } from "./looks";

const PAD = 24;
const ROW = 15;

export function svgOf(canvas: Canvas, theme: Theme): string {
  const { cy } = canvas;
  const palette = PALETTES[theme];
  const box = cy.elements().boundingBox();
  const [width, height] = [box.w + 2 * PAD, box.h + 2 * PAD];
  const root = s("svg", {
    xmlns: "http://www.w3.org/2000/svg",
    width: Math.ceil(width),
    height: Math.ceil(height),
    viewBox: `${fixed(box.x1 - PAD)} ${fixed(box.y1 - PAD)} ${fixed(width)} ${fixed(height)}`,
    "font-family": FONT,
  });
  root.append(s("title", {}, "Flow graph, by netpol"), markers(theme));
  root.append(s("rect", { x: box.x1 - PAD, y: box.y1 - PAD, width, height, fill: palette.page }));
  cy.nodes(":parent").forEach((node) => void root.append(shape(node, theme)));
  cy.edges().forEach((edge) => void root.append(line(edge, theme)));
  cy.nodes().forEach((node) => {
    if (!node.isParent()) root.append(shape(node, theme));
  });
  return new XMLSerializer().serializeToString(root);
}

const fixed = (value: number): number => Math.round(value * 10) / 10;

function markers(theme: Theme): SVGElement {
  const heads = STATES.map((state) =>
    s(
      "marker",
      { id: `head-${state}`, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
      s("path", { d: "M0 0L10 5L0 10z", fill: LOOKS[state][theme] }),
    ),
  );
  return s("defs", {}, ...heads);
}

function shape(node: NodeSingular, theme: Theme): SVGElement {
  const palette = PALETTES[theme];
  const box = node.boundingBox({ includeLabels: false, includeOverlays: false });
  const round = node.hasClass("outside") ? box.h / 2 : 7;
  const outline = s("rect", {
    x: fixed(box.x1),
    y: fixed(box.y1),
    width: fixed(box.w),
    height: fixed(box.h),
    rx: round,
    fill: node.isParent() || node.hasClass("closed") ? palette.box : palette.node,
    stroke: node.hasClass("chosen") ? palette.focus : palette.line,
    "stroke-width": node.hasClass("chosen") ? 4 : 1.2,
    "stroke-dasharray": node.hasClass("unsure") ? "5 4" : null,
  });
  const rows = String(node.data("label")).split("\n");
  const middle = { x: (box.x1 + box.x2) / 2, y: node.isParent() ? box.y1 - 6 : (box.y1 + box.y2) / 2 + 4 };
  const top = middle.y - ((rows.length - 1) * ROW) / (node.isParent() ? 1 : 2);
  const texts = rows.map((row, index) =>
    s("text", { x: fixed(middle.x), y: fixed(top + index * ROW), "text-anchor": "middle", "font-size": 12, fill: palette.text, "font-weight": node.isParent() ? "bold" : null }, row),
  );
  return s("g", { opacity: node.hasClass("dim") ? 0.25 : null }, outline, ...texts);
}

function line(edge: EdgeSingular, theme: Theme): SVGElement {
  const state = STATES.find((one) => edge.hasClass(one)) as State;
  const look = LOOKS[state];
  const palette = PALETTES[theme];
  const path = s("path", {
    d: way(edge),
    fill: "none",
    stroke: look[theme],
    "stroke-width": look.width,
    "stroke-dasharray": look.dash.length > 0 ? look.dash.join(" ") : null,
    "marker-end": edge.hasClass("undirected") ? null : `url(#head-${state})`,
  });
  const at = edge.midpoint();
  const label = edge.hasClass("named") || edge.hasClass("chosen")
    ? s("text", { x: fixed(at.x), y: fixed(at.y - 3), "text-anchor": "middle", "font-size": 10, fill: palette.text, stroke: palette.page, "stroke-width": 3, "paint-order": "stroke" }, String(edge.data("label")))
    : null;
  return s("g", { opacity: edge.hasClass("dim") ? 0.25 : null }, path, label);
}

/** Control points are those of quadratic curves one after the other, which meet halfway between them. */
function way(edge: EdgeSingular): string {
  const point = ({ x, y }: Position): string => `${fixed(x)} ${fixed(y)}`;
  const controls = edge.controlPoints() ?? [];
  let text = `M${point(edge.sourceEndpoint())}`;
  controls.forEach((control, index) => {
    const next = controls[index + 1];
    const end = next ? { x: (control.x + next.x) / 2, y: (control.y + next.y) / 2 } : edge.targetEndpoint();
    text += `Q${point(control)} ${point(end)}`;
  });
  return controls.length > 0 ? text : `${text}L${point(edge.targetEndpoint())}`;
}
