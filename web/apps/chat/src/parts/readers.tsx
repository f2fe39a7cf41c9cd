import type { Member, Message, RoomSummary } from "@haechi/chat-core";
import { useWorld } from "../context";
import { Avatar, Dialog } from "./basics";

/** Who has read a message, and who has not. */
export default function Readers({ room, message, onClose }: { room: RoomSummary; message: Message; onClose: () => void }) {
  const { chat, tr } = useWorld();
  const { read, unread } = chat.engine.get()?.readers(room.id, message.id) ?? { read: [], unread: [] };
  const list = (title: string, members: Member[]) => members.length > 0 && (
    <>
      <h3 className="heading">{title} · {tr.number(members.length)}</h3>
      <ul className="rows">{members.map((member) => <li key={member.id} className="row"><Avatar mxc={member.avatar} id={member.id} name={member.name} size={36} /><span>{member.name}</span></li>)}</ul>
    </>
  );
  return <Dialog title={tr.t("room.readers")} onClose={onClose}>{list(tr.t("people.read"), read)}{list(tr.t("people.unread"), unread)}</Dialog>;
}
