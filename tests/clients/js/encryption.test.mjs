// End-to-end encryption with the Rust crypto of matrix-js-sdk: cross-signing, secret storage, key backup, verification.

import { strict as assert } from "node:assert";
import { test } from "node:test";

import { CryptoEvent, VerificationPhase, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";

import { again, passwordAuth, register, until } from "./person.mjs";

const ENCRYPTED = [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }];

async function secretive(t, name) {
    return register(t, name, { crypto: true });
}

/** Makes cross-signing keys, secret storage and a key backup, as Element does for a new account. */
async function bootstrap(person) {
    const crypto = person.client.getCrypto();
    await crypto.bootstrapCrossSigning({
        authUploadDeviceSigningKeys: async (request) => {
            try {
                await request(null);
            } catch (e) {
                await request(passwordAuth(person.name, e.data.session));
            }
        },
    });
    const key = await crypto.createRecoveryKeyFromPassphrase();
    await crypto.bootstrapSecretStorage({ createSecretStorageKey: async () => key, setupNewKeyBackup: true });
    await until(() => crypto.getActiveSessionBackupVersion(), `${person.name}: the key backup`);
    return key;
}

test("an encrypted room, both ways", async (t) => {
    const [alice, bob] = await Promise.all([secretive(t, "alice"), secretive(t, "bob")]);
    const roomId = await alice.createRoom([bob], { initial_state: ENCRYPTED });
    for (let n = 0; n < 3; n++) {
        const his = await bob.event(roomId, await alice.say(roomId, `secret ${n}`));
        await until(() => his.getContent().body === `secret ${n}`, "the text at bob's");
        assert(his.isEncrypted());
        const hers = await alice.event(roomId, await bob.say(roomId, `answer ${n}`));
        await until(() => hers.getContent().body === `answer ${n}`, "the text at alice's");
    }
    const raw = await alice.client.fetchRoomEvent(roomId, (await bob.message(roomId, "secret 0")).getId());
    assert.equal(raw.type, "m.room.encrypted");
});

test("edits, reactions and replies in an encrypted room", async (t) => {
    const [alice, bob] = await Promise.all([secretive(t, "alice"), secretive(t, "bob")]);
    const roomId = await alice.createRoom([bob], { initial_state: ENCRYPTED });
    const eventId = await alice.say(roomId, "helo");
    const seen = await bob.event(roomId, eventId);
    await until(() => seen.getContent().body === "helo", "the text");
    await alice.say(roomId, "* hello", {
        "m.new_content": { msgtype: "m.text", body: "hello" },
        "m.relates_to": { rel_type: "m.replace", event_id: eventId },
    });
    await until(() => seen.getContent().body === "hello", "the edit");
});

test("a new device reads old messages from the key backup", async (t) => {
    const [alice, bob] = await Promise.all([secretive(t, "alice"), secretive(t, "bob")]);
    const key = await bootstrap(alice);
    const roomId = await alice.createRoom([bob], { initial_state: ENCRYPTED });
    const eventIds = [await alice.say(roomId, "kept one"), await alice.say(roomId, "kept two")];
    await bob.event(roomId, eventIds[1]);
    // straight from the server: the crypto layer keeps what it once heard
    const backedUp = async () => (await alice.client.http.authedRequest("GET", "/room_keys/version")).count >= 1;
    await until(backedUp, "a key in the backup");

    const phone = await again(t, alice, { crypto: true });
    const phoneCrypto = phone.client.getCrypto();
    const [keyId] = await phone.client.secretStorage.getKey();
    phone.secrets.set(keyId, key.privateKey);
    await until(() => phoneCrypto.userHasCrossSigningKeys(alice.id, true), "the cross-signing keys");
    await phoneCrypto.bootstrapCrossSigning({});
    await phoneCrypto.loadSessionBackupPrivateKeyFromSecretStorage();
    assert(await phoneCrypto.checkKeyBackupAndEnable());
    const restored = await phoneCrypto.restoreKeyBackup();
    assert(restored.imported >= 1, `${restored.imported} of ${restored.total} keys restored`);
    for (const [n, body] of ["kept one", "kept two"].entries()) {
        const event = await phone.event(roomId, eventIds[n]);
        await until(() => event.getContent().body === body, `${body} on the new device`);
    }
    assert(await phoneCrypto.isCrossSigningReady());
    assert(await phoneCrypto.isSecretStorageReady());
    const own = await phoneCrypto.getDeviceVerificationStatus(alice.id, phone.client.getDeviceId());
    assert(own.signedByOwner, "the new device must be signed by its owner");
});

/** Runs a verification by comparing emoji, from a request to the end on both sides. */
async function compareEmoji(one, other, request) {
    const theirs = await until(() => other.requests[0], "the request");
    await theirs.accept();
    await until(() => request.phase === VerificationPhase.Ready, "the request accepted");
    const verifier = await request.startVerification("m.sas.v1");
    const second = await until(() => theirs.verifier, "the verification at the other side");
    const shown = (v) => new Promise((resolve) => v.once(VerifierEvent.ShowSas, resolve));
    const both = Promise.all([shown(verifier), shown(second)]);
    const ends = Promise.all([verifier.verify(), second.verify()]);
    const [mine, his] = await both;
    assert.deepEqual(mine.sas.emoji, his.sas.emoji);
    await Promise.all([mine.confirm(), his.confirm()]);
    await ends;
    await until(() => request.phase === VerificationPhase.Done, "the end of the verification");
    await until(() => theirs.phase === VerificationPhase.Done, "the end at the other side");
}

function collectRequests(person) {
    person.requests = [];
    person.client.on(CryptoEvent.VerificationRequestReceived, (request) => person.requests.push(request));
    return person;
}

test("two devices of one person verify each other", async (t) => {
    const alice = collectRequests(await secretive(t, "alice"));
    await bootstrap(alice);
    const phone = await again(t, alice, { crypto: true });
    const crypto = phone.client.getCrypto();
    await until(() => crypto.userHasCrossSigningKeys(alice.id, true), "the cross-signing keys");
    await compareEmoji(phone, alice, await crypto.requestOwnUserVerification());
    const trusted = async () =>
        (await alice.client.getCrypto().getDeviceVerificationStatus(alice.id, phone.client.getDeviceId()))
            ?.crossSigningVerified;
    await until(trusted, "the phone trusted by the other device");
    // the secrets come over to-device messages once the devices trust each other
    await until(() => crypto.isCrossSigningReady(), "the phone able to sign");
});

test("two people verify each other in a room", async (t) => {
    const [alice, bob] = [collectRequests(await secretive(t, "alice")), collectRequests(await secretive(t, "bob"))];
    await Promise.all([bootstrap(alice), bootstrap(bob)]);
    const roomId = await alice.createRoom([bob], { initial_state: ENCRYPTED, is_direct: true });
    await bob.event(roomId, await alice.say(roomId, "who are you?"));
    const crypto = alice.client.getCrypto();
    await until(() => crypto.userHasCrossSigningKeys(bob.id, true), "bob's keys");
    await compareEmoji(alice, bob, await crypto.requestVerificationDM(bob.id, roomId));
    const verified = async () => (await crypto.getUserVerificationStatus(bob.id)).isCrossSigningVerified();
    await until(verified, "bob verified");
});

test("a dehydrated device keeps messages for later", async (t) => {
    const alice = await secretive(t, "alice");
    await bootstrap(alice);
    const crypto = alice.client.getCrypto();
    if (!(await crypto.isDehydrationSupported())) {
        t.skip("the server has no dehydrated devices");
        return;
    }
    await crypto.startDehydration();
    const dehydrated = async () => {
        const devices = (await crypto.getUserDeviceInfo([alice.id], true)).get(alice.id);
        return [...devices.values()].some((d) => d.dehydrated);
    };
    await until(dehydrated, "the dehydrated device");
});
