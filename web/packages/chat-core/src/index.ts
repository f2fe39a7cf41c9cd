/** The only package that knows the Matrix SDK. */
export { Actions, type Device, type Found, type Friend, type NewRoom } from "./actions";
export { Refused } from "./account";
export { type Arrival, Chat } from "./chat";
export type { OutboxItem } from "./db";
export type { Engine } from "./engine";
export { find, initial, matches } from "./hangul";
export { freshId, localpart, target, wholeUserId } from "./ids";
export { Media, shrink } from "./media";
export { ALBUM_KEY } from "./names";
export { Observable } from "./observable";
export type * from "./types";
