// Where the shapes stand: fcose for what a person can take in, a plain grid beyond that.

import cytoscape from "cytoscape";
import fcose from "cytoscape-fcose";

cytoscape.use(fcose);

const MOST_FOR_FCOSE = 350;
/** Lines a shape beyond which no layout untangles them: on an ellipse each can be followed at least. */
const DENSE = 4;
const GAP = 46;

/** Lays out everything; what stands already stays about where it is, unless it shall be laid out anew. */
export function layOut(cy: cytoscape.Core, anew: boolean): void {
  const shapes = cy.nodes();
  if (shapes.empty()) return;
  if (shapes.filter((shape) => !shape.isParent()).length > MOST_FOR_FCOSE) {
    grid(cy);
    return;
  }
  // Parallel lines pull no harder than one.
  const pairs = new Set<string>();
  const lines = cy.edges().filter((line) => {
    const pair = [line.source().id(), line.target().id()].sort().join("\n");
    return !pairs.has(pair) && pairs.add(pair).has(pair);
  });
  if (shapes.same(shapes.orphans()) && lines.length > DENSE * shapes.length) {
    ellipse(cy, shapes);
    return;
  }
  const ideal = 70 + 20 * Math.min(8, lines.length / shapes.length);
  const options = {
    name: "fcose",
    quality: "default",
    randomize: anew,
    animate: false,
    fit: false,
    nodeDimensionsIncludeLabels: false,
    packComponents: false,
    nodeSeparation: 70,
    idealEdgeLength: (line: cytoscape.EdgeSingular) => ideal + (line.source().width() + line.target().width()) / 8,
    nodeRepulsion: 5500,
    edgeElasticity: 0.35,
    nestingFactor: 0.4,
    gravity: 0.3,
    gravityCompound: 1.2,
    numIter: shapes.length > 80 ? 1500 : 2500,
    tile: true,
    tilingPaddingVertical: 24,
    tilingPaddingHorizontal: 24,
  };
  withFixedChance(() => shapes.union(lines).layout(options as cytoscape.LayoutOptions).run());
}

/** fcose draws lots, and the same graph shall look the same each time. It runs to its end before this returns. */
function withFixedChance(run: () => void): void {
  const chance = Math.random;
  let state = 20_240_131;
  Math.random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  try {
    run();
  } finally {
    Math.random = chance;
  }
}

/** The smallest ellipse of the canvas' proportions on which no shape touches another. */
function ellipse(cy: cytoscape.Core, shapes: cytoscape.NodeCollection): void {
  const flat = Math.min(2, Math.max(0.6, cy.width() / Math.max(1, cy.height())));
  const sizes = shapes.map((shape) => ({ width: shape.width() + GAP / 2, height: shape.height() + GAP / 2 }));
  const places = (radius: number): { x: number; y: number }[] =>
    sizes.map((_, at) => {
      const angle = (2 * Math.PI * at) / sizes.length;
      return { x: Math.sin(angle) * radius * flat, y: -Math.cos(angle) * radius };
    });
  const touch = (found: readonly { x: number; y: number }[]): boolean =>
    found.some(({ x, y }, at) => {
      // Neighbours touch before others do.
      const [next, size] = [found[(at + 1) % found.length], sizes[at]];
      const other = sizes[(at + 1) % sizes.length];
      if (!next || !size || !other || found.length < 2) return false;
      const [wide, high] = [(size.width + other.width) / 2, (size.height + other.height) / 2];
      return Math.abs(next.x - x) < wide && Math.abs(next.y - y) < high;
    });
  let radius = 60;
  while (touch(places(radius))) radius *= 1.08;
  const found = places(radius);
  cy.batch(() => shapes.forEach((shape, at) => void shape.position(found[at] ?? { x: 0, y: 0 })));
}

/** Each box a square of its members, the boxes in rows. */
function grid(cy: cytoscape.Core): void {
  const blocks = cy
    .nodes()
    .orphans()
    .map((shape) => (shape.isParent() ? shape.children().toArray() : [shape]));
  const sizes = blocks.map((members) => {
    const columns = Math.ceil(Math.sqrt(members.length / 2));
    const width = Math.max(...members.map((shape) => (shape as cytoscape.NodeSingular).width())) + GAP;
    const height = Math.max(...members.map((shape) => (shape as cytoscape.NodeSingular).height())) + GAP;
    return { columns, width, height, rows: Math.ceil(members.length / columns) };
  });
  const area = sizes.reduce((sum, { columns, width, rows, height }) => sum + columns * width * rows * height, 0);
  const broad = Math.sqrt(area * 2);
  let [left, top, tallest] = [0, 0, 0];
  cy.batch(() => {
    blocks.forEach((members, at) => {
      const { columns, width, height, rows } = sizes[at] as (typeof sizes)[number];
      if (left > 0 && left + columns * width > broad) [left, top, tallest] = [0, top + tallest + 2 * GAP, 0];
      members.forEach((shape, index) => {
        (shape as cytoscape.NodeSingular).position({
          x: left + (index % columns) * width + width / 2,
          y: top + Math.floor(index / columns) * height + height / 2,
        });
      });
      left += columns * width + 2 * GAP;
      tallest = Math.max(tallest, rows * height);
    });
  });
}
