import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Server {
  url: string;
  stop(): void;
}

/** Starts the real binary on SQLite in a folder of its own, or uses the one that `HAECHI_URL` names. */
export async function start(port: number, more: string[] = []): Promise<Server> {
  if (process.env.HAECHI_URL) return { url: process.env.HAECHI_URL, stop: () => undefined };
  const binary = process.env.HAECHI_BIN;
  if (!binary) throw new Error("HAECHI_BIN must name the built server (cargo xtask test sets it)");
  const data = mkdtempSync(join(tmpdir(), "haechi-web-"));
  const url = `http://127.0.0.1:${port}`;
  const args = ["serve", "--server-name", "localhost", "--public-base-url", url, "--listen", `127.0.0.1:${port}`, "--data-dir", data, "--registration", "open", "--log-level", "warn", ...more];
  const env = { ...process.env, HAECHI_RATE_LIMITS_ENABLED: "false" };
  const child: ChildProcess = spawn(binary, args, { stdio: "inherit", env });
  for (let tries = 0; tries < 200; tries++) {
    const up = await fetch(`${url}/healthz`).then((answer) => answer.ok, () => false);
    if (up) return { url, stop: () => { child.kill("SIGTERM"); rmSync(data, { recursive: true, force: true }); } };
    await new Promise((wait) => setTimeout(wait, 100));
  }
  child.kill();
  throw new Error("the server did not start");
}
