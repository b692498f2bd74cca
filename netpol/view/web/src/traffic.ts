// Bytes over time: all of it, and of each workload beside its sum.

import type { Traffic } from "./data";
import { h, s } from "./dom";
import { bytes, moment, plain } from "./text";

const WIDTH = 600;
const HEIGHT = 90;
const SMALL_WIDTH = 160;
const SMALL_HEIGHT = 22;

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** Bars of equal width, the highest value as high as the picture. */
function bars(values: readonly number[], width: number, height: number, words: string): SVGElement {
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length);
  const picture = s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": words });
  values.forEach((value, index) => {
    if (value <= 0) return;
    const tall = Math.max(1, (value / most) * height);
    picture.append(s("rect", { x: index * step, y: height - tall, width: Math.max(0.5, step * 0.9), height: tall }));
  });
  return picture;
}

function stretch(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${seconds / 60} min`;
  return seconds < 86400 ? `${seconds / 3600} h` : `${seconds / 86400} days`;
}

/** The panel. */
export function trafficPanel(traffic: Traffic | null): readonly HTMLElement[] {
  if (!traffic) return [h("p", { class: "hint" }, "No packet was seen.")];
  const end = traffic.start + traffic.total.length * traffic.bin_seconds * 1000;
  const span = `${moment(new Date(traffic.start).toISOString())} to ${moment(new Date(end).toISOString())} (UTC)`;
  const sum = total(traffic.total);
  const body = h("tbody");
  for (const each of traffic.series) {
    const its = total(each.bytes);
    const name = each.workload === "" ? "everything else" : plain(each.workload);
    const share = sum > 0 ? `${((its / sum) * 100).toFixed(1)} %` : "";
    body.append(
      h(
        "tr",
        {},
        h("th", { scope: "row" }, name),
        h("td", { class: "count" }, bytes(its)),
        h("td", { class: "count" }, share),
        h("td", {}, bars(each.bytes, SMALL_WIDTH, SMALL_HEIGHT, `${name} over time`)),
      ),
    );
  }
  const head = h("tr", {});
  for (const title of ["Workload", "Bytes", "Share", "Over time"]) {
    const number = title === "Bytes" || title === "Share";
    head.append(h("th", { scope: "col", class: number && "count" }, title));
  }
  return [
    h("h2", {}, "Bytes over time"),
    h("p", { class: "faint" }, `${span}, a bar for each ${stretch(traffic.bin_seconds)}: at most ${bytes(Math.max(0, ...traffic.total))}. `, "What crossed several interfaces counts at each; bytes between two workloads are of both."),
    h("div", { class: "volume" }, bars(traffic.total, WIDTH, HEIGHT, `All bytes over time, ${span}`)),
    h("div", { class: "wide" }, h("table", { class: "plain", "aria-label": "Bytes by workload" }, h("thead", {}, head), body)),
  ];
}
