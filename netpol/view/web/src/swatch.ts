// A piece of line as it is drawn, for the legend and the table.

import type { State } from "./data";
import { s } from "./dom";
import { LOOKS } from "./looks";

export function swatch(state: State): SVGSVGElement {
  const look = LOOKS[state];
  const line = s("line", {
    x1: 1,
    y1: 6,
    x2: 27,
    y2: 6,
    class: `line-${state}`,
    "stroke-width": Math.max(2, look.width),
    "stroke-dasharray": look.dash.length > 0 ? look.dash.join(" ") : null,
  });
  return s("svg", { class: "swatch", width: 28, height: 12, viewBox: "0 0 28 12", "aria-hidden": "true" }, line);
}
