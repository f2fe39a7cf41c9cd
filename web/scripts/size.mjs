// What a browser loads before it shows the chats must stay small: fails above the budget.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET_KB = 130;
const dist = new URL("../apps/chat/dist/", import.meta.url);
const seen = new Set();

/** The file, and what it imports in any case; what it loads lazily does not count. */
function collect(name) {
  if (seen.has(name)) return;
  seen.add(name);
  const text = readFileSync(new URL(name, dist), "utf8");
  if (!name.endsWith(".js")) return;
  for (const [, file] of text.matchAll(/(?:from|import)\s*["'`]\.\/([\w.-]+\.js)["'`]/g)) collect(`assets/${file}`);
}

const page = readFileSync(new URL("index.html", dist), "utf8");
for (const [, file] of page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)) collect(file);
// One language comes with the first page.
const language = readdirSync(new URL("assets/", dist)).find((file) => /^ko-.*\.js$/.test(file));
if (language) collect(`assets/${language}`);
const bytes = [...seen].reduce((sum, name) => sum + gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length, 0);
console.log(`app shell: ${(bytes / 1_000).toFixed(1)} kB gzip of ${BUDGET_KB} kB, in ${seen.size} files`);
if (bytes > BUDGET_KB * 1_000) {
  console.error("the app shell is above its budget: load more of it lazily");
  process.exit(1);
}
