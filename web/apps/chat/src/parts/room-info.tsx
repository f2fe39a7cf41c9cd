import type { Member, Message, RoomSummary } from "@haechi/chat-core";
import { linked } from "@haechi/viewmodels";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { useWords, useWorld } from "../context";
import { Avatar, Dialog, Field, useTask } from "./basics";
import { FileLine, useMedia } from "./bodies";
import { Icon } from "./icons";

/** Members, roles, invitations, and the drawers of a chat. */
export default function RoomInfo({ room, messages, onClose }: { room: RoomSummary; messages: Message[]; onClose: () => void }) {
  const { chat, tr } = useWorld();
  const { actions } = chat;
  const navigate = useNavigate();
  const members = chat.engine.get()?.members(room.id) ?? [];
  const me = members.find((member) => member.id === actions.me);
  const [id, setId] = useState("");
  const [name, setName] = useState(room.name);
  const [copied, setCopied] = useState(false);
  const { busy, error, run } = useTask();
  const words = useWords();
  const link = `${location.origin}/join/${encodeURIComponent(room.id)}`;
  const leave = () => run(async () => {
    if (!confirm(tr.t("info.leaveSure"))) return;
    await actions.leave(room.id);
    await navigate({ to: "/chats" });
  });
  return (
    <Dialog title={tr.t("info.title")} onClose={onClose}>
      <div className="form">
        {room.topic && <p>{room.topic}</p>}
        {error !== null && <p className="error" role="alert">{words(error)}</p>}
        {me && me.role !== "member" && room.kind !== "direct" && (
          <form className="line" onSubmit={(event) => { event.preventDefault(); void run(() => actions.rename(room.id, name)); }}>
            <Field label={tr.t("create.name")} value={name} onChange={(event) => setName(event.target.value)} />
            <button type="submit" className="button" disabled={busy}>{tr.t("info.rename")}</button>
          </form>
        )}
        {room.kind !== "direct" && room.kind !== "self" && (
          <form className="line" onSubmit={(event) => { event.preventDefault(); void run(() => actions.invite(room.id, id)).then(() => setId("")); }}>
            <Field label={tr.t("info.inviteId")} hint={tr.t("friends.byIdHint")} autoCapitalize="none" value={id} onChange={(event) => setId(event.target.value)} />
            <button type="submit" className="button" disabled={busy || !id.trim()}>{tr.t("info.invite")}</button>
          </form>
        )}
        {room.kind === "open" && <button type="button" className="button" onClick={() => void navigator.clipboard.writeText(link).then(() => setCopied(true))}>{tr.t(copied ? "friends.copied" : "info.link")}</button>}
        <h3>{tr.t("room.members", { n: members.filter((member) => member.membership === "join").length })}</h3>
        {members.filter((member) => member.membership !== "ban").map((member) => <MemberRow key={member.id} room={room} member={member} me={me} />)}
        <Drawers messages={messages} />
        <button type="button" className="button danger" onClick={() => void leave()}>{tr.t("chats.leave")}</button>
      </div>
    </Dialog>
  );
}

function MemberRow({ room, member, me }: { room: RoomSummary; member: Member; me: Member | undefined }) {
  const { chat, tr } = useWorld();
  const { actions } = chat;
  const roles = { owner: "people.roleOwner", manager: "people.roleManager", member: "people.roleMember" } as const;
  const rules = me && me.role !== "member" && (me.role === "owner" ? member.role !== "owner" : member.power < me.power) && member.id !== me.id;
  const act = (key: React.Key) => {
    if (key === "manager") void actions.setManager(room.id, member.id, member.role !== "manager");
    if (key === "admit") void actions.invite(room.id, member.id);
    if (key === "kick") void actions.kick(room.id, member.id);
    if (key === "ban") void actions.ban(room.id, member.id);
  };
  return (
    <div className="line">
      <Avatar mxc={member.avatar} id={member.id} name={member.name} size={36} />
      <span style={{ flex: 1, minWidth: 0 }}>{member.name}<br /><small>{member.membership === "invite" ? tr.t("people.invited") : tr.t(roles[member.role])}</small></span>
      {rules && (
        <MenuTrigger>
          <Button className="icon" aria-label={tr.t("chats.menu", { name: member.name })}><Icon name="more" /></Button>
          <Popover placement="bottom end">
            <Menu className="menu" onAction={act} aria-label={member.name}>
              {member.membership === "knock" ? <MenuItem id="admit">{tr.t("people.admit")}</MenuItem> : <MenuItem id="manager">{tr.t(member.role === "manager" ? "people.makeMember" : "people.makeManager")}</MenuItem>}
              <MenuItem id="kick">{tr.t("people.remove")}</MenuItem>
              <MenuItem id="ban" className="danger">{tr.t("people.ban")}</MenuItem>
            </Menu>
          </Popover>
        </MenuTrigger>
      )}
    </div>
  );
}

function Drawers({ messages }: { messages: Message[] }) {
  const { tr } = useWorld();
  const pictures = messages.filter((message) => message.kind === "image" || message.kind === "album").flatMap((message) => message.files).slice(-24).reverse();
  const files = messages.filter((message) => message.kind === "file").flatMap((message) => message.files).slice(-20).reverse();
  const links = messages.flatMap((message) => linked(message.body)).filter((part) => part.href).slice(-20).reverse();
  return (
    <>
      {pictures.length > 0 && <><h3>{tr.t("room.media")}</h3><div className="album" style={{ width: "100%" }}>{pictures.map((file) => <Small key={file.mxc} mxc={file.mxc} file={file} />)}</div></>}
      {files.length > 0 && <><h3>{tr.t("room.files")}</h3>{files.map((file) => <FileLine key={file.mxc} file={file} />)}</>}
      {/* biome-ignore lint/suspicious/noArrayIndexKey: the same link may be there twice */}
      {links.length > 0 && <><h3>{tr.t("room.links")}</h3>{links.map((part, at) => <a key={at} href={part.href} target="_blank" rel="noopener noreferrer nofollow">{part.text}</a>)}</>}
    </>
  );
}

function Small({ file }: { mxc: string; file: Message["files"][number] }) {
  const url = useMedia(file, 320);
  return url ? <img src={url} alt={file.name} style={{ aspectRatio: 1 }} /> : null;
}
