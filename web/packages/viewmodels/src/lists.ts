import { matches, type RoomSummary } from "@haechi/chat-core";

export type Filter = "all" | "unread" | "groups" | "archived";

/** Chats as the list shows them: invitations, pinned ones, then by the newest message. */
export function chats(rooms: readonly RoomSummary[], filter: Filter, query: string): RoomSummary[] {
  const fits = (room: RoomSummary) => {
    if (query.trim()) return matches(room.name, query) || matches(room.lastText.body, query) || (room.peer !== null && matches(room.peer, query));
    if (filter === "archived") return room.archived;
    if (room.archived) return false;
    if (filter === "unread") return room.unread > 0;
    return filter === "all" || room.kind === "group" || room.kind === "open";
  };
  const rank = (room: RoomSummary) => (room.membership === "invite" ? 2 : room.favourite ? 1 : 0);
  return rooms.filter(fits).sort((a, b) => rank(b) - rank(a) || b.lastTs - a.lastTs || (a.id < b.id ? -1 : 1));
}

/** What the badge of the app shows. */
export function unreadTotal(rooms: readonly RoomSummary[]): number {
  return rooms.filter((room) => !room.muted && !room.archived).reduce((sum, room) => sum + room.unread, 0);
}
