import type { Db, OutboxItem } from "./db";
import { freshId } from "./ids";
import { Observable } from "./observable";

/** What became of one try. */
export type Sent = { eventId: string } | { retryMs: number } | { refused: string };

/** Sends one item; the same transaction id always gives the same event. */
export type Send = (item: OutboxItem) => Promise<Sent>;

/**
 * Messages on their way out. Each is on disk before it is tried, keeps its place among those of its
 * room, and carries a transaction id, so that asking again never sends it twice.
 */
export class Outbox {
  readonly items = new Observable<readonly OutboxItem[]>([]);
  readonly #db: Db;
  readonly #send: Send;
  readonly #busy = new Set<string>();
  #closed = false;

  constructor(db: Db, send: Send) {
    this.#db = db;
    this.#send = send;
  }

  async load(): Promise<void> {
    const kept = await this.#db.getAll("outbox");
    // What was on its way when the tab closed is asked again: the transaction id makes that safe.
    this.items.set(kept.map((item) => (item.state === "sending" ? { ...item, state: "queued" as const } : item)));
  }

  async add(roomId: string, type: string, content: Record<string, unknown>, files?: OutboxItem["files"]): Promise<string> {
    const item: OutboxItem = { txn: freshId("h"), roomId, type, content, ts: Date.now(), state: "queued" };
    if (files) item.files = files;
    item.seq = await this.#db.add("outbox", item);
    this.items.set([...this.items.get(), item]);
    this.wake();
    return item.txn;
  }

  /** Tries again whatever waits. */
  wake(): void {
    for (const roomId of new Set(this.items.get().map((item) => item.roomId))) void this.#work(roomId);
  }

  retry(txn: string): void {
    void this.#change(txn, { state: "queued", error: undefined }).then(() => this.wake());
  }

  async drop(txn: string): Promise<void> {
    const item = this.items.get().find((one) => one.txn === txn);
    if (item?.seq !== undefined) await this.#db.delete("outbox", item.seq);
    this.items.set(this.items.get().filter((one) => one.txn !== txn));
  }

  close(): void {
    this.#closed = true;
  }

  async #work(roomId: string): Promise<void> {
    if (this.#busy.has(roomId) || this.#closed) return;
    this.#busy.add(roomId);
    try {
      for (;;) {
        const item = this.items.get().find((one) => one.roomId === roomId && one.state === "queued");
        if (!item || this.#closed) return;
        await this.#change(item.txn, { state: "sending" });
        const waitMs = await this.#one(item);
        if (waitMs > 0) {
          setTimeout(() => void this.#work(roomId), waitMs);
          return;
        }
      }
    } finally {
      this.#busy.delete(roomId);
    }
  }

  async #one(item: OutboxItem): Promise<number> {
    const sent = await this.#send(item);
    if ("eventId" in sent) {
      if (item.seq !== undefined) await this.#db.delete("outbox", item.seq);
      this.#show(item.txn, { state: "sent", eventId: sent.eventId });
      return 0;
    }
    if ("refused" in sent) {
      await this.#change(item.txn, { state: "failed", error: sent.refused });
      return 0;
    }
    await this.#change(item.txn, { state: "queued" });
    return sent.retryMs;
  }

  async #change(txn: string, change: Partial<OutboxItem>): Promise<void> {
    const item = this.#show(txn, change);
    if (item?.seq !== undefined) await this.#db.put("outbox", item);
  }

  #show(txn: string, change: Partial<OutboxItem>): OutboxItem | undefined {
    const at = this.items.get().findIndex((one) => one.txn === txn);
    const old = this.items.get()[at];
    if (!old) return undefined;
    const item = { ...old, ...change };
    this.items.set(this.items.get().with(at, item));
    return item;
  }
}
