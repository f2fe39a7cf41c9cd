import type { RoomSummary } from "@haechi/chat-core";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { useWorld } from "../context";
import { Icon } from "./icons";

/** What can be done with a chat from the list. */
export default function ChatMenu({ room, name }: { room: RoomSummary; name: string }) {
  const { chat, tr } = useWorld();
  const { actions } = chat;
  const act = (key: React.Key) => {
    if (key === "favourite") void actions.setTag(room.id, "m.favourite", !room.favourite);
    if (key === "archive") void actions.setTag(room.id, "m.lowpriority", !room.archived);
    if (key === "mute") void actions.mute(room.id, !room.muted);
    if (key === "read") void chat.engine.get()?.markRead(room.id, false);
    if (key === "leave" && confirm(tr.t("info.leaveSure"))) void actions.leave(room.id);
  };
  return (
    <MenuTrigger>
      <Button className="icon more" aria-label={tr.t("chats.menu", { name })}><Icon name="more" /></Button>
      <Popover placement="bottom end">
        <Menu className="menu" onAction={act} aria-label={tr.t("chats.menu", { name })}>
          <MenuItem id="favourite">{tr.t(room.favourite ? "chats.unfavourite" : "chats.favourite")}</MenuItem>
          <MenuItem id="mute">{tr.t(room.muted ? "chats.unmute" : "chats.mute")}</MenuItem>
          <MenuItem id="read">{tr.t("chats.markRead")}</MenuItem>
          <MenuItem id="archive">{tr.t(room.archived ? "chats.unarchive" : "chats.archive")}</MenuItem>
          <MenuItem id="leave" className="danger">{tr.t("chats.leave")}</MenuItem>
        </Menu>
      </Popover>
    </MenuTrigger>
  );
}
