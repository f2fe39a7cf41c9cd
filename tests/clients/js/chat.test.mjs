// Rooms, messages and what belongs to them, with the classic /sync.

import { strict as assert } from "node:assert";
import { test } from "node:test";

import { EventTimeline, NotificationCountType, ReceiptType, RelationType } from "matrix-js-sdk";

import { register, unique, until } from "./person.mjs";

async function two(t, options) {
    return Promise.all([register(t, "alice", options), register(t, "bob", options)]);
}

test("two people chat and see the same order", async (t) => {
    const [alice, bob] = await two(t);
    const roomId = await alice.createRoom([bob], { name: "Tea", topic: "What to drink" });
    for (let n = 0; n < 4; n++) {
        await bob.event(roomId, await alice.say(roomId, `question ${n}`));
        await alice.event(roomId, await bob.say(roomId, `answer ${n}`));
    }
    await bob.message(roomId, "answer 3");
    assert.deepEqual(await alice.texts(roomId), await bob.texts(roomId));
    assert.equal((await bob.room(roomId)).name, "Tea");
});

test("edits, reactions and redactions", async (t) => {
    const [alice, bob] = await two(t);
    const roomId = await alice.createRoom([bob]);
    const eventId = await alice.say(roomId, "helo");
    const seen = await bob.event(roomId, eventId);
    await alice.say(roomId, "* hello", {
        "m.new_content": { msgtype: "m.text", body: "hello" },
        "m.relates_to": { rel_type: RelationType.Replace, event_id: eventId },
    });
    await until(() => seen.replacingEvent() && seen.getContent().body === "hello", "the edit");
    const key = "👍";
    const relation = { rel_type: RelationType.Annotation, event_id: eventId, key };
    const { event_id: reaction } = await bob.client.sendEvent(roomId, "m.reaction", { "m.relates_to": relation });
    const room = await alice.room(roomId);
    const counted = () =>
        room.relations.getChildEventsForEvent(eventId, "m.annotation", "m.reaction")?.getSortedAnnotationsByKey()?.[0];
    await until(() => counted()?.[0] === key && counted()[1].size === 1, "the reaction");
    await bob.client.redactEvent(roomId, reaction);
    await until(() => !counted()?.[1].size, "the reaction to go");
    const { events } = await bob.client.relations(roomId, eventId, null, null);
    assert.equal(events.length, 1);
    await alice.client.redactEvent(roomId, eventId, undefined, { reason: "oops" });
    await until(() => seen.isRedacted(), "the redaction");
});

test("typing, receipts and unread counts", async (t) => {
    const [alice, bob] = await two(t);
    const roomId = await alice.createRoom([bob]);
    const room = await bob.room(roomId);
    const unread = (kind) => room.getRoomUnreadNotificationCount(kind);
    await alice.say(roomId, "one");
    await until(() => unread(NotificationCountType.Total) === 1, "one unread message");
    const mention = { "m.mentions": { user_ids: [bob.id] } };
    const last = await bob.event(roomId, await alice.say(roomId, `${bob.id}: two`, mention));
    await until(() => unread(NotificationCountType.Total) === 2, "two unread messages");
    await until(() => unread(NotificationCountType.Highlight) === 1, "one mention");
    await bob.client.sendTyping(roomId, true, 20_000);
    const hers = await alice.room(roomId);
    await until(() => hers.getMember(bob.id)?.typing, "bob typing");
    await bob.client.sendTyping(roomId, false, 0);
    await until(() => !hers.getMember(bob.id)?.typing, "bob not typing");
    await bob.client.sendReadReceipt(last);
    await until(() => hers.hasUserReadEvent(bob.id, last.getId()), "bob's receipt");
    await until(() => unread(NotificationCountType.Total) === 0, "nothing unread");
    await until(() => unread(NotificationCountType.Highlight) === 0, "no mention");
    await bob.client.setRoomReadMarkers(roomId, last.getId(), last);
    await until(() => room.getAccountData("m.fully_read")?.getContent().event_id === last.getId(), "the read marker");
    const second = await bob.event(roomId, await alice.say(roomId, "three"));
    await until(() => unread(NotificationCountType.Total) === 1, "one unread message again");
    await bob.client.sendReadReceipt(second, ReceiptType.ReadPrivate);
    await until(() => unread(NotificationCountType.Total) === 0, "read in private");
    assert.equal(hers.hasUserReadEvent(bob.id, second.getId()), false);
});

test("threads", async (t) => {
    const [alice, bob] = await two(t);
    const roomId = await alice.createRoom([bob]);
    const rootId = await alice.say(roomId, "root");
    await bob.event(roomId, rootId);
    for (const body of ["first reply", "second reply"]) await bob.reply(roomId, rootId, body);
    const room = await alice.room(roomId);
    const thread = await until(() => room.getThread(rootId), "the thread");
    await until(() => thread.length === 2, "two replies");
    await until(() => thread.replyToEvent?.getContent().body === "second reply", "the newest reply");
    const unread = () => room.getThreadUnreadNotificationCount(rootId, NotificationCountType.Total);
    await until(() => unread() === 2, "two unread replies in the thread");
    assert.equal(room.getRoomUnreadNotificationCount(NotificationCountType.Total), 0);
    await alice.client.sendReadReceipt(thread.replyToEvent);
    await until(() => unread() === 0, "the thread read");
    await room.createThreadsTimelineSets();
    await room.fetchRoomThreads();
    const roots = room.threadsTimelineSets[0].getLiveTimeline().getEvents();
    assert.deepEqual(roots.map((e) => e.getId()), [rootId]);
});

test("polls", async (t) => {
    const [alice, bob] = await two(t);
    const roomId = await alice.createRoom([bob]);
    const text = "org.matrix.msc1767.text";
    const start = "org.matrix.msc3381.poll.start";
    const content = {
        [text]: "Tea or coffee?",
        [start]: {
            kind: "org.matrix.msc3381.poll.disclosed",
            max_selections: 1,
            question: { [text]: "Tea or coffee?" },
            answers: [
                { id: "tea", [text]: "Tea" },
                { id: "coffee", [text]: "Coffee" },
            ],
        },
    };
    const { event_id: pollId } = await alice.client.sendEvent(roomId, start, content);
    await bob.event(roomId, pollId);
    const relation = { rel_type: "m.reference", event_id: pollId };
    await bob.client.sendEvent(roomId, "org.matrix.msc3381.poll.response", {
        "m.relates_to": relation,
        "org.matrix.msc3381.poll.response": { answers: ["tea"] },
    });
    const room = await alice.room(roomId);
    const poll = await until(() => room.polls.get(pollId), "the poll");
    const votes = async () => (await poll.getResponses()).getRelations().length === 1;
    await until(votes, "bob's vote");
    await alice.client.sendEvent(roomId, "org.matrix.msc3381.poll.end", {
        "m.relates_to": relation,
        "org.matrix.msc3381.poll.end": {},
        [text]: "over",
    });
    const his = await until(async () => (await bob.room(roomId)).polls.get(pollId), "the poll at bob's");
    await his.getResponses();
    await until(() => his.isEnded, "the end of the poll");
});

test("history page by page", async (t) => {
    const [alice, bob] = await two(t);
    const roomId = await alice.createRoom([]);
    const ids = [];
    for (let n = 0; n < 45; n++) ids.push(await alice.say(roomId, `message ${n}`));
    await alice.client.invite(roomId, bob.id);
    await bob.room(roomId, "invite");
    await bob.client.joinRoom(roomId);
    const room = await bob.room(roomId);
    const has = () => room.getLiveTimeline().getEvents().filter((e) => e.getType() === "m.room.message").length;
    while (room.getLiveTimeline().getPaginationToken(EventTimeline.BACKWARDS)) await bob.client.scrollback(room, 10);
    assert.equal(has(), 45);
    assert.deepEqual(await bob.texts(roomId), ids.map((_, n) => `message ${n}`));
    const timeline = await bob.client.getEventTimeline(room.getUnfilteredTimelineSet(), ids[20]);
    assert(timeline.getEvents().some((e) => e.getId() === ids[20]));
});

test("a gap in the timeline is filled", async (t) => {
    const [alice, bob] = await two(t);
    const roomId = await alice.createRoom([bob]);
    bob.client.stopClient();
    for (let n = 0; n < 40; n++) await alice.say(roomId, `while away ${n}`);
    await bob.client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true, threadSupport: true });
    await bob.message(roomId, "while away 39");
    const room = await bob.room(roomId);
    const missing = () => !room.getLiveTimeline().getEvents().some((e) => e.getContent().body === "while away 0");
    while (missing() && room.getLiveTimeline().getPaginationToken(EventTimeline.BACKWARDS)) {
        await bob.client.scrollback(room, 30);
    }
    const away = (await bob.texts(roomId)).filter((b) => b.startsWith("while away"));
    assert.deepEqual(away, Array.from({ length: 40 }, (_, n) => `while away ${n}`));
});

test("lazy members are completed", async (t) => {
    const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((n) => register(t, n)));
    const roomId = await alice.createRoom([bob, carol]);
    const room = await alice.room(roomId);
    await room.loadMembersIfNeeded();
    assert.deepEqual(new Set(room.getJoinedMembers().map((m) => m.userId)), new Set([alice.id, bob.id, carol.id]));
});

test("search", async (t) => {
    const alice = await register(t, "alice");
    const roomId = await alice.createRoom([]);
    const word = unique("needle").replaceAll("-", "");
    const eventId = await alice.say(roomId, `a ${word} in the hay`);
    const found = await alice.client.searchRoomEvents({ term: word, filter: { rooms: [roomId] } });
    assert.deepEqual(found.results.map((r) => r.context.getEvent().getId()), [eventId]);
});

test("media", async (t) => {
    const [alice, bob] = await two(t);
    const data = Buffer.from("a small file");
    const { content_uri: uri } = await alice.client.uploadContent(data, { name: "small.txt", type: "text/plain" });
    const url = bob.client.mxcUrlToHttp(uri, undefined, undefined, undefined, false, true, true);
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${bob.client.getAccessToken()}` } });
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), "a small file");
    assert((await bob.client.getMediaConfig(true))["m.upload.size"] > 1_000_000);
});
