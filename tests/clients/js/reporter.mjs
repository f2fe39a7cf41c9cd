// What the suite prints: a line per test, what broke, and the closing line.

import { inspect } from "node:util";

export default async function* report(source) {
    let passed = 0;
    let failed = 0;
    for await (const { type, data } of source) {
        if (type === "test:pass" && data.details?.type !== "suite") {
            passed++;
            yield `ok      ${data.name} (${Math.round(data.details.duration_ms)} ms)\n`;
        } else if (type === "test:fail" && data.details?.type !== "suite") {
            failed++;
            const error = data.details.error?.cause ?? data.details.error;
            yield `FAILED  ${data.name}\n${indent(error?.stack ?? inspect(error))}\n`;
        } else if (type === "test:stderr") {
            yield data.message;
        }
    }
    yield `${passed} passed, ${failed} failed\n`;
}

function indent(text) {
    return text
        .split("\n")
        .slice(0, 12)
        .map((line) => `        ${line}`)
        .join("\n");
}
