import type { Message } from "@haechi/chat-core";
import { chats } from "@haechi/viewmodels";
import { useState } from "react";
import { useValue, useWorld } from "../context";
import { Avatar, Dialog, Field } from "./basics";

/** Sends a message on to another chat. */
export default function Forward({ message, onClose }: { message: Message; onClose: () => void }) {
  const { chat, tr } = useWorld();
  const [query, setQuery] = useState("");
  const rooms = chats(useValue(chat.rooms), "all", query).filter((room) => room.membership === "join").slice(0, 30);
  const send = async (roomId: string) => {
    for (const file of message.files) {
      const blob = await chat.media?.blob(file);
      const msgtype = { image: "m.image", album: "m.image", video: "m.video", voice: "m.audio" }[message.kind as string] ?? "m.file";
      const info = { mimetype: file.mime, size: file.bytes, ...(file.width ? { w: file.width, h: file.height } : {}) };
      if (blob) await chat.post(roomId, "m.room.message", { msgtype, body: file.name, filename: file.name, info }, [{ blob, name: file.name }]);
    }
    if (message.files.length === 0) await chat.post(roomId, "m.room.message", { msgtype: "m.text", body: message.body, "m.mentions": {} });
    onClose();
  };
  return (
    <Dialog title={tr.t("room.forward")} onClose={onClose}>
      <Field label={tr.t("chats.search")} type="search" value={query} onChange={(event) => setQuery(event.target.value)} />
      {rooms.map((room) => <button key={room.id} type="button" className="row" onClick={() => void send(room.id)}><Avatar mxc={room.avatar} id={room.peer ?? room.id} name={room.name} size={36} /><span>{room.name}</span></button>)}
    </Dialog>
  );
}
