/** The one object the app holds: session, cache, outbox, and the engine once it is loaded. */
import { Actions } from "./actions";
import * as account from "./account";
import { Bases } from "./bases";
import { type Db, open, type OutboxItem } from "./db";
import type { Engine } from "./engine";
import { Media } from "./media";
import { ALBUM_KEY } from "./names";
import { Observable } from "./observable";
import { Outbox, type Sent } from "./outbox";
import type { Connection, Message, Operator, Preview, RoomSummary, Session, Timeline } from "./types";

const SESSION = "haechi.session";
/** Messages of each room kept for the next start. */
const KEPT = 60;
const EMPTY: Timeline = { messages: [], start: false, loading: true, readUpTo: null, typing: [] };

export interface Arrival {
  roomId: string;
  message: Message;
}

export class Chat {
  readonly session = new Observable<Session | null>(null);
  readonly operator = new Observable<Operator | null>(null);
  readonly connection = new Observable<Connection>("starting");
  readonly rooms = new Observable<readonly RoomSummary[]>([]);
  /** Is what `rooms` holds from the server, not only from the cache? */
  readonly fresh = new Observable(false);
  readonly engine = new Observable<Engine | null>(null);
  readonly outbox = new Observable<readonly OutboxItem[]>([]);
  readonly uploads = new Observable<ReadonlyMap<string, number>>(new Map());
  readonly arrivals = new Observable<Arrival | null>(null);
  readonly bases: Bases;
  readonly actions = new Actions(this);
  media: Media | null = null;
  readonly #timelines = new Map<string, Observable<Timeline>>();
  readonly #drafts = new Map<string, string>();
  #db: Db | null = null;
  #box: Outbox | null = null;
  #keeping: ReturnType<typeof setTimeout> | null = null;

  constructor(origin: string) {
    this.bases = new Bases(origin, JSON.parse(localStorage.getItem("haechi.bases") ?? "[]") as string[]);
    globalThis.addEventListener?.("online", () => this.#box?.wake());
    globalThis.addEventListener?.("offline", () => this.connection.set("offline"));
    this.bases.current.subscribe(() => this.#box?.wake());
  }

  /** Shows what is kept, then connects. Returns once the kept state is there. */
  async begin(): Promise<void> {
    void account.operator(this.bases).then((said) => {
      this.operator.set(said);
      this.bases.learn(said.base_urls);
      localStorage.setItem("haechi.bases", JSON.stringify(said.base_urls));
    }, () => this.connection.set("offline"));
    const kept = localStorage.getItem(SESSION);
    if (kept) await this.#use(JSON.parse(kept) as Session);
  }

  async signIn(user: string, password: string): Promise<void> {
    await this.#enter(await account.signIn(this.bases, user, password));
  }

  async signUp(user: string, password: string, token: string): Promise<void> {
    await this.#enter(await account.signUp(this.bases, user, password, token));
  }

  async #enter(session: Session): Promise<void> {
    localStorage.setItem(SESSION, JSON.stringify(session));
    await this.#use(session);
  }

  async #use(session: Session): Promise<void> {
    this.media = new Media(this.bases, session.accessToken);
    this.#db = await open(`haechi-${session.userId}`);
    this.#box = new Outbox(this.#db, (item) => this.#send(item));
    this.#box.items.subscribe(() => this.#boxChanged());
    const [rooms] = await Promise.all([this.#db.getAll("rooms"), this.#box.load()]);
    for (const [key, value] of Object.entries(JSON.parse(localStorage.getItem("haechi.drafts") ?? "{}") as Record<string, string>)) this.#drafts.set(key, value);
    this.rooms.set(rooms);
    this.session.set(session);
    void this.#connect(session);
  }

  async #connect(session: Session): Promise<void> {
    try {
      const { Engine } = await import("./engine");
      const engine = new Engine(session, this.bases, {
        connection: (state) => {
          this.connection.set(state);
          if (state === "online") this.#box?.wake();
        },
        rooms: (rooms) => this.#gotRooms(rooms),
        timeline: (roomId, timeline) => this.#gotTimeline(roomId, timeline),
        arrived: (roomId, message) => this.arrivals.set({ roomId, message }),
        signedOut: () => void this.forget(),
      });
      this.engine.set(engine);
      await engine.start();
    } catch (error) {
      // The module could not be fetched: without network the kept state stays on the screen.
      console.warn("not connected", error);
      this.connection.set("offline");
      setTimeout(() => this.session.get() === session && !this.engine.get() && void this.#connect(session), 5_000);
    }
  }

  #gotRooms(rooms: RoomSummary[]): void {
    this.rooms.set(rooms);
    this.fresh.set(true);
    for (const roomId of this.#timelines.keys()) if (!this.#opened.has(roomId)) void this.#openNow(roomId);
    this.#keeping ??= setTimeout(() => void this.#keep(), 1_000);
  }

  async #keep(): Promise<void> {
    this.#keeping = null;
    const db = this.#db;
    if (!db) return;
    const keep = db.transaction("rooms", "readwrite");
    await keep.store.clear();
    await Promise.all([...this.rooms.get().map((room) => keep.store.put(room)), keep.done]);
  }

  #gotTimeline(roomId: string, timeline: Timeline): void {
    const shown = this.#timelineOf(roomId);
    for (const item of this.outbox.get()) {
      if (item.state === "sent" && item.roomId === roomId && timeline.messages.some((message) => message.id === item.eventId)) void this.#box?.drop(item.txn);
    }
    shown.set(timeline);
    const kept = timeline.messages.slice(-KEPT);
    if (!this.rooms.get().find((room) => room.id === roomId)?.secret) void this.#db?.put("timelines", kept, roomId);
  }

  #timelineOf(roomId: string): Observable<Timeline> {
    let timeline = this.#timelines.get(roomId);
    if (!timeline) {
      timeline = new Observable(EMPTY);
      this.#timelines.set(roomId, timeline);
    }
    return timeline;
  }

  readonly #opened = new Set<string>();

  /** The messages of a room, at first from the cache. */
  timeline(roomId: string): Observable<Timeline> {
    const timeline = this.#timelineOf(roomId);
    if (timeline.get() === EMPTY) {
      void this.#db?.get("timelines", roomId).then((kept) => {
        if (kept && timeline.get() === EMPTY) timeline.set({ ...EMPTY, messages: kept });
      });
    }
    void this.#openNow(roomId);
    return timeline;
  }

  async #openNow(roomId: string): Promise<void> {
    const engine = this.engine.get();
    if (!engine?.client.getRoom(roomId) || this.#opened.has(roomId)) return;
    this.#opened.add(roomId);
    if (engine.client.getRoom(roomId)?.hasEncryptionStateEvent()) this.needsCrypto();
    await engine.open(roomId).catch((error: unknown) => {
      this.#opened.delete(roomId);
      console.warn("cannot open the room", error);
    });
  }

  /** The room is no longer on the screen. */
  leaveScreen(roomId: string): void {
    this.#opened.delete(roomId);
    this.#timelines.delete(roomId);
    this.engine.get()?.close(roomId);
  }

  /** From now on the crypto module is loaded at the start. */
  needsCrypto(): void {
    const session = this.session.get();
    if (!session || session.crypto) return;
    const changed = { ...session, crypto: true };
    localStorage.setItem(SESSION, JSON.stringify(changed));
    this.session.set(changed);
  }

  draft(roomId: string): string {
    return this.#drafts.get(roomId) ?? "";
  }

  keepDraft(roomId: string, text: string): void {
    if (text) this.#drafts.set(roomId, text);
    else this.#drafts.delete(roomId);
    localStorage.setItem("haechi.drafts", JSON.stringify(Object.fromEntries(this.#drafts)));
  }

  /** Puts a message into the outbox; it goes out as soon as it can. */
  async post(roomId: string, type: string, content: Record<string, unknown>, files?: OutboxItem["files"]): Promise<void> {
    await this.#box?.add(roomId, type, content, files);
  }

  retry(txn: string): void {
    this.#box?.retry(txn);
  }

  async cancel(txn: string): Promise<void> {
    await this.#box?.drop(txn);
  }

  #boxChanged(): void {
    this.outbox.set(this.#box?.items.get() ?? []);
  }

  async #send(item: OutboxItem): Promise<Sent> {
    const engine = this.engine.get();
    if (!engine) return { retryMs: 1_000 };
    if (!item.files?.length) return engine.send(item);
    const secret = engine.client.getRoom(item.roomId)?.hasEncryptionStateEvent() ?? false;
    try {
      for (const [at, file] of item.files.entries()) {
        if (file.mxc) continue;
        const { encrypt } = await import("./media");
        const locked = secret ? await encrypt(file.blob) : null;
        const count = item.files.length;
        file.mxc = await engine.upload(locked?.data ?? file.blob, secret ? "file" : file.name, (part) => this.#progress(item.txn, (at + part) / count));
        if (locked) file.encrypted = { ...locked.keys, url: file.mxc };
      }
    } catch (error) {
      const refused = error instanceof Error && "httpStatus" in error && Number(error.httpStatus) >= 400 && Number(error.httpStatus) < 500 && Number(error.httpStatus) !== 429;
      return refused ? { refused: String((error as { errcode?: string }).errcode ?? "upload") } : { retryMs: 3_000 };
    } finally {
      this.#progress(item.txn, null);
    }
    return engine.send({ ...item, content: withFiles(item) });
  }

  #progress(txn: string, part: number | null): void {
    const next = new Map(this.uploads.get());
    if (part === null) next.delete(txn);
    else next.set(txn, part);
    this.uploads.set(next);
  }

  async signOut(): Promise<void> {
    const engine = this.engine.get();
    await engine?.client.logout(false).catch(() => undefined);
    await this.forget();
  }

  /** Drops everything this browser keeps of the account. */
  async forget(): Promise<void> {
    const session = this.session.get();
    this.#box?.close();
    this.engine.get()?.stop();
    await this.engine.get()?.client.clearStores().catch(() => undefined);
    this.#db?.close();
    if (session) indexedDB.deleteDatabase(`haechi-${session.userId}`);
    for (const key of [SESSION, "haechi.drafts"]) localStorage.removeItem(key);
    this.engine.set(null);
    this.rooms.set([]);
    this.fresh.set(false);
    this.#timelines.clear();
    this.#opened.clear();
    this.session.set(null);
  }
}

/** The content with the addresses of what was uploaded. */
function withFiles(item: OutboxItem): Record<string, unknown> {
  const [first, ...more] = item.files ?? [];
  const place = (file: typeof first) => (file?.encrypted ? { file: file.encrypted } : { url: file?.mxc });
  const parts = item.content[ALBUM_KEY];
  const content = { ...item.content, ...place(first) };
  if (!Array.isArray(parts)) return content;
  return { ...content, [ALBUM_KEY]: parts.map((part: Record<string, unknown>, at) => ({ ...part, ...place(more[at]) })) };
}

/** What stands in the list for a message that is still on its way. */
export function previewOf(item: OutboxItem): Preview {
  return { kind: "text", body: String(item.content.body ?? ""), sender: "" };
}
