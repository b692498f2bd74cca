// Follows the server that the page came from: `netpol view` serves the graph anew when something was recorded.

import type { FlowGraph } from "./data";

/** Asks for the graph again and again, and hands it over when it is another one. */
export class Live {
  private failed = false;

  constructor(
    private readonly seconds: number,
    private tag: string,
    private readonly replace: (graph: FlowGraph) => void,
    private readonly say: (words: string) => void,
  ) {
    this.later();
  }

  private later(): void {
    setTimeout(() => void this.ask(), Math.max(1, this.seconds) * 1000);
  }

  private async ask(): Promise<void> {
    try {
      const answer = await fetch("graph.json", { cache: "no-cache" });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const tag = answer.headers.get("etag") ?? "";
      if (tag !== this.tag) {
        this.replace((await answer.json()) as FlowGraph);
        this.tag = tag;
        this.say("The graph was brought up to date");
      }
      if (this.failed) this.say("The server answers again");
      this.failed = false;
    } catch {
      if (!this.failed) this.say("The server does not answer: the graph is as old as it last said");
      this.failed = true;
    } finally {
      document.documentElement.dataset["live"] = this.failed ? "lost" : "on";
      this.later();
    }
  }
}
