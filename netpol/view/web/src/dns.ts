// What workloads ask DNS: how many questions, what came of them, and the names that led somewhere.

import type { Questions } from "./data";
import { h } from "./dom";
import { counted, number, plain } from "./text";

const COLUMNS: readonly (readonly [string, string, (each: Questions) => number])[] = [
  ["Asked", "Questions", (each) => each.asked],
  ["Answered", "Answers with records", (each) => each.answered],
  ["Empty", "The name is there, without such a record", (each) => each.empty],
  ["No such name", "NXDOMAIN: search domains cause it with every name from outside", (each) => each.no_name],
  ["Failed", "SERVFAIL, REFUSED and the other errors", (each) => each.failed],
];

/** The panel; those with failures come first, as they come. */
export function dnsPanel(questions: readonly Questions[]): readonly HTMLElement[] {
  if (questions.length === 0) return [h("p", { class: "hint" }, "Nobody was seen asking for names.")];
  const head = h("tr", {}, h("th", { scope: "col" }, "Workload"));
  for (const [title, words] of COLUMNS) head.append(h("th", { scope: "col", class: "count", title: words }, title));
  head.append(h("th", { scope: "col" }, "Names that led somewhere"));
  const body = h("tbody");
  for (const each of questions) {
    const row = h("tr", {}, h("th", { scope: "row" }, plain(each.who)));
    for (const [title, , value] of COLUMNS) {
      const bad = title === "Failed" && value(each) > 0;
      row.append(h("td", { class: bad ? "count bad" : "count" }, number(value(each))));
    }
    row.append(h("td", {}, namesOf(each)));
    body.append(row);
  }
  const table = h("table", { class: "plain", "aria-label": "DNS by workload" }, h("thead", {}, head), body);
  return [h("h2", {}, "DNS"), h("div", { class: "wide" }, table)];
}

function namesOf(each: Questions): HTMLElement | string {
  if (each.names.length === 0) return "none";
  const list = h("ul", {});
  for (const { name, answers } of each.names) list.append(h("li", {}, `${plain(name)} `, h("span", { class: "faint" }, number(answers))));
  if (each.more > 0) list.append(h("li", { class: "faint" }, `and ${number(each.more)} more`));
  return h("details", {}, h("summary", {}, counted(each.names.length + each.more, "name")), list);
}
