import type { Found } from "@haechi/chat-core";
import { chats } from "@haechi/viewmodels";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { useValue, useWords, useWorld } from "../context";
import { Avatar, Empty, useTask } from "../parts/basics";
import { Icon } from "../parts/icons";

const NewChat = lazy(() => import("../parts/new-chat"));

export function OpenScreen() {
  const { chat, tr } = useWorld();
  const engine = useValue(chat.engine);
  const mine = chats(useValue(chat.rooms), "all", "").filter((room) => room.kind === "open");
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<Found[]>([]);
  const [creating, setCreating] = useState(false);
  useEffect(() => {
    if (!engine) return;
    const timer = setTimeout(() => void chat.actions.directory(query).then(setFound, () => undefined), query ? 250 : 0);
    return () => clearTimeout(timer);
  }, [engine, query, chat]);
  const others = found.filter((room) => !mine.some((one) => one.id === room.id));
  return (
    <main className="pane list">
      <header className="top">
        <h1>{tr.t("open.title")}</h1>
        <button type="button" className="icon" aria-label={tr.t("open.create")} onClick={() => setCreating(true)}><Icon name="plus" /></button>
      </header>
      <div className="search"><input type="search" aria-label={tr.t("open.search")} placeholder={tr.t("open.search")} value={query} onChange={(event) => setQuery(event.target.value)} /></div>
      <div className="scroll">
        {mine.length > 0 && <h2 className="heading">{tr.t("open.mine")}</h2>}
        {mine.map((room) => (
          <Link key={room.id} className="row" to="/chats/$roomId" params={{ roomId: room.id }}>
            <Avatar mxc={room.avatar} id={room.id} name={room.name} />
            <span className="body"><span className="name"><span>{room.name}</span></span><span className="text">{room.topic || tr.t("room.members", { n: room.members })}</span></span>
            {room.unread > 0 && <span className="badge">{room.unread}</span>}
          </Link>
        ))}
        {others.length > 0 && <h2 className="heading">{tr.t("open.all")}</h2>}
        {others.map((room) => <FoundRow key={room.id} room={room} />)}
        {mine.length + others.length === 0 && <Empty title={tr.t("open.empty")} hint={tr.t("open.emptyHint")}><button type="button" className="button main" onClick={() => setCreating(true)}>{tr.t("open.create")}</button></Empty>}
      </div>
      {creating && <Suspense><NewChat open onClose={() => setCreating(false)} /></Suspense>}
    </main>
  );
}

function FoundRow({ room }: { room: Found }) {
  const { chat, tr } = useWorld();
  const navigate = useNavigate();
  const { busy, error, run } = useTask();
  const words = useWords();
  const enter = () => run(async () => {
    if (room.knock) return chat.actions.knock(room.id);
    const roomId = await chat.actions.join(room.id);
    await navigate({ to: "/chats/$roomId", params: { roomId } });
  });
  return (
    <div className="row">
      <Avatar mxc={room.avatar} id={room.id} name={room.name} />
      <span className="body"><span className="name"><span>{room.name}</span></span><span className="text">{error !== null ? words(error) : room.topic || tr.t("room.members", { n: room.members })}</span></span>
      <button type="button" className="button" disabled={busy} onClick={() => void enter()} aria-label={`${tr.t(room.knock ? "open.knock" : "open.join")}: ${room.name}`}>{tr.t(room.knock ? "open.knock" : "open.join")}</button>
    </div>
  );
}

/** What an invitation link leads to. */
export function JoinLink() {
  const { chat, tr } = useWorld();
  const { roomId } = useParams({ from: "/inside/join/$roomId" });
  const engine = useValue(chat.engine);
  const navigate = useNavigate();
  const { error, run } = useTask();
  const words = useWords();
  const enter = () => run(async () => {
    const joined = await chat.actions.join(roomId);
    await navigate({ to: "/chats/$roomId", params: { roomId: joined }, replace: true });
  });
  return (
    <main className="pane list">
      <Empty title={tr.t("open.title")} hint={roomId}>
        {error !== null && <p className="error" role="alert">{words(error)}</p>}
        <button type="button" className="button main" disabled={!engine} onClick={() => void enter()}>{tr.t("open.join")}</button>
        <button type="button" className="button" disabled={!engine} onClick={() => void run(() => chat.actions.knock(roomId))}>{tr.t("open.knock")}</button>
      </Empty>
    </main>
  );
}
