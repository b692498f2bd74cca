// Bundles src/ into one page: build.mjs OUT. Runs in a folder in which `npm ci` has been run.
//
// The page is whole but for its data. Script and style stand in it as they are, and the Content-Security-Policy names
// them by their hashes, so that nothing else in the page can ever run. Trusted Types forbid to read markup from text.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { build } from "esbuild";

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const bundled = await build({
  entryPoints: ["src/main.ts"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii",
  legalComments: "eof",
  metafile: true,
  write: false,
  outdir: ".",
});
const styled = await build({
  entryPoints: ["src/style.css"],
  minify: true,
  charset: "ascii",
  write: false,
  outdir: ".",
});
const script = bundled.outputFiles[0].text;
const style = styled.outputFiles[0].text;

// What ends an element, or begins a comment, would end the script where it stands in a string (HTML, 13.2.5.4).
for (const [name, text] of Object.entries({ script, style })) {
  const found = /<\/(script|style)|<!--/i.exec(text);
  if (found) throw new Error(`the ${name} holds ${found[0]}`);
}

// The licences of what is bundled ask that they go with every copy.
const packages = new Set();
for (const path of Object.keys(bundled.metafile.inputs)) {
  const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
  if (found) packages.add(found[1]);
}
const notices = [...packages].sort().map((name) => {
  const folder = join("node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} comes without its licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
const licences = notices.join("\n---\n\n").replace(/\r/g, "");
if (/[<&]/.test(licences)) throw new Error("a licence holds markup");

const parts = {
  csp:
    `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; ` +
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; connect-src 'none'",
  script,
  style,
  licences,
};
const shell = readFileSync("src/page.html", "utf8");
const page = shell.replace(/@@(csp|script|style|licences)@@/g, (_, name) => parts[name]);
writeFileSync(resolve(process.argv[2]), page);
console.log(`${dirname(resolve(process.argv[2]))}: ${page.length} characters`);
