// Two sliders over the time of the capture, above bars that tell how many edges may have been active.

import type { FlowEdge } from "./data";
import { h, s } from "./dom";
import type { Model } from "./model";
import type { Choice, Store } from "./state";

const [WIDTH, HEIGHT] = [400, 26];

export class TimeBar {
  private readonly low = h("input", { type: "range", id: "time-from", min: 0, step: 1, "aria-label": "From" });
  private readonly high = h("input", { type: "range", id: "time-to", min: 0, step: 1, "aria-label": "To" });
  private readonly words = h("output", { for: "time-from time-to" });
  private readonly bars = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  private bins = 0;

  constructor(private readonly bar: HTMLElement, private readonly store: Store) {
    bar.append(h("div", { class: "tracks" }, this.bars, this.low, this.high), this.words);
    const moved = (mine: HTMLInputElement, other: HTMLInputElement, sign: 1 | -1): void => {
      // They push each other: from is never behind to.
      if ((Number(mine.value) - Number(other.value)) * sign > 0) other.value = mine.value;
      const time = [Number(this.low.value), Number(this.high.value)] as const;
      store.filter({ time: time[0] === 0 && time[1] === this.bins - 1 ? null : time });
    };
    this.low.addEventListener("input", () => moved(this.low, this.high, 1));
    this.high.addEventListener("input", () => moved(this.high, this.low, -1));
  }

  offer(model: Model): void {
    this.bins = model.graph.time?.bins ?? 0;
    this.bar.hidden = this.bins < 2;
    for (const slider of [this.low, this.high]) slider.max = String(Math.max(0, this.bins - 1));
    this.bars.replaceChildren(...bars(model.graph.edges, this.bins));
    this.show(model, this.store.choice);
  }

  show(model: Model, { filter }: Choice): void {
    const [low, high] = filter.time ?? [0, Math.max(0, this.bins - 1)];
    this.low.value = String(low);
    this.high.value = String(high);
    const [from, to] = [model.time(low), model.time(high + 1)];
    this.low.setAttribute("aria-valuetext", `from ${from}`);
    this.high.setAttribute("aria-valuetext", `to ${to}`);
    this.words.textContent = filter.time ? `${from} to ${to} UTC; what was never seen is hidden` : `all: ${from} to ${to} UTC`;
  }
}

function bars(edges: readonly FlowEdge[], bins: number): SVGElement[] {
  const change = new Array<number>(bins + 1).fill(0);
  for (const edge of edges) {
    for (const [low, high] of edge.seen?.active ?? []) {
      change[low] = (change[low] ?? 0) + 1;
      change[high + 1] = (change[high + 1] ?? 0) - 1;
    }
  }
  let active = 0;
  const counts = change.slice(0, bins).map((step) => (active += step));
  const most = Math.max(1, ...counts);
  const width = WIDTH / Math.max(1, bins);
  return counts.map((count, bin) => {
    const height = Math.max(count > 0 ? 1 : 0, (count / most) * HEIGHT);
    return s("rect", { x: bin * width, y: HEIGHT - height, width: width * 0.86, height });
  });
}
