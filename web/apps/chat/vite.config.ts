import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import babel from "@rolldown/plugin-babel";
import react, { reactCompilerPreset } from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Packs every file that gets smaller by it, so that the server need not; lists what the service worker keeps. */
function pack(): Plugin {
  return {
    name: "haechi-pack",
    apply: "build",
    closeBundle() {
      const dist = join(import.meta.dirname, "dist");
      const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => statSync(join(dist, file)).isFile() && !/\.(br|gz)$/.test(file));
      const shell = files.filter((file) => file.startsWith("assets/") && !file.endsWith(".wasm")).map((file) => `/${file}`);
      const worker = join(dist, "sw.js");
      writeFileSync(worker, `const SHELL = ${JSON.stringify(shell)};\n${readFileSync(worker, "utf8")}`);
      for (const file of files) {
        const data = readFileSync(join(dist, file));
        if (data.length < 512 || /\.(png|woff2)$/.test(file)) continue;
        writeFileSync(join(dist, `${file}.br`), brotliCompressSync(data));
        writeFileSync(join(dist, `${file}.gz`), gzipSync(data, { level: 9 }));
      }
    },
  };
}

const server = process.env.HAECHI_URL ?? "http://127.0.0.1:8008";

export default defineConfig({
  plugins: [react(), babel({ presets: [reactCompilerPreset()] }), pack()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 1_500 },
  server: { proxy: { "/_matrix": server, "/_haechi": server, "/.well-known": server, "/haechi.json": server } },
});
