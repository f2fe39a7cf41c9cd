// Somebody with a matrix-js-sdk client: registered, started, and cleaned up when the test ends.

import "fake-indexeddb/auto";

import { strict as assert } from "node:assert";
import { randomBytes } from "node:crypto";

import { createClient, ClientEvent, PendingEventOrdering, SyncState } from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.setLevel("silent");

export const PASSWORD = "correct horse battery staple";
const LIMIT_MS = 30_000;
const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, getChild: () => quiet };

export function serverUrl() {
    assert(process.env.HAECHI_URL, "HAECHI_URL must name a running homeserver");
    return process.env.HAECHI_URL;
}

let counter = 0;

/** A name nobody used before. */
export function unique(prefix) {
    return `${prefix}-${randomBytes(4).toString("hex")}-${counter++}`;
}

/** Waits until `find` gives something true, and returns that. */
export async function until(find, what) {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
        const found = await find();
        if (found) return found;
        assert(Date.now() < deadline, `waited in vain for: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

/** The proof of the password, for whatever the server asks it for. */
export function passwordAuth(name, session) {
    return { type: "m.login.password", identifier: { type: "m.id.user", user: name }, password: PASSWORD, session };
}

/** Registers a new account and starts its client; `options` as for `start`. */
export async function register(t, prefix, options = {}) {
    const name = unique(prefix);
    const bare = createClient({ baseUrl: serverUrl(), logger: quiet });
    const account = await bare.registerRequest({ username: name, password: PASSWORD, auth: { type: "m.login.dummy" } });
    return start(t, name, account, options);
}

/** Logs a person in on a further device. */
export async function again(t, person, options = {}) {
    const bare = createClient({ baseUrl: serverUrl(), logger: quiet });
    const account = await bare.loginWithPassword(person.name, PASSWORD);
    return start(t, person.name, account, options);
}

/** Starts the client of an account. `crypto`: with end-to-end encryption; `slidingSync`: makes what replaces /sync. */
async function start(t, name, account, { crypto = false, slidingSync = undefined } = {}) {
    const secrets = new Map();
    const client = createClient({
        baseUrl: serverUrl(),
        userId: account.user_id,
        accessToken: account.access_token,
        deviceId: account.device_id,
        timelineSupport: true,
        logger: quiet,
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => {
                const id = Object.keys(keys).find((k) => secrets.has(k));
                return id ? [id, secrets.get(id)] : null;
            },
            cacheSecretStorageKey: (id, _info, key) => secrets.set(id, key),
        },
    });
    t.after(() => client.stopClient());
    if (crypto) await client.initRustCrypto({ cryptoDatabasePrefix: unique("crypto") });
    let prepared = false;
    client.on(ClientEvent.Sync, (state) => (prepared ||= state === SyncState.Prepared));
    await client.startClient({
        initialSyncLimit: 20,
        lazyLoadMembers: true,
        threadSupport: true,
        disablePresence: true,
        pendingEventOrdering: PendingEventOrdering.Detached,
        pollTimeout: 5_000,
        slidingSync: slidingSync?.(client),
    });
    await until(() => prepared, `${name}: the first sync`);
    return new Person(name, client, secrets);
}

class Person {
    constructor(name, client, secrets) {
        this.name = name;
        this.client = client;
        this.secrets = secrets;
        this.id = client.getSafeUserId();
    }

    /** The room as this client knows it, as soon as it does, with this membership. */
    room(roomId, membership = "join") {
        const find = () => {
            const room = this.client.getRoom(roomId);
            return room?.getMyMembership() === membership && room;
        };
        return until(find, `${this.name}: ${membership} of ${roomId}`);
    }

    /** Makes a room which these others have joined; returns its id once every client has it. */
    async createRoom(others = [], options = {}) {
        const { room_id: roomId } = await this.client.createRoom({
            preset: "private_chat",
            invite: others.map((o) => o.id),
            ...options,
        });
        for (const other of others) {
            await other.room(roomId, "invite");
            await other.client.joinRoom(roomId);
        }
        const joined = others.length + 1;
        for (const one of [this, ...others]) {
            const room = await one.room(roomId);
            await until(() => room.getJoinedMemberCount() === joined, `${one.name}: ${joined} members`);
        }
        return roomId;
    }

    /** Sends a text and returns the event id. */
    async say(roomId, body, content = {}, threadId = null) {
        const sent = await this.client.sendMessage(roomId, threadId, { msgtype: "m.text", body, ...content });
        return sent.event_id;
    }

    /** Sends a reply in a thread. */
    async reply(roomId, threadId, body) {
        await this.say(roomId, body, {}, threadId).catch((e) => {
            // in threads the library does not expect that /sync may be faster than the answer to the sender
            if (!e.message.includes("not a local echo")) throw e;
        });
    }

    /** The event, once this client has it (decrypted, if it came encrypted). */
    async event(roomId, eventId) {
        const room = await this.room(roomId);
        const event = await until(() => room.findEventById(eventId), `${this.name}: event ${eventId}`);
        await until(() => !event.isEncrypted() || event.getClearContent(), `${this.name}: ${eventId} in clear`);
        return event;
    }

    /** The event with this text, once it is there and readable. */
    async message(roomId, body) {
        const room = await this.room(roomId);
        const find = () => room.getLiveTimeline().getEvents().find((e) => e.getContent().body === body);
        return until(find, `${this.name}: the message ${JSON.stringify(body)}`);
    }

    /** The texts of a room's live timeline, in order. */
    async texts(roomId) {
        const room = await this.room(roomId);
        return room
            .getLiveTimeline()
            .getEvents()
            .filter((e) => e.getType() === "m.room.message")
            .map((e) => e.getContent().body);
    }
}
