// The stylesheet of the canvas in either theme.

import type { StylesheetJson } from "cytoscape";

import { STATES } from "./data";
import { LOOKS, PALETTES, type Theme } from "./looks";

export const FONT = "system-ui, sans-serif";

export function styleOf(theme: Theme): StylesheetJson {
  const palette = PALETTES[theme];
  const sheet = [
    {
      selector: "node",
      style: {
        shape: "round-rectangle",
        width: "data(width)",
        height: "data(height)",
        label: "data(label)",
        "font-family": FONT,
        "font-size": 12,
        "text-wrap": "wrap",
        "text-valign": "center",
        "text-halign": "center",
        "line-height": 1.25,
        color: palette.text,
        "background-color": palette.node,
        "border-width": 1.2,
        "border-color": palette.line,
        "overlay-opacity": 0,
      },
    },
    {
      selector: ":parent, .open",
      style: {
        "background-color": palette.box,
        "border-color": palette.line,
        "border-width": 1,
        "border-style": "solid",
        "text-valign": "top",
        "text-margin-y": -5,
        "font-weight": "bold",
        "font-size": 13,
        color: palette.faint,
        padding: "18px",
      },
    },
    { selector: ".closed", style: { "background-color": palette.box, "border-width": 2, "font-size": 13 } },
    { selector: ".outside", style: { shape: "ellipse" } },
    { selector: ".machine", style: { shape: "cut-rectangle" } },
    { selector: ".unsure", style: { shape: "rectangle", "border-style": "dashed" } },
    { selector: ".hub", style: { "border-style": "double", "border-width": 4 } },
    {
      selector: "edge",
      style: {
        "curve-style": "bezier",
        "control-point-step-size": 34,
        "target-arrow-shape": "triangle",
        "arrow-scale": 1,
        "font-family": FONT,
        "font-size": 10,
        color: palette.text,
        "text-background-color": palette.page,
        "text-background-opacity": 0.85,
        "text-background-padding": "2px",
        "text-rotation": "autorotate",
        "overlay-opacity": 0,
      },
    },
    ...STATES.map((state) => {
      const look = LOOKS[state];
      return {
        selector: `.${state}`,
        style: {
          width: "data(width)",
          "line-color": look[theme],
          "target-arrow-color": look[theme],
          "line-style": look.dash.length > 0 ? "dashed" : "solid",
          "line-dash-pattern": look.dash.length > 0 ? [...look.dash] : [1, 0],
        },
      };
    }),
    { selector: ".undirected", style: { "target-arrow-shape": "none" } },
    { selector: ".straight", style: { "curve-style": "straight" } },
    { selector: ".named", style: { label: "data(label)" } },
    { selector: ".dim", style: { opacity: 0.28 } },
    { selector: "node.chosen", style: { "border-color": palette.focus, "border-width": 4, "border-style": "solid" } },
    {
      selector: "edge.chosen",
      style: {
        label: "data(label)",
        "underlay-color": palette.focus,
        "underlay-opacity": 0.55,
        "underlay-padding": 4,
        "z-index": 9,
      },
    },
    { selector: ".cursor", style: { "outline-color": palette.focus, "outline-width": 3, "outline-offset": 3 } },
  ];
  return sheet as unknown as StylesheetJson;
}
