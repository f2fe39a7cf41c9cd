import { EventType, type MatrixEvent, type Room } from "matrix-js-sdk";
import { ALBUM_KEY } from "./names";
import type { MediaFile, Message, MessageKind, Poll, Reaction, SystemNote } from "./types";



export const POLL_START = "org.matrix.msc3381.poll.start";
export const POLL_ANSWER = "org.matrix.msc3381.poll.response";
export const POLL_END = "org.matrix.msc3381.poll.end";

type Content = Record<string, unknown>;

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number | undefined => (typeof value === "number" && Number.isFinite(value) ? value : undefined);
const object = (value: unknown): Content => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Content) : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function file(content: Content): MediaFile | null {
  const encrypted = object(content.file);
  const mxc = text(content.url) || text(encrypted.url);
  if (!mxc.startsWith("mxc://")) return null;
  const info = object(content.info);
  const audio = object(content["org.matrix.msc1767.audio"]);
  const found: MediaFile = {
    mxc,
    name: text(content.filename) || text(content.body) || "file",
    mime: text(info.mimetype) || "application/octet-stream",
    bytes: number(info.size) ?? 0,
  };
  const width = number(info.w);
  const height = number(info.h);
  const durationMs = number(info.duration) ?? number(audio.duration);
  if (width) found.width = width;
  if (height) found.height = height;
  if (durationMs) found.durationMs = durationMs;
  const wave = list(audio.waveform).filter((n): n is number => typeof n === "number");
  if (wave.length > 0) found.waveform = wave.slice(0, 120);
  if (encrypted.url) found.encrypted = encrypted as unknown as MediaFile["encrypted"] & object;
  return found;
}

/** What a message's content says, whoever sent it. Nothing in it is trusted to have the right type. */
export function read(type: string, content: Content): { kind: MessageKind; body: string; files: MediaFile[]; location: Message["location"] } {
  const none = { files: [] as MediaFile[], location: null };
  const one = file(content);
  const files = one ? [one] : [];
  if (type === "m.sticker") return { kind: "sticker", body: text(content.body), files, location: null };
  if (type === POLL_START || type === "m.poll.start") return { kind: "poll", body: question(content), ...none };
  const body = text(content.body);
  switch (content.msgtype) {
    case "m.emote":
      return { kind: "emote", body, ...none };
    case "m.image": {
      const more = list(content[ALBUM_KEY]).map((part) => file(object(part))).filter((part) => part !== null);
      const all = [...files, ...more.slice(0, 29)];
      return { kind: all.length > 1 ? "album" : "image", body: caption(content), files: all, location: null };
    }
    case "m.video":
      return { kind: "video", body: caption(content), files, location: null };
    case "m.audio":
      return { kind: "voice", body, files, location: null };
    case "m.file":
      return { kind: "file", body, files, location: null };
    case "m.location": {
      const geo = text(content.geo_uri).match(/^geo:(-?[\d.]+),(-?[\d.]+)/);
      const location = geo ? { lat: Number(geo[1]), lon: Number(geo[2]) } : null;
      return { kind: "location", body, files: [], location };
    }
    default:
      return { kind: content["io.haechi.contact"] ? "contact" : "text", body, ...none };
  }
}

function caption(content: Content): string {
  const name = text(content.filename);
  return name && name !== content.body ? text(content.body) : "";
}

function question(content: Content): string {
  const start = object(content[POLL_START] ?? content["m.poll"]);
  return text(object(start.question)["org.matrix.msc1767.text"]) || text(object(start.question).body);
}

/** What a state event says to people; null where it says nothing. */
export function note(event: MatrixEvent): SystemNote | null {
  const who = event.getSender() ?? "";
  const content = event.getContent() as Content;
  const before = event.getPrevContent() as Content;
  switch (event.getType()) {
    case EventType.RoomCreate:
      return { what: "created", who };
    case EventType.RoomName:
      return { what: "renamed", who, text: text(content.name) };
    case EventType.RoomTopic:
      return { what: "topic", who, text: text(content.topic) };
    case EventType.RoomAvatar:
      return { what: "picture", who };
    case EventType.RoomEncryption:
      return { what: "secret", who };
    case EventType.RoomPinnedEvents:
      return { what: "pinned", who };
    case EventType.RoomMember:
      return membership(who, event.getStateKey() ?? "", text(content.membership), text(before.membership));
    default:
      return null;
  }
}

function membership(who: string, whom: string, now: string, before: string): SystemNote | null {
  if (now === before) return null;
  if (now === "join") return { what: "joined", who: whom };
  if (now === "invite") return { what: "invited", who, whom };
  if (now === "ban") return { what: "banned", who, whom };
  if (now === "leave" && before === "join") return who === whom ? { what: "left", who } : { what: "kicked", who, whom };
  return null;
}

/** Who gave which reaction. */
export function reactions(room: Room, id: string, me: string): Reaction[] {
  const sorted = room.relations.getChildEventsForEvent(id, "m.annotation", "m.reaction")?.getSortedAnnotationsByKey() ?? [];
  return sorted.map(([key, events]) => {
    const given = [...events].filter((event) => !event.isRedacted());
    const mine = given.find((event) => event.getSender() === me)?.getId() ?? null;
    return { key, who: [...new Set(given.map((event) => event.getSender() ?? ""))], mine };
  }).filter((reaction) => reaction.who.length > 0);
}

/** The poll of this event, counted: the newest answer of each voter before its end. */
export function poll(room: Room, event: MatrixEvent, me: string): Poll {
  const start = object(event.getContent()[POLL_START] ?? event.getContent()["m.poll"]);
  const id = event.getId() ?? "";
  const related = (type: string) => room.relations.getChildEventsForEvent(id, "m.reference", type)?.getRelations() ?? [];
  const ends = related(POLL_END).filter((end) => end.getSender() === event.getSender()).map((end) => end.getTs());
  const end = ends.length > 0 ? Math.min(...ends) : Number.POSITIVE_INFINITY;
  const max = number(start.max_selections) ?? 1;
  const votes = new Map<string, string[]>();
  for (const vote of related(POLL_ANSWER).filter((one) => one.getTs() <= end).sort((a, b) => a.getTs() - b.getTs())) {
    const chosen = list(object(vote.getContent()[POLL_ANSWER]).answers).filter((one): one is string => typeof one === "string");
    votes.set(vote.getSender() ?? "", [...new Set(chosen)].slice(0, max));
  }
  const given = [...votes.values()];
  const answers = list(start.answers).slice(0, 20).map((answer) => {
    const aid = text(object(answer).id);
    return {
      id: aid,
      text: text(object(answer)["org.matrix.msc1767.text"]),
      votes: given.filter((chosen) => chosen.includes(aid)).length,
      mine: votes.get(me)?.includes(aid) ?? false,
    };
  });
  return { question: question(event.getContent()), multiple: max > 1, answers, voters: given.filter((one) => one.length > 0).length, ended: ends.length > 0 };
}
