// Hands the picture, or a link to what is shown, to the person looking.

import type { Canvas } from "./canvas";
import { h } from "./dom";
import { PALETTES, type Theme } from "./looks";
import { svgOf } from "./svg";

const BROADEST = 8000;

export function savePng(canvas: Canvas, theme: Theme): void {
  const picture = canvas.cy.png({
    output: "blob",
    full: true,
    scale: 2,
    maxWidth: BROADEST,
    maxHeight: BROADEST,
    bg: PALETTES[theme].page,
  }) as unknown as Blob;
  save(picture, "netpol-graph.png");
}

export function saveSvg(canvas: Canvas, theme: Theme): void {
  save(new Blob([svgOf(canvas, theme)], { type: "image/svg+xml" }), "netpol-graph.svg");
}

function save(content: Blob, download: string): void {
  const href = URL.createObjectURL(content);
  h("a", { href, download }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/** Shows the address of what is shown, and puts it on the clipboard where the browser lets a page do that. */
export function shareLink(dialog: HTMLDialogElement): void {
  const field = h("input", { type: "text", readonly: true, value: location.href, "aria-label": "Link to what is shown" });
  const remark = h("p", { class: "hint", role: "status" }, "The filter and the selection are part of the address.");
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(h("h2", {}, "Link to what is shown"), field, remark, close);
  dialog.setAttribute("aria-label", "Link to what is shown");
  dialog.showModal();
  field.select();
  navigator.clipboard?.writeText(location.href).then(
    () => (remark.textContent = "Copied. The filter and the selection are part of the address."),
    () => undefined, // not allowed: the address stands there, selected
  );
}

export function showLicences(dialog: HTMLDialogElement): void {
  const text = document.getElementById("licences")?.textContent ?? "";
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(h("h2", {}, "Licences of what this page is made with"), h("pre", { tabindex: 0 }, text), close);
  dialog.setAttribute("aria-label", "Licences");
  dialog.showModal();
}
