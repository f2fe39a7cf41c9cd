import "@haechi/ui/room.css";
import type { Message, RoomSummary } from "@haechi/chat-core";
import { withPending } from "@haechi/viewmodels";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { useValue, useWords, useWorld } from "../context";
import { Avatar, Empty, useTask } from "../parts/basics";
import { Composer } from "../parts/composer";
import { Icon } from "../parts/icons";
import { Log } from "../parts/log";

const RoomInfo = lazy(() => import("../parts/room-info"));
const Viewer = lazy(() => import("../parts/viewer"));
const Readers = lazy(() => import("../parts/readers"));
const Forward = lazy(() => import("../parts/forward"));
const SearchRoom = lazy(() => import("../parts/search-room"));

export function RoomScreen() {
  const { chat, tr } = useWorld();
  const { roomId } = useParams({ from: "/inside/chats/$roomId" });
  const rooms = useValue(chat.rooms);
  const fresh = useValue(chat.fresh);
  const room = rooms.find((one) => one.id === roomId);
  if (!room) return <section className="side">{fresh ? <Empty title={tr.t("room.gone")}><Link className="button" to="/chats">{tr.t("room.back")}</Link></Empty> : <div className="empty" role="status">{tr.t("app.loading")}</div>}</section>;
  if (room.membership !== "join") return <Invitation room={room} />;
  return <Conversation key={roomId} room={room} />;
}

function Invitation({ room }: { room: RoomSummary }) {
  const { chat, tr } = useWorld();
  const navigate = useNavigate();
  const { busy, error, run } = useTask();
  const words = useWords();
  const no = () => run(async () => {
    await chat.actions.leave(room.id);
    await navigate({ to: "/chats" });
  });
  return (
    <section className="side">
      <Empty title={room.name} hint={room.membership === "knock" ? tr.t("room.knocking") : tr.t("room.invite", { who: room.inviter ?? "" })}>
        {error !== null && <p className="error" role="alert">{words(error)}</p>}
        <div className="line">
          {room.membership === "invite" && <button type="button" className="button main" disabled={busy} onClick={() => void run(() => chat.actions.join(room.id))}>{tr.t("room.accept")}</button>}
          <button type="button" className="button" disabled={busy} onClick={() => void no()}>{tr.t("room.decline")}</button>
        </div>
        <Link to="/chats">{tr.t("room.back")}</Link>
      </Empty>
    </section>
  );
}

/** What lies over the conversation. */
export type Overlay =
  | { kind: "info" }
  | { kind: "search" }
  | { kind: "viewer"; message: Message; at: number }
  | { kind: "readers"; message: Message }
  | { kind: "forward"; message: Message };

function Conversation({ room }: { room: RoomSummary }) {
  const { chat, tr, prefs } = useWorld();
  const timeline = useValue(chat.timeline(room.id));
  const outbox = useValue(chat.outbox);
  const session = useValue(chat.session);
  const [reply, setReply] = useState<Message | null>(null);
  const [edit, setEdit] = useState<Message | null>(null);
  const [overlay, setOverlay] = useState<Overlay | null>(null);
  const [goal, setGoal] = useState<string | null>(null);
  const messages = session ? withPending(timeline.messages, outbox, room.id, session) : timeline.messages;
  const newest = messages[messages.length - 1]?.id;
  const name = room.kind === "self" ? tr.t("chats.self") : room.name;

  useEffect(() => () => chat.leaveScreen(room.id), [chat, room.id]);
  useEffect(() => {
    const seen = () => {
      if (newest && document.visibilityState === "visible") void chat.engine.get()?.markRead(room.id, prefs.quietRead).catch(() => undefined);
    };
    seen();
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  }, [chat, room.id, newest, prefs.quietRead]);

  const close = () => setOverlay(null);
  const notice = messages.find((message) => message.id === room.pinned[room.pinned.length - 1]);
  return (
    <section className="side">
      <div className="room">
        <header>
          <Link to="/chats" className="icon back" aria-label={tr.t("room.back")}><Icon name="back" /></Link>
          <Avatar mxc={room.avatar} id={room.peer ?? room.id} name={name} size={40} />
          <div className="who">
            <h1>{name}</h1>
            <p>{room.secret && <><Icon name="lock" size={12} /> {tr.t("room.secret")} · </>}{room.kind === "direct" ? room.peer : tr.t("room.members", { n: room.members })}</p>
          </div>
          <button type="button" className="icon" aria-label={tr.t("room.search")} onClick={() => setOverlay({ kind: "search" })}><Icon name="search" /></button>
          <button type="button" className="icon" aria-label={tr.t("room.info")} onClick={() => setOverlay({ kind: "info" })}><Icon name="info" /></button>
        </header>
        {notice && <button type="button" className="notice" onClick={() => setGoal(notice.id)}><Icon name="bell" size={18} /><span>{notice.body}</span></button>}
        <Log room={room} timeline={timeline} messages={messages} goal={goal} onGoal={setGoal} onReply={setReply} onEdit={(message) => { setReply(null); setEdit(message); }} onOverlay={setOverlay} />
        <Composer key={edit?.id ?? "new"} room={room} reply={reply} edit={edit} onDone={() => { setReply(null); setEdit(null); }} />
        <Suspense>
          {overlay?.kind === "info" && <RoomInfo room={room} messages={messages} onClose={close} />}
          {overlay?.kind === "search" && <SearchRoom messages={messages} onPick={(id) => { close(); setGoal(id); }} onClose={close} />}
          {overlay?.kind === "viewer" && <Viewer message={overlay.message} at={overlay.at} onClose={close} />}
          {overlay?.kind === "readers" && <Readers room={room} message={overlay.message} onClose={close} />}
          {overlay?.kind === "forward" && <Forward message={overlay.message} onClose={close} />}
        </Suspense>
      </div>
    </section>
  );
}
