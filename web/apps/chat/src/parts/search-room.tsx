import { matches, type Message } from "@haechi/chat-core";
import { useState } from "react";
import { useWorld } from "../context";
import { Dialog, Field } from "./basics";

/** Finds messages among those that are loaded, also by initial consonants and by sender. */
export default function SearchRoom({ messages, onPick, onClose }: { messages: Message[]; onPick: (id: string) => void; onClose: () => void }) {
  const { tr } = useWorld();
  const [query, setQuery] = useState("");
  const found = query.trim() ? messages.filter((message) => message.kind !== "system" && (matches(message.body, query) || matches(message.senderName, query) || message.files.some((file) => matches(file.name, query)))).reverse().slice(0, 100) : [];
  return (
    <Dialog title={tr.t("room.search")} onClose={onClose}>
      <Field label={tr.t("room.search")} type="search" value={query} onChange={(event) => setQuery(event.target.value)} />
      <p role="status" className="sr">{tr.number(found.length)}</p>
      {found.map((message) => <button key={message.key} type="button" className="row" onClick={() => onPick(message.id)}><span className="body"><span className="name"><span>{message.senderName}</span><small>{tr.brief(message.ts)}</small></span><span className="text">{message.body || message.files[0]?.name}</span></span></button>)}
      {query.trim() && found.length === 0 && <p>{tr.t("chats.noResult", { query })}</p>}
    </Dialog>
  );
}
