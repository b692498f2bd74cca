// The canvas by keyboard: a cursor that walks from shape to shape.

import type { Canvas } from "./canvas";
import { shapeOfGroup, shapeOfNode, type Shape } from "./picture";

const WAYS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export interface Walk {
  at(shape: Shape): void;
  select(shape: Shape): void;
  toggle(shape: Shape): void;
}

export function walkByKeys(element: HTMLElement, canvas: Canvas, walk: Walk): void {
  let at = "";

  const move = (id: string): void => {
    canvas.cy.nodes(".cursor").removeClass("cursor");
    canvas.cy.getElementById(id).addClass("cursor");
    at = id;
    const shape = canvas.shape(id);
    if (!shape) return;
    const { x1, y1, x2, y2 } = canvas.cy.extent();
    const { x, y } = canvas.cy.getElementById(id).position();
    if (x < x1 || x > x2 || y < y1 || y > y2) canvas.cy.center(canvas.cy.getElementById(id));
    walk.at(shape);
  };

  const next = ([right, down]: readonly [number, number]): string => {
    const here = canvas.cy.getElementById(at);
    const all = canvas.cy.nodes().toArray();
    if (here.empty()) return all[0]?.id() ?? "";
    const from = here.position();
    let [best, nearest] = ["", Infinity];
    for (const node of all) {
      const to = node.position();
      const [x, y] = [to.x - from.x, to.y - from.y];
      const [along, aside] = [x * right + y * down, Math.abs(x * down) + Math.abs(y * right)];
      const far = along + 2 * aside;
      if (node.id() !== at && along > 1 && far < nearest) [best, nearest] = [node.id(), far];
    }
    return best || at;
  };

  const toggle = (shape: Shape): void => {
    walk.toggle(shape);
    // What the cursor stood on may be gone: its box, or who was in it, stands there now.
    const box = shapeOfGroup(shape.group.id);
    const there = [at, box, ...shape.group.nodes.map((node) => shapeOfNode(node.id))].find((id) => canvas.shape(id));
    if (there !== undefined) move(there);
  };

  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = WAYS[event.key];
    const shape = canvas.shape(at);
    if (way) move(next(way));
    else if (event.key === "Enter" && shape) walk.select(shape);
    else if (event.key === " " && shape) toggle(shape);
    else if (event.key === "+" || event.key === "=") canvas.zoomBy(1.25);
    else if (event.key === "-") canvas.zoomBy(0.8);
    else if (event.key === "0") canvas.fit();
    else return;
    event.preventDefault();
  });
  element.addEventListener("blur", () => canvas.cy.nodes(".cursor").removeClass("cursor"));
}
