import type { Message, OutboxItem, Session } from "@haechi/chat-core";

/** One line of a conversation as it is drawn. */
export type Row =
  | { kind: "day"; key: string; ts: number }
  | { kind: "here"; key: string }
  | { kind: "start"; key: string }
  | { kind: "message"; key: string; message: Message; first: boolean; stamped: boolean };

const sameMinute = (a: number, b: number) => Math.floor(a / 60_000) === Math.floor(b / 60_000);
const sameDay = (a: number, b: number) => new Date(a).toDateString() === new Date(b).toDateString();

function together(a: Message | undefined, b: Message | undefined): boolean {
  return !!a && !!b && a.sender === b.sender && a.kind !== "system" && b.kind !== "system" && sameMinute(a.ts, b.ts);
}

/** Groups messages by day, sender and minute, and puts the line where reading begins. */
export function rows(messages: readonly Message[], readUpTo: string | null, start: boolean): Row[] {
  const made: Row[] = start ? [{ kind: "start", key: "start" }] : [];
  const read = messages.findIndex((message) => message.id === readUpTo);
  const here = read < 0 ? -1 : messages.findIndex((message, at) => at > read && !message.own && message.kind !== "system");
  for (const [at, message] of messages.entries()) {
    const before = messages[at - 1];
    const newDay = !before || !sameDay(before.ts, message.ts);
    if (newDay) made.push({ kind: "day", key: `day-${new Date(message.ts).toDateString()}`, ts: message.ts });
    if (at === here) made.push({ kind: "here", key: "here" });
    const first = newDay || at === here || !together(before, message);
    made.push({ kind: "message", key: message.key, message, first, stamped: !together(message, messages[at + 1]) });
  }
  return made;
}

/** A message of the outbox as it will look. */
export function pending(item: OutboxItem, session: Session): Message | null {
  if (item.type === "m.reaction" || item.content["m.new_content"] || item.type.endsWith("poll.response") || item.type.endsWith("poll.end")) return null;
  const text = String(item.content.body ?? "");
  const files = (item.files ?? []).map((file) => ({ mxc: file.mxc ?? "", name: file.name, mime: file.blob.type, bytes: file.blob.size, local: file.blob }));
  const kinds: Record<string, Message["kind"]> = { "m.image": files.length > 1 ? "album" : "image", "m.video": "video", "m.audio": "voice", "m.file": "file", "m.location": "location" };
  const kind = item.type === "m.sticker" ? "sticker" : item.type.endsWith("poll.start") ? "text" : (kinds[String(item.content.msgtype)] ?? "text");
  return {
    id: item.eventId ?? item.txn, key: item.txn, sender: session.userId, senderName: "", senderAvatar: null, ts: item.ts, own: true, kind,
    body: kind === "text" ? text : "", mentionsMe: false, replyTo: null, thread: null, reactions: [], edited: false, files,
    location: null, poll: null, system: null, unread: 0, state: item.state,
  };
}

/** The messages of a room with those on their way behind them. */
export function withPending(messages: readonly Message[], outbox: readonly OutboxItem[], roomId: string, session: Session): Message[] {
  const there = new Set(messages.flatMap((message) => [message.id, message.key]));
  const waiting = outbox.filter((item) => item.roomId === roomId && !there.has(item.txn) && !there.has(item.eventId ?? ""));
  return [...messages, ...waiting.map((item) => pending(item, session)).filter((one) => one !== null)];
}
