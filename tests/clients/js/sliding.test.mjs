// Simplified sliding sync, in the form that matrix-js-sdk speaks.

import { strict as assert } from "node:assert";
import { test } from "node:test";

import { SlidingSync, SlidingSyncEvent } from "matrix-js-sdk/lib/sliding-sync.js";

import { register, until } from "./person.mjs";

const SUBSCRIPTION = { timeline_limit: 20, required_state: [["*", "*"]] };
const LIST = {
    ranges: [[0, 19]],
    timeline_limit: 1,
    required_state: [
        ["m.room.name", ""],
        ["m.room.create", ""],
        ["m.room.member", "$ME"],
        ["m.room.encryption", ""],
    ],
};

function sliding(holder, list = LIST) {
    return (client) => {
        holder.sync = new SlidingSync(client.baseUrl, new Map([["all", { ...list }]]), SUBSCRIPTION, client, 5_000);
        return holder.sync;
    };
}

async function slider(t, name, options = {}) {
    const holder = {};
    const person = await register(t, name, { ...options, slidingSync: sliding(holder) });
    person.sliding = holder.sync;
    return person;
}

test("rooms, messages and counts come by sliding sync", async (t) => {
    const [alice, bob] = await Promise.all([slider(t, "alice"), register(t, "bob")]);
    const { room_id: roomId } = await bob.client.createRoom({ preset: "private_chat", invite: [alice.id], name: "Sliding" });
    const invited = await alice.room(roomId, "invite");
    assert(invited);
    await alice.client.joinRoom(roomId);
    const room = await alice.room(roomId);
    await until(() => room.name === "Sliding", "the name");
    await until(() => alice.sliding.getListData("all")?.joinedCount === 1, "one room in the list");
    alice.sliding.modifyRoomSubscriptions(new Set([roomId]));
    await alice.event(roomId, await bob.say(roomId, "hello by sliding sync"));
    await bob.event(roomId, await alice.say(roomId, "hello back"));
    const event = await alice.message(roomId, "hello by sliding sync");
    await bob.client.sendTyping(roomId, true, 20_000);
    await until(() => room.getMember(bob.id)?.typing, "bob typing");
    await bob.client.sendReadReceipt(await bob.message(roomId, "hello back"));
    await until(() => room.getReadReceiptForUserId(bob.id), "bob's receipt");
    await alice.client.setAccountData("org.example.setting", { dark: true });
    await until(() => alice.client.getAccountData("org.example.setting")?.getContent().dark, "the account data");
    await alice.client.sendReadReceipt(event);
});

test("a window over many rooms", async (t) => {
    const alice = await register(t, "alice");
    const ids = [];
    for (let n = 0; n < 25; n++) {
        const { room_id: roomId } = await alice.client.createRoom({ name: `Room ${n}` });
        await alice.say(roomId, `in room ${n}`);
        ids.push(roomId);
    }
    const rooms = new Map();
    const sync = new SlidingSync(alice.client.baseUrl, new Map([["all", { ...LIST, ranges: [[0, 9]] }]]), SUBSCRIPTION, alice.client, 2_000);
    t.after(() => sync.stop());
    sync.on(SlidingSyncEvent.RoomData, (roomId, data) => rooms.set(roomId, data));
    sync.start();
    await until(() => sync.getListData("all")?.joinedCount === 25, "25 rooms in the list");
    await until(() => rooms.size >= 10, "the first ten rooms");
    assert.deepEqual(new Set(rooms.keys()), new Set(ids.slice(-10)), "the ten rooms with the newest messages");
    assert.equal(rooms.get(ids[24]).timeline.at(-1).content.body, "in room 24");
    sync.setListRanges("all", [[0, 24]]);
    await until(() => rooms.size === 25, "all rooms");
    await alice.say(ids[0], "awake again");
    await until(() => rooms.get(ids[0]).timeline?.at(-1)?.content.body === "awake again", "the old room's new message");
});

test("an encrypted room by sliding sync", async (t) => {
    const [alice, bob] = await Promise.all([slider(t, "alice", { crypto: true }), register(t, "bob", { crypto: true })]);
    const encrypted = [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }];
    const options = { preset: "private_chat", invite: [alice.id], name: "Secret", initial_state: encrypted };
    const { room_id: roomId } = await bob.client.createRoom(options);
    await alice.room(roomId, "invite");
    await alice.client.joinRoom(roomId);
    alice.sliding.modifyRoomSubscriptions(new Set([roomId]));
    const his = await bob.room(roomId);
    await until(() => his.getJoinedMemberCount() === 2, "alice at bob's");
    const eventId = await bob.say(roomId, "a secret by sliding sync");
    const event = await alice.event(roomId, eventId);
    await until(() => event.getContent().body === "a secret by sliding sync", "the text");
    const room = await alice.room(roomId);
    await until(() => room.hasEncryptionStateEvent(), "the encryption of the room");
    const back = await bob.event(roomId, await alice.say(roomId, "a secret back"));
    await until(() => back.getContent().body === "a secret back", "the text at bob's");
});
