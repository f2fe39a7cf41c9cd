/** What the rest of the app knows of a chat. Plain data: it can be kept in IndexedDB and compared. */

export interface Session {
  userId: string;
  deviceId: string;
  accessToken: string;
  baseUrl: string;
  /** Has this account met a secret chat, so that the crypto module is worth loading? */
  crypto?: boolean;
}

export interface Operator {
  server_name: string;
  name: string;
  welcome: string;
  base_urls: string[];
  registration: "open" | "token" | "closed";
}

export type RoomKind = "direct" | "group" | "open" | "self";

export interface RoomSummary {
  id: string;
  name: string;
  avatar: string | null;
  kind: RoomKind;
  membership: "join" | "invite" | "knock";
  secret: boolean;
  /** Of a direct chat: the other one. */
  peer: string | null;
  inviter: string | null;
  members: number;
  topic: string;
  lastText: Preview;
  lastTs: number;
  unread: number;
  mentions: number;
  muted: boolean;
  favourite: boolean;
  archived: boolean;
  /** The notice pinned on top. */
  pinned: string[];
}

/** The last message, to be put into words by the reader's language. */
export interface Preview {
  kind: MessageKind;
  body: string;
  sender: string;
  system?: SystemNote;
}

export type MessageKind =
  | "text"
  | "emote"
  | "image"
  | "album"
  | "video"
  | "voice"
  | "file"
  | "location"
  | "contact"
  | "sticker"
  | "poll"
  | "system"
  | "deleted"
  | "locked"
  | "none";

export interface SystemNote {
  what: "created" | "joined" | "left" | "invited" | "kicked" | "banned" | "renamed" | "topic" | "picture" | "secret" | "pinned";
  who: string;
  whom?: string;
  text?: string;
}

export interface MediaFile {
  mxc: string;
  name: string;
  mime: string;
  bytes: number;
  width?: number;
  height?: number;
  durationMs?: number;
  /** Loudness from 0 to 1024, for voice notes. */
  waveform?: number[];
  /** Keys of an encrypted attachment, as `EncryptedFile` of the specification. */
  encrypted?: EncryptedFile;
  /** Not yet uploaded: what the outbox holds. */
  local?: Blob;
}

export interface EncryptedFile {
  url: string;
  key: JsonWebKey;
  iv: string;
  hashes: Record<string, string>;
  v: string;
}

export interface Reaction {
  key: string;
  who: string[];
  /** My own reaction's event, to take it back. */
  mine: string | null;
}

export interface Poll {
  question: string;
  multiple: boolean;
  answers: { id: string; text: string; votes: number; mine: boolean }[];
  voters: number;
  ended: boolean;
}

export type SendState = "queued" | "sending" | "sent" | "failed";

export interface Message {
  id: string;
  /** The same before and after sending, so that the row stays. */
  key: string;
  sender: string;
  senderName: string;
  senderAvatar: string | null;
  ts: number;
  own: boolean;
  kind: MessageKind;
  body: string;
  mentionsMe: boolean;
  replyTo: { id: string; name: string; text: string } | null;
  thread: { replies: number; last: string } | null;
  reactions: Reaction[];
  edited: boolean;
  files: MediaFile[];
  location: { lat: number; lon: number } | null;
  poll: Poll | null;
  system: SystemNote | null;
  /** Members who have not read it. */
  unread: number;
  state: SendState;
}

export interface Timeline {
  messages: Message[];
  /** Is there nothing older? */
  start: boolean;
  loading: boolean;
  /** The last message that had been read when the room was opened. */
  readUpTo: string | null;
  typing: string[];
}

export interface Member {
  id: string;
  name: string;
  avatar: string | null;
  role: "owner" | "manager" | "member";
  power: number;
  membership: "join" | "invite" | "knock" | "ban";
  readUpTo: string | null;
}

export interface Profile {
  id: string;
  name: string;
  avatar: string | null;
  status: string;
}

export type Connection = "starting" | "online" | "moving" | "offline";
