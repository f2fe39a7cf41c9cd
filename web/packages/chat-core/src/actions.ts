/** What people do with rooms and people. Plain calls to the server through the engine's client. */
import type { Chat } from "./chat";
import type { Engine } from "./engine";
import { wholeUserId } from "./ids";
import type { Profile } from "./types";

export interface NewRoom {
  name: string;
  topic: string;
  invite: string[];
  kind: "direct" | "group" | "open";
  secret: boolean;
  knock: boolean;
}

export interface Found {
  id: string;
  alias: string | null;
  name: string;
  topic: string;
  avatar: string | null;
  members: number;
  knock: boolean;
}

export interface Friend {
  id: string;
  name: string;
  avatar: string | null;
  status: string;
  favourite: boolean;
  hidden: boolean;
}

export interface Device {
  id: string;
  name: string;
  seenTs: number;
  own: boolean;
}

const FRIENDS = "io.haechi.friends";

export class Actions {
  readonly #chat: Chat;

  constructor(chat: Chat) {
    this.#chat = chat;
  }

  get #engine(): Engine {
    const engine = this.#chat.engine.get();
    if (!engine) throw new Error("not connected yet");
    return engine;
  }

  get #client() {
    return this.#engine.client;
  }

  get me(): string {
    return this.#chat.session.get()?.userId ?? "";
  }

  get serverName(): string {
    return this.me.slice(this.me.indexOf(":") + 1);
  }

  async createRoom(wish: NewRoom): Promise<string> {
    const invite = wish.invite.map((id) => wholeUserId(id, this.serverName)).filter((id) => id !== this.me);
    const initial: { type: string; state_key: string; content: Record<string, unknown> }[] = [];
    if (wish.secret) {
      this.#chat.needsCrypto();
      await this.#engine.needCrypto();
      initial.push({ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } });
    }
    if (wish.kind === "open" && wish.knock) initial.push({ type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } });
    const presets = { direct: "trusted_private_chat", group: "private_chat", open: "public_chat" } as const;
    const { room_id: roomId } = await this.#client.createRoom({
      preset: presets[wish.kind] as never,
      ...(wish.kind === "open" ? { visibility: "public" as never } : {}),
      ...(wish.name ? { name: wish.name } : {}),
      ...(wish.topic ? { topic: wish.topic } : {}),
      invite,
      is_direct: wish.kind === "direct",
      initial_state: initial,
    });
    if (wish.kind === "direct") await this.#markDirect(roomId, invite[0] ?? this.me);
    return roomId;
  }

  /** The chat with this person; made when there is none. */
  async chatWith(userId: string, secret: boolean): Promise<string> {
    const there = this.#chat.rooms.get().find((room) => room.peer === userId && room.secret === secret && room.membership !== "knock");
    if (there?.membership === "invite") await this.join(there.id);
    if (there) return there.id;
    return this.createRoom({ name: "", topic: "", invite: [userId], kind: "direct", secret, knock: false });
  }

  async #markDirect(roomId: string, userId: string): Promise<void> {
    const direct = { ...(this.#client.getAccountData("m.direct" as never)?.getContent() ?? {}) } as Record<string, string[]>;
    direct[userId] = [...new Set([...(direct[userId] ?? []), roomId])];
    await this.#client.setAccountData("m.direct" as never, direct as never);
  }

  async join(roomIdOrAlias: string): Promise<string> {
    const invited = this.#chat.rooms.get().find((room) => room.id === roomIdOrAlias);
    const room = await this.#client.joinRoom(roomIdOrAlias);
    if (invited?.peer && invited.membership === "invite") await this.#markDirect(room.roomId, invited.peer);
    return room.roomId;
  }

  async knock(roomIdOrAlias: string): Promise<void> {
    await this.#client.knockRoom(roomIdOrAlias);
  }

  async leave(roomId: string): Promise<void> {
    await this.#client.leave(roomId);
    await this.#client.forget(roomId, true).catch(() => undefined);
  }

  async invite(roomId: string, user: string): Promise<void> {
    await this.#client.invite(roomId, wholeUserId(user, this.serverName));
  }

  async kick(roomId: string, userId: string): Promise<void> {
    await this.#client.kick(roomId, userId);
  }

  async ban(roomId: string, userId: string): Promise<void> {
    await this.#client.ban(roomId, userId);
  }

  async setManager(roomId: string, userId: string, manager: boolean): Promise<void> {
    await this.#client.setPowerLevel(roomId, userId, manager ? 50 : 0);
  }

  async rename(roomId: string, name: string): Promise<void> {
    await this.#client.setRoomName(roomId, name);
  }

  async setTag(roomId: string, tag: "m.favourite" | "m.lowpriority", on: boolean): Promise<void> {
    if (on) await this.#client.setRoomTag(roomId, tag, { order: 0.5 });
    else await this.#client.deleteRoomTag(roomId, tag);
  }

  async mute(roomId: string, on: boolean): Promise<void> {
    if (on) await this.#client.addPushRule("global", "room" as never, roomId, { actions: [] } as never);
    else await this.#client.deletePushRule("global", "room" as never, roomId);
  }

  async react(roomId: string, eventId: string, key: string, mine: string | null): Promise<void> {
    if (mine) await this.#client.redactEvent(roomId, mine);
    else await this.#chat.post(roomId, "m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key } });
  }

  async redact(roomId: string, eventId: string): Promise<void> {
    await this.#client.redactEvent(roomId, eventId);
  }

  async report(roomId: string, eventId: string): Promise<void> {
    await this.#client.reportEvent(roomId, eventId, -100, "");
  }

  async pin(roomId: string, eventId: string | null): Promise<void> {
    await this.#client.sendStateEvent(roomId, "m.room.pinned_events" as never, { pinned: eventId ? [eventId] : [] } as never, "");
  }

  async vote(roomId: string, eventId: string, answers: string[]): Promise<void> {
    await this.#chat.post(roomId, "org.matrix.msc3381.poll.response", {
      "m.relates_to": { rel_type: "m.reference", event_id: eventId },
      "org.matrix.msc3381.poll.response": { answers },
    });
  }

  async endPoll(roomId: string, eventId: string): Promise<void> {
    await this.#chat.post(roomId, "org.matrix.msc3381.poll.end", {
      "m.relates_to": { rel_type: "m.reference", event_id: eventId },
      "org.matrix.msc3381.poll.end": {},
      body: "The poll has ended.",
    });
  }

  async typing(roomId: string, on: boolean): Promise<void> {
    await this.#client.sendTyping(roomId, on, 8_000).catch(() => undefined);
  }

  async directory(query: string): Promise<Found[]> {
    const found = await this.#client.publicRooms({ limit: 50, ...(query ? { filter: { generic_search_term: query } } : {}) } as never);
    return found.chunk.map((room) => ({
      id: room.room_id,
      alias: room.canonical_alias ?? null,
      name: room.name ?? room.canonical_alias ?? room.room_id,
      topic: room.topic ?? "",
      avatar: room.avatar_url ?? null,
      members: room.num_joined_members,
      knock: String(room.join_rule) === "knock",
    }));
  }

  async profile(user: string): Promise<Profile> {
    return this.#engine.profile(wholeUserId(user, this.serverName));
  }

  async setProfile(change: { name?: string; status?: string; picture?: Blob }): Promise<void> {
    if (change.name !== undefined) await this.#client.setDisplayName(change.name);
    if (change.picture) await this.#client.setAvatarUrl(await this.#engine.upload(change.picture, "me", () => undefined));
    if (change.status !== undefined) {
      const path = `/profile/${encodeURIComponent(this.me)}/io.haechi.status`;
      await this.#client.http.authedRequest("PUT" as never, path, undefined, { "io.haechi.status": change.status });
    }
  }

  friends(): Friend[] {
    const kept = this.#chat.engine.get()?.client.getAccountData(FRIENDS as never)?.getContent() as { friends?: Record<string, Omit<Friend, "id">> } | undefined;
    return Object.entries(kept?.friends ?? {}).map(([id, friend]) => ({
      id,
      name: String(friend.name ?? id),
      avatar: typeof friend.avatar === "string" ? friend.avatar : null,
      status: String(friend.status ?? ""),
      favourite: friend.favourite === true,
      hidden: friend.hidden === true,
    }));
  }

  async keepFriend(friend: Friend): Promise<void> {
    await this.#setFriends([...this.friends().filter((one) => one.id !== friend.id), friend]);
  }

  async dropFriend(id: string): Promise<void> {
    await this.#setFriends(this.friends().filter((one) => one.id !== id));
  }

  async #setFriends(friends: Friend[]): Promise<void> {
    const kept = Object.fromEntries(friends.map(({ id, ...friend }) => [id, friend]));
    await this.#client.setAccountData(FRIENDS as never, { friends: kept } as never);
  }

  blocked(): string[] {
    return this.#chat.engine.get()?.client.getIgnoredUsers() ?? [];
  }

  async block(userId: string, on: boolean): Promise<void> {
    const rest = this.blocked().filter((id) => id !== userId);
    await this.#client.setIgnoredUsers(on ? [...rest, userId] : rest);
  }

  async devices(): Promise<Device[]> {
    const { devices } = await this.#client.getDevices();
    const own = this.#chat.session.get()?.deviceId;
    return devices.map((device) => ({ id: device.device_id, name: device.display_name ?? device.device_id, seenTs: device.last_seen_ts ?? 0, own: device.device_id === own }));
  }

  async removeDevice(id: string, password: string): Promise<void> {
    await this.#withPassword(password, (auth) => this.#client.deleteDevice(id, auth as never));
  }

  async deleteAccount(password: string): Promise<void> {
    await this.#withPassword(password, (auth) => this.#client.deactivateAccount(auth as never, true));
    await this.#chat.forget();
  }

  /** Asks, and asks again with the password when the server wants it. */
  async #withPassword(password: string, ask: (auth: unknown) => Promise<unknown>): Promise<void> {
    try {
      await ask(undefined);
    } catch (error) {
      const data = (error as { data?: { session?: string; flows?: unknown } }).data;
      if (!data?.flows) throw error;
      await ask({ type: "m.login.password", identifier: { type: "m.id.user", user: this.me }, password, session: data.session });
    }
  }

  async setKeyword(word: string, on: boolean): Promise<void> {
    if (on) await this.#client.addPushRule("global", "content" as never, word, { pattern: word, actions: ["notify", { set_tweak: "highlight" }] } as never);
    else await this.#client.deletePushRule("global", "content" as never, word);
  }

  keywords(): string[] {
    const rules = this.#chat.engine.get()?.client.pushRules?.global.content ?? [];
    return rules.filter((rule) => !rule.rule_id.startsWith(".")).map((rule) => rule.rule_id);
  }

  /** Makes a recovery key, and with it the backup of secret chats. */
  async makeRecoveryKey(password: string): Promise<string> {
    this.#chat.needsCrypto();
    await this.#engine.needCrypto();
    const crypto = this.#client.getCrypto();
    if (!crypto) throw new Error("no encryption here");
    const key = await crypto.createRecoveryKeyFromPassphrase();
    await crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (ask) => {
        await this.#withPassword(password, (auth) => ask((auth ?? null) as never) as Promise<unknown>);
      },
    });
    await crypto.bootstrapSecretStorage({ createSecretStorageKey: async () => key, setupNewKeyBackup: true, setupNewSecretStorage: true });
    return key.encodedPrivateKey ?? "";
  }

  /** All that the server keeps of me, as one file. */
  async exportData(): Promise<Blob> {
    const client = this.#client;
    const rooms = client.getRooms().map((room) => ({
      id: room.roomId,
      name: room.name,
      messages: room.getLiveTimeline().getEvents().map((event) => event.getEffectiveEvent()),
    }));
    const data = { user: this.me, profile: await this.profile(this.me), friends: this.friends(), blocked: this.blocked(), devices: await this.devices(), rooms };
    return new Blob([JSON.stringify(data, null, 2)], { type: "application/json" });
  }
}
