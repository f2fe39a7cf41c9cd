import "fake-indexeddb/auto";
import { expect, test, vi } from "vitest";
import { open, type OutboxItem } from "./db";
import { Outbox, type Sent } from "./outbox";

let name = 0;
const text = (body: string) => ({ msgtype: "m.text", body });

test("messages go out in order, each once, and failures keep their place", async () => {
  const db = await open(`outbox-${name++}`);
  const sent: string[] = [];
  let tries = 0;
  const send = async (item: OutboxItem): Promise<Sent> => {
    if (tries++ === 1) return { retryMs: 1 };
    sent.push(String(item.content.body));
    return { eventId: `$${item.txn}` };
  };
  const box = new Outbox(db, send);
  for (const body of ["one", "two", "three"]) await box.add("!r", "m.room.message", text(body));
  await vi.waitFor(() => expect(sent).toEqual(["one", "two", "three"]));
  await vi.waitFor(async () => expect(await db.count("outbox")).toBe(0));
});

test("what was on its way when the tab closed goes out with the same transaction id", async () => {
  const db = await open(`outbox-${name++}`);
  const never = new Outbox(db, () => new Promise(() => {}));
  const txn = await never.add("!r", "m.room.message", text("kept"));
  await vi.waitFor(async () => expect((await db.getAll("outbox"))[0]?.state).toBe("sending"));
  const sent: string[] = [];
  const next = new Outbox(db, async (item) => {
    sent.push(item.txn);
    return { eventId: "$1" };
  });
  await next.load();
  next.wake();
  await vi.waitFor(() => expect(sent).toEqual([txn]));
});

test("a refused message stays, and goes when asked again", async () => {
  const db = await open(`outbox-${name++}`);
  let refuse = true;
  const box = new Outbox(db, async () => (refuse ? { refused: "M_FORBIDDEN" } : { eventId: "$1" }));
  const txn = await box.add("!r", "m.room.message", text("hm"));
  await vi.waitFor(() => expect(box.items.get()[0]?.state).toBe("failed"));
  refuse = false;
  box.retry(txn);
  await vi.waitFor(() => expect(box.items.get()[0]?.state).toBe("sent"));
});
