/** The Matrix side, in a chunk of its own: loaded after the last state is on the screen. */
import {
  ClientEvent,
  createClient,
  Direction,
  EventTimeline,
  EventType,
  IndexedDBStore,
  type MatrixClient,
  MatrixError,
  type MatrixEvent,
  MatrixEventEvent,
  MemoryStore,
  PendingEventOrdering,
  ReceiptType,
  RelationType,
  type Room,
  RoomEvent,
  RoomMemberEvent,
  RoomStateEvent,
  SyncState,
} from "matrix-js-sdk";
import type { Logger } from "matrix-js-sdk/lib/logger.js";
import type { Bases } from "./bases";
import type { OutboxItem } from "./db";
import { note, poll, reactions, read } from "./messages";
import type { Sent } from "./outbox";
import type { Connection, Member, Message, Preview, Profile, RoomKind, RoomSummary, Session, Timeline } from "./types";
import { type Reader, unreadCounts } from "./unread";

/** The SDK tells much of what is none of a user's trouble; its warnings go where developers look. */
const nothing = () => undefined;
const quiet: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: (...what) => console.debug(...what),
  error: (...what) => console.debug(...what),
  getChild: () => quiet,
};

/** What the engine tells. */
export interface Listener {
  connection(state: Connection): void;
  rooms(rooms: RoomSummary[]): void;
  timeline(roomId: string, timeline: Timeline): void;
  arrived(roomId: string, message: Message): void;
  signedOut(): void;
}

/** Changes are gathered this long, so that 200 messages a second are 20 updates. */
const GATHER_MS = 50;
const FAVOURITE = "m.favourite";
const ARCHIVED = "m.lowpriority";

const OPTIONS = {
  initialSyncLimit: 20,
  lazyLoadMembers: true,
  threadSupport: true,
  disablePresence: true,
  pendingEventOrdering: PendingEventOrdering.Detached,
};

export class Engine {
  readonly client: MatrixClient;
  readonly #session: Session;
  readonly #listener: Listener;
  readonly #shown = new Map<string, string | null>();
  readonly #dirty = new Set<string>();
  readonly #summaries = new Map<string, RoomSummary>();
  readonly #known = new WeakMap<MatrixEvent, { stamp: string; message: Message }>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #direct = new Map<string, string>();
  #crypto: Promise<void> | null = null;

  constructor(session: Session, bases: Bases, listener: Listener) {
    this.#session = session;
    this.#listener = listener;
    const store = typeof indexedDB === "undefined"
      ? new MemoryStore({})
      : new IndexedDBStore({ indexedDB, dbName: `haechi-sync-${session.userId}-${session.deviceId}` });
    this.client = createClient({
      baseUrl: session.baseUrl,
      accessToken: session.accessToken,
      userId: session.userId,
      deviceId: session.deviceId,
      fetchFn: bases.fetch as typeof fetch,
      store,
      timelineSupport: true,
      cryptoCallbacks: secrets,
      logger: quiet,
    });
    // There are no calls here, and it would complain of each new room.
    this.client.matrixRTC.start = nothing;
    this.#listen();
  }

  async start(): Promise<void> {
    await this.client.store.startup();
    if (this.#session.crypto) await this.needCrypto();
    await this.client.startClient(OPTIONS);
  }

  stop(): void {
    this.client.stopClient();
  }

  /** Loads the crypto module, if it is not there yet. */
  async needCrypto(): Promise<void> {
    this.#crypto ??= this.#loadCrypto();
    await this.#crypto;
  }

  async #loadCrypto(): Promise<void> {
    // A sync that began without it would never hand it the keys that others send.
    const running = this.client.clientRunning;
    if (running) this.client.stopClient();
    await this.client.initRustCrypto();
    if (running) await this.client.startClient(OPTIONS);
  }

  #listen(): void {
    const client = this.client;
    client.on(ClientEvent.Sync, (state, _, data) => this.#synced(state, data?.error));
    client.on(ClientEvent.Room, (room) => this.#touch(room.roomId));
    client.on(ClientEvent.DeleteRoom, () => this.#touchAll());
    client.on(ClientEvent.AccountData, () => this.#touchAll());
    client.on(RoomEvent.Timeline, (event, room, toStart, removed, data) => {
      if (!room) return;
      this.#touch(room.roomId);
      if (data?.liveEvent && !toStart && !removed) this.#arrived(room, event);
    });
    const touch = (_: unknown, room?: Room) => room && this.#touch(room.roomId);
    client.on(RoomEvent.Receipt, touch);
    client.on(RoomEvent.AccountData, touch);
    client.on(RoomEvent.Tags, touch);
    client.on(RoomEvent.Redaction, touch);
    client.on(RoomEvent.MyMembership, (room) => this.#touch(room.roomId));
    client.on(RoomEvent.Name, (room) => this.#touch(room.roomId));
    client.on(RoomMemberEvent.Typing, (_, member) => this.#touch(member.roomId));
    client.on(RoomStateEvent.Events, (event) => this.#touch(event.getRoomId() ?? ""));
    client.on(MatrixEventEvent.Decrypted, (event) => this.#touch(event.getRoomId() ?? ""));
    client.on(MatrixEventEvent.Replaced, (event) => this.#touch(event.getRoomId() ?? ""));
    client.on("Session.logged_out" as never, (() => this.#listener.signedOut()) as never);
  }

  #synced(state: SyncState, error?: Error): void {
    if (state === SyncState.Prepared) this.#touchAll();
    if (state === SyncState.Prepared || state === SyncState.Syncing) this.#listener.connection("online");
    if (state === SyncState.Reconnecting) this.#listener.connection("moving");
    if (state === SyncState.Error) this.#listener.connection("offline");
    if (error instanceof MatrixError && error.errcode === "M_UNKNOWN_TOKEN") this.#listener.signedOut();
  }

  #touch(roomId: string): void {
    this.#dirty.add(roomId);
    this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
  }

  #touchAll(): void {
    for (const room of this.client.getRooms()) this.#touch(room.roomId);
  }

  #flush(): void {
    this.#timer = null;
    const direct = this.client.getAccountData(EventType.Direct)?.getContent() ?? {};
    this.#direct = new Map(Object.entries(direct).flatMap(([user, rooms]) => (Array.isArray(rooms) ? rooms.map((id) => [String(id), user] as const) : [])));
    for (const roomId of this.#dirty) {
      const room = this.client.getRoom(roomId);
      const summary = room ? this.#summary(room) : null;
      if (summary) this.#summaries.set(roomId, summary);
      else this.#summaries.delete(roomId);
      if (room && this.#shown.has(roomId)) this.#listener.timeline(roomId, this.#timeline(room, false));
    }
    this.#dirty.clear();
    this.#listener.rooms([...this.#summaries.values()]);
  }

  #summary(room: Room): RoomSummary | null {
    const membership = room.getMyMembership();
    if (membership !== "join" && membership !== "invite" && membership !== "knock") return null;
    const state = room.getLiveTimeline().getState(EventTimeline.FORWARDS);
    if (room.getType() === "m.space") return null;
    const me = state?.getMember(this.#session.userId);
    const invitedDirect = membership === "invite" && me?.events.member?.getContent().is_direct ? (me.events.member.getSender() ?? null) : null;
    const peer = this.#direct.get(room.roomId) ?? invitedDirect;
    const members = room.getJoinedMemberCount() + room.getInvitedMemberCount();
    const open = room.getJoinRule() === "public" || room.getJoinRule() === "knock";
    const kind: RoomKind = peer === this.#session.userId ? "self" : peer ? "direct" : open ? "open" : "group";
    const last = this.#last(room);
    const pins: unknown = state?.getStateEvents(EventType.RoomPinnedEvents, "")?.getContent().pinned;
    const peerMember = peer ? room.getMember(peer) : null;
    return {
      id: room.roomId,
      name: room.name,
      avatar: room.getMxcAvatarUrl() ?? peerMember?.getMxcAvatarUrl() ?? null,
      kind,
      membership,
      secret: room.hasEncryptionStateEvent(),
      peer,
      inviter: membership === "invite" ? (me?.events.member?.getSender() ?? null) : null,
      members,
      topic: String(state?.getStateEvents(EventType.RoomTopic, "")?.getContent().topic ?? ""),
      lastText: last.preview,
      lastTs: last.ts,
      unread: membership === "invite" ? 1 : (room.getUnreadNotificationCount() ?? 0),
      mentions: room.getUnreadNotificationCount("highlight" as never) ?? 0,
      muted: (this.client.getRoomPushRule("global", room.roomId)?.actions ?? ["x"]).length === 0,
      favourite: FAVOURITE in room.tags,
      archived: ARCHIVED in room.tags,
      pinned: Array.isArray(pins) ? pins.filter((one): one is string => typeof one === "string") : [],
    };
  }

  #last(room: Room): { preview: Preview; ts: number } {
    const events = room.getLiveTimeline().getEvents();
    for (let at = events.length - 1; at >= 0; at--) {
      const event = events[at];
      const message = event && this.#message(room, event);
      if (!message || (message.kind === "system" && message.system?.what === "joined" && at > 0 && events.length < 3)) continue;
      const sender = message.own ? "" : message.senderName;
      const preview: Preview = { kind: message.kind, body: message.body.slice(0, 200), sender };
      if (message.system) preview.system = message.system;
      return { preview, ts: message.ts };
    }
    const ts = events[events.length - 1]?.getTs() ?? room.getMember(this.#session.userId)?.events.member?.getTs() ?? 0;
    return { preview: { kind: "none", body: "", sender: "" }, ts };
  }

  /** Shows this room: its messages are told from now on. */
  async open(roomId: string): Promise<void> {
    const room = this.client.getRoom(roomId);
    if (!room) {
      this.#shown.set(roomId, null);
      return;
    }
    if (room.hasEncryptionStateEvent()) await this.needCrypto();
    this.#shown.set(roomId, room.getEventReadUpTo(this.#session.userId));
    this.#touch(roomId);
    await room.loadMembersIfNeeded();
    this.#touch(roomId);
    if (room.getLiveTimeline().getEvents().length < 30) await this.older(roomId);
  }

  close(roomId: string): void {
    this.#shown.delete(roomId);
  }

  async older(roomId: string): Promise<void> {
    const room = this.client.getRoom(roomId);
    if (!room || this.#isStart(room)) return;
    this.#listener.timeline(roomId, this.#timeline(room, true));
    await this.client.scrollback(room, 60).finally(() => this.#touch(roomId));
  }

  #isStart(room: Room): boolean {
    return room.getLiveTimeline().getPaginationToken(Direction.Backward) === null;
  }

  #timeline(room: Room, loading: boolean): Timeline {
    const events = room.getLiveTimeline().getEvents();
    const places = new Map(events.map((event, at) => [event.getId() ?? "", at]));
    const messages: Message[] = [];
    const where: number[] = [];
    for (const [at, event] of events.entries()) {
      const message = this.#message(room, event);
      if (!message) continue;
      messages.push(message);
      where.push(at);
    }
    const counts = unreadCounts(messages, this.#readers(room, events, places, where));
    const counted = messages.map((message, at) => {
      const unread = message.kind === "system" ? 0 : (counts[at] ?? 0);
      return message.unread === unread ? message : this.#keep(events[where[at] ?? 0], { ...message, unread });
    });
    const me = this.#session.userId;
    const typing = room.getJoinedMembers().filter((member) => member.typing && member.userId !== me).map((member) => member.name);
    return { messages: counted, start: this.#isStart(room), loading, readUpTo: this.#shown.get(room.roomId) ?? null, typing };
  }

  #keep(event: MatrixEvent | undefined, message: Message): Message {
    const known = event && this.#known.get(event);
    if (known) known.message = message;
    return message;
  }

  #readers(room: Room, events: MatrixEvent[], places: Map<string, number>, where: number[]): Reader[] {
    // From a place among the events to one among the messages: how many messages stand at or before it.
    const shown = new Array<number>(events.length).fill(-1);
    let next = 0;
    for (let at = 0; at < events.length; at++) {
      if (where[next] === at) next++;
      shown[at] = next - 1;
    }
    const wrote = new Map(events.map((event, at) => [event.getSender() ?? "", at]));
    return room.getJoinedMembers().map((member) => {
      const receipt = places.get(room.getReadReceiptForUserId(member.userId)?.eventId ?? "") ?? -1;
      const at = Math.max(receipt, wrote.get(member.userId) ?? -1);
      const came = member.events.member;
      // A changed name is a member event too, but no arrival.
      const joinedTs = came && came.getPrevContent().membership !== "join" ? came.getTs() : 0;
      return { id: member.userId, read: at < 0 ? -1 : (shown[at] ?? -1), joinedTs };
    });
  }

  #message(room: Room, event: MatrixEvent): Message | null {
    const id = event.getId();
    if (!id || event.isRelation(RelationType.Replace) || event.isRelation(RelationType.Annotation)) return null;
    const thread = room.getThread(id);
    const given = reactions(room, id, this.#session.userId);
    const sender = event.sender;
    const stamp = [
      event.replacingEventId(), event.isRedacted(), event.getType(), event.isDecryptionFailure(), thread?.length,
      sender?.name, sender?.getMxcAvatarUrl(), given.map((one) => one.key + one.who.length + one.mine).join(),
      event.getType().includes("poll") ? Date.now() : 0,
    ].join("|");
    const known = this.#known.get(event);
    if (known?.stamp === stamp) return known.message;
    const message = this.#build(room, event, id);
    if (!message) return null;
    message.reactions = given;
    if (thread) message.thread = { replies: thread.length, last: String(thread.replyToEvent?.getContent().body ?? "") };
    this.#known.set(event, { stamp, message });
    return message;
  }

  #build(room: Room, event: MatrixEvent, id: string): Message | null {
    const sender = event.getSender() ?? "";
    const me = this.#session.userId;
    const txn = event.getUnsigned().transaction_id;
    const base: Message = {
      id,
      key: typeof txn === "string" ? txn : id,
      sender,
      senderName: event.sender?.name ?? sender,
      senderAvatar: event.sender?.getMxcAvatarUrl() ?? null,
      ts: event.getTs(),
      own: sender === me,
      kind: "text",
      body: "",
      mentionsMe: false,
      replyTo: null,
      thread: null,
      reactions: [],
      edited: event.replacingEventId() !== undefined,
      files: [],
      location: null,
      poll: null,
      system: null,
      unread: 0,
      state: "sent",
    };
    if (event.isState()) {
      const system = note(event);
      return system ? { ...base, kind: "system", system: this.#named(room, system) } : null;
    }
    if (event.isRedacted()) return { ...base, kind: "deleted" };
    const type = event.getType();
    if (type === "m.room.encrypted") return { ...base, kind: "locked" };
    if (type !== "m.room.message" && type !== "m.sticker" && !type.endsWith("poll.start")) return null;
    const content = event.getContent();
    const said = read(type, content);
    const mentions: unknown = content["m.mentions"]?.user_ids;
    const message = { ...base, ...said, mentionsMe: Array.isArray(mentions) && mentions.includes(me) };
    if (said.kind === "poll") message.poll = poll(room, event, me);
    const replied = event.replyEventId;
    if (replied && !event.isRelation("m.thread")) message.replyTo = this.#quoted(room, replied);
    if (replied && typeof message.body === "string") message.body = message.body.replace(/^(> .*\n)+\n?/, "");
    return message;
  }

  #named(room: Room, system: NonNullable<Message["system"]>): NonNullable<Message["system"]> {
    const name = (id: string) => room.getMember(id)?.rawDisplayName || id.replace(/^@/, "").split(":")[0] || id;
    return { ...system, who: name(system.who), ...(system.whom ? { whom: name(system.whom) } : {}) };
  }

  #quoted(room: Room, id: string): Message["replyTo"] {
    const event = room.findEventById(id);
    if (!event) return { id, name: "", text: "" };
    const said = read(event.getType(), event.getContent());
    return { id, name: event.sender?.name ?? "", text: said.body.replace(/^(> .*\n)+\n?/, "").slice(0, 120) || (said.files[0]?.name ?? "") };
  }

  #arrived(room: Room, event: MatrixEvent): void {
    if (event.getSender() === this.#session.userId) return;
    const message = this.#message(room, event);
    if (message && message.kind !== "system") this.#listener.arrived(room.roomId, message);
  }

  /** Sends one message of the outbox. */
  async send(item: OutboxItem): Promise<Sent> {
    const room = this.client.getRoom(item.roomId);
    if (!room) return { retryMs: 2_000 };
    try {
      if (room.hasEncryptionStateEvent()) {
        await this.needCrypto();
        await room.loadMembersIfNeeded();
        for (const old of room.getPendingEvents().filter((one) => one.getTxnId() === item.txn)) this.client.cancelPendingEvent(old);
        const answer = await this.client.sendEvent(item.roomId, item.type as never, item.content as never, item.txn);
        return { eventId: answer.event_id };
      }
      const path = `/rooms/${encodeURIComponent(item.roomId)}/send/${encodeURIComponent(item.type)}/${item.txn}`;
      const answer = await this.client.http.authedRequest<{ event_id: string }>("PUT" as never, path, undefined, item.content);
      return { eventId: answer.event_id };
    } catch (error) {
      return outcome(error);
    }
  }

  async upload(blob: Blob, name: string, onProgress: (part: number) => void): Promise<string> {
    const answer = await this.client.uploadContent(blob, {
      name,
      type: blob.type || "application/octet-stream",
      progressHandler: ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0),
    });
    return answer.content_uri;
  }

  /** Marks everything in this room as read. */
  async markRead(roomId: string, quietly: boolean): Promise<void> {
    const room = this.client.getRoom(roomId);
    const events = room?.getLiveTimeline().getEvents() ?? [];
    const last = events.findLast((event) => !event.status && event.getId()?.startsWith("$"));
    if (!room || !last || room.getEventReadUpTo(this.#session.userId, true) === last.getId()) return;
    await this.client.sendReadReceipt(last, quietly ? ReceiptType.ReadPrivate : ReceiptType.Read, true);
  }

  members(roomId: string): Member[] {
    const room = this.client.getRoom(roomId);
    const levels = room?.getLiveTimeline().getState(EventTimeline.FORWARDS);
    return (room?.getMembers() ?? [])
      .filter((member) => member.membership && member.membership !== "leave")
      .map((member) => {
        const creator = levels?.getStateEvents(EventType.RoomCreate, "")?.getSender() === member.userId;
        const power = Math.min(member.powerLevel, Number.MAX_SAFE_INTEGER);
        const role = creator || power >= 100 ? "owner" : power >= 50 ? "manager" : "member";
        return {
          id: member.userId,
          name: member.name,
          avatar: member.getMxcAvatarUrl() ?? null,
          role,
          power,
          membership: member.membership as Member["membership"],
          readUpTo: room?.getEventReadUpTo(member.userId) ?? null,
        } satisfies Member;
      });
  }

  /** Who has read this message. */
  readers(roomId: string, eventId: string): { read: Member[]; unread: Member[] } {
    const room = this.client.getRoom(roomId);
    const events = room?.getLiveTimeline().getEvents() ?? [];
    const place = (id: string | null | undefined) => events.findIndex((event) => event.getId() === id);
    const at = place(eventId);
    const sender = events[at]?.getSender();
    const others = this.members(roomId).filter((member) => member.membership === "join" && member.id !== sender);
    const has = (member: Member) =>
      Math.max(place(room?.getReadReceiptForUserId(member.id)?.eventId), events.findLastIndex((event) => event.getSender() === member.id)) >= at;
    return { read: others.filter(has), unread: others.filter((member) => !has(member)) };
  }

  async profile(userId: string): Promise<Profile> {
    const found = (await this.client.getProfileInfo(userId)) as Record<string, unknown>;
    const status = found["io.haechi.status"];
    return {
      id: userId,
      name: typeof found.displayname === "string" ? found.displayname : (userId.slice(1).split(":")[0] ?? userId),
      avatar: typeof found.avatar_url === "string" ? found.avatar_url : null,
      status: typeof status === "string" ? status : "",
    };
  }
}

function outcome(error: unknown): Sent {
  if (error instanceof MatrixError) {
    if (error.httpStatus === 429) return { retryMs: Number(error.data.retry_after_ms ?? 2_000) };
    if (error.httpStatus !== undefined && error.httpStatus >= 400 && error.httpStatus < 500) return { refused: error.errcode ?? "M_UNKNOWN" };
  }
  return { retryMs: 3_000 };
}

const kept = new Map<string, Uint8Array<ArrayBuffer>>();

/** The recovery key, held in memory while it is needed. */
export const secrets = {
  getSecretStorageKey: async ({ keys }: { keys: Record<string, unknown> }): Promise<[string, Uint8Array<ArrayBuffer>] | null> => {
    const id = Object.keys(keys).find((one) => kept.has(one));
    const key = id ? kept.get(id) : undefined;
    return id && key ? [id, key] : null;
  },
  cacheSecretStorageKey: (id: string, _: unknown, key: Uint8Array): void => {
    kept.set(id, new Uint8Array(key));
  },
};
