import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Message, RoomSummary } from "./types";

/** A message that has not been acknowledged. It stays here until it is, whatever becomes of the tab. */
export interface OutboxItem {
  seq?: number;
  txn: string;
  roomId: string;
  type: string;
  content: Record<string, unknown>;
  ts: number;
  state: "queued" | "sending" | "sent" | "failed";
  /** Files to upload first; their addresses then go into `content`. */
  files?: { blob: Blob; name: string; mxc?: string; encrypted?: unknown }[];
  eventId?: string;
  error?: string;
}

interface Schema extends DBSchema {
  kv: { key: string; value: unknown };
  rooms: { key: string; value: RoomSummary };
  timelines: { key: string; value: Message[] };
  outbox: { key: number; value: OutboxItem };
}

export type Db = IDBPDatabase<Schema>;

/** Opens what this browser keeps. `name` differs by account. */
export function open(name: string): Promise<Db> {
  return openDB<Schema>(name, 1, {
    upgrade(db) {
      db.createObjectStore("kv");
      db.createObjectStore("rooms", { keyPath: "id" });
      db.createObjectStore("timelines");
      db.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true });
    },
  });
}
