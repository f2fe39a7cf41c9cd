import type { Message, RoomSummary } from "@haechi/chat-core";
import { expect, test } from "vitest";
import { chats, isBigEmoji, linked, rows, sends, textContent, unreadTotal } from "./index";

const message = (id: string, sender: string, ts: number, own = false) =>
  ({ id, key: id, sender, ts, own, kind: "text", name: sender }) as unknown as Message;
const room = (name: string, more: Partial<RoomSummary> = {}) =>
  ({ id: name, name, kind: "group", membership: "join", unread: 0, lastTs: 0, lastText: { kind: "text", body: "", sender: "" }, archived: false, favourite: false, muted: false, peer: null, ...more }) as RoomSummary;

test("messages of one sender in one minute stand together; the time is at the last", () => {
  const made = rows([message("1", "a", 60_000), message("2", "a", 61_000), message("3", "b", 62_000)], null, false);
  const shown = made.flatMap((row) => (row.kind === "message" ? [[row.first, row.stamped]] : []));
  expect(shown).toEqual([[true, false], [false, true], [true, true]]);
});

test("the line stands before the first message of others that was not read", () => {
  const made = rows([message("1", "a", 1), message("2", "me", 2, true), message("3", "a", 3)], "1", false);
  expect(made.map((row) => row.key)).toEqual([expect.stringContaining("day"), "1", "2", "here", "3"]);
});

test("invitations first, then pinned, then the newest; archived ones only in their drawer", () => {
  const all = [room("old", { lastTs: 1 }), room("new", { lastTs: 2 }), room("pin", { favourite: true }), room("in", { membership: "invite" }), room("gone", { archived: true })];
  expect(chats(all, "all", "").map((one) => one.name)).toEqual(["in", "pin", "new", "old"]);
  expect(chats(all, "archived", "").map((one) => one.name)).toEqual(["gone"]);
});

test("initial consonants find a chat", () => {
  expect(chats([room("홍길동"), room("김미나")], "all", "ㅎㄱㄷ").map((one) => one.name)).toEqual(["홍길동"]);
});

test("muted chats do not count in the badge", () => {
  expect(unreadTotal([room("a", { unread: 2 }), room("b", { unread: 5, muted: true })])).toBe(2);
});

test("Enter does not send while a syllable is being composed", () => {
  expect(sends({ key: "Enter", shiftKey: false, isComposing: true, keyCode: 229 })).toBe(false);
  expect(sends({ key: "Enter", shiftKey: false, isComposing: false, keyCode: 229 })).toBe(false);
  expect(sends({ key: "Enter", shiftKey: false, isComposing: false, keyCode: 13 })).toBe(true);
});

test("only http addresses become links", () => {
  expect(linked("see https://a.example/x. javascript:alert(1)")).toEqual([
    { text: "see " }, { text: "https://a.example/x", href: "https://a.example/x" }, { text: ". javascript:alert(1)" },
  ]);
});

test("a few emoji alone are drawn large", () => {
  expect(isBigEmoji("👍🏽")).toBe(true);
  expect(isBigEmoji("ok 👍")).toBe(false);
});

test("a reply names whom it answers", () => {
  const content = textContent("yes", message("$1", "@a:x", 1), []);
  expect(content).toMatchObject({ "m.mentions": { user_ids: ["@a:x"] }, "m.relates_to": { "m.in_reply_to": { event_id: "$1" } } });
});
