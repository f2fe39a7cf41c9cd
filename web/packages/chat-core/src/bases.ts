import { Observable } from "./observable";

/** How long one address may leave a short request without an answer before the next is tried. */
const ANSWER_MS = 12_000;
/** A long-poll's own patience (30 s) and some. */
const POLL_MS = 50_000;
const GATEWAY = new Set([502, 503, 504]);

/**
 * The addresses under which the same service answers. Requests go to the current one; when it does not
 * answer, the next becomes current and the request is asked again there. That is safe for whatever is
 * asked twice with the same outcome: reads, and writes that carry a transaction id.
 */
export class Bases {
  readonly current: Observable<string>;
  #all: string[];

  constructor(first: string, others: string[]) {
    this.#all = [...new Set([first, ...others])];
    this.current = new Observable(first);
  }

  learn(others: string[]): void {
    this.#all = [...new Set([...this.#all, ...others])];
  }

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input.toString());
    const path = url.pathname + url.search;
    const again = repeatable(init?.method ?? "GET", url.pathname);
    let failure: unknown = null;
    for (let tries = 0; tries < (again ? this.#all.length : 1); tries++) {
      const base = this.current.get();
      try {
        const answer = await within(base + path, init, url.pathname.endsWith("/sync") ? POLL_MS : ANSWER_MS);
        if (!GATEWAY.has(answer.status) || this.#all.length === 1) return answer;
        failure = new TypeError(`${answer.status} from ${base}`);
      } catch (error) {
        if (init?.signal?.aborted) throw error;
        failure = error;
      }
      this.#leave(base);
    }
    throw failure;
  };

  /** Moves on, unless somebody else already did. */
  #leave(base: string): void {
    if (this.current.get() !== base) return;
    const next = (this.#all.indexOf(base) + 1) % this.#all.length;
    this.current.set(this.#all[next] ?? base);
  }
}

function repeatable(method: string, path: string): boolean {
  if (method === "GET" || method === "HEAD") return true;
  return method === "PUT" || path.endsWith("/sync") || path.endsWith("/login");
}

async function within(url: string, init: RequestInit | undefined, patienceMs: number): Promise<Response> {
  const upload = init?.body instanceof Blob;
  const ends = new AbortController();
  const timer = setTimeout(() => ends.abort(new TypeError("no answer")), upload ? 600_000 : patienceMs);
  const signals = init?.signal ? [init.signal, ends.signal] : [ends.signal];
  try {
    return await fetch(url, { ...init, signal: AbortSignal.any(signals) });
  } finally {
    clearTimeout(timer);
  }
}
