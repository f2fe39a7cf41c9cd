// Obeys commands, one JSON object a line: {"do": "say", "room": "!…", "body": "hi"}. Each is answered by one line,
// {"ok": …} or {"error": "…"}, so that another program can let this client chat with others.

import { createInterface } from "node:readline";

import { register, until } from "./person.mjs";

// standard output is for answers only
for (const level of ["log", "info", "debug", "warn"]) console[level] = () => {};

let person;

const commands = {
    async register({ name }) {
        person = await register({ after() {} }, name, { crypto: true });
        return person.id;
    },
    async join({ room }) {
        await person.room(room, "invite");
        await person.client.joinRoom(room);
    },
    async ready({ room, members, encrypted }) {
        const joined = await person.room(room);
        await until(() => joined.getJoinedMemberCount() === members, `${members} members`);
        await until(() => joined.hasEncryptionStateEvent() === encrypted, "the room's encryption");
        await joined.loadMembersIfNeeded();
    },
    async say({ room, body }) {
        return person.say(room, body);
    },
    async hear({ room, body }) {
        await person.message(room, body);
    },
    async texts({ room }) {
        return person.texts(room);
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    let answer;
    try {
        answer = { ok: (await commands[command.do](command)) ?? null };
    } catch (e) {
        answer = { error: e.message };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
