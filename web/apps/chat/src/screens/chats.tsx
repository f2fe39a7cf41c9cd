import type { RoomSummary } from "@haechi/chat-core";
import type { Key } from "@haechi/i18n";
import { chats, type Filter } from "@haechi/viewmodels";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useDeferredValue, useEffect, useRef, useState } from "react";
import { useValue, useWorld } from "../context";
import { Avatar, Empty } from "../parts/basics";
import { Icon } from "../parts/icons";
import { say } from "../parts/words";

const NewChat = lazy(() => import("../parts/new-chat"));
const ChatMenu = lazy(() => import("../parts/chat-menu"));
const FILTERS: Filter[] = ["all", "unread", "groups", "archived"];

export function ChatsScreen() {
  const { chat, tr } = useWorld();
  const rooms = useValue(chat.rooms);
  const fresh = useValue(chat.fresh);
  const [filter, setFilter] = useState<Filter>("all");
  const [query, setQuery] = useState("");
  const [creating, setCreating] = useState(false);
  const shown = chats(rooms, filter, useDeferredValue(query));
  const path = useRouterState({ select: (state) => state.location.pathname });
  const inRoom = path.startsWith("/chats/");
  return (
    <>
      <main className="pane list">
        <header className="top">
          <h1>{tr.t("tab.chats")}</h1>
          <button type="button" className="icon" aria-label={tr.t("chats.new")} onClick={() => setCreating(true)}><Icon name="plus" /></button>
        </header>
        <div className="search"><input type="search" aria-label={tr.t("chats.search")} placeholder={tr.t("chats.search")} value={query} onChange={(event) => setQuery(event.target.value)} /></div>
        <div className="chips">
          {FILTERS.map((one) => <button key={one} type="button" className="chip" aria-pressed={filter === one} onClick={() => setFilter(one)}>{tr.t(`chats.${one}` as Key)}</button>)}
        </div>
        {shown.length > 0 ? <ChatList rooms={shown} /> : query ? <Empty title={tr.t("chats.noResult", { query })} /> : fresh || rooms.length > 0 ? (
          <Empty title={tr.t("chats.empty")} hint={tr.t("chats.emptyHint")}>
            <Link to="/friends" className="button main">{tr.t("friends.add")}</Link>
          </Empty>
        ) : <div className="empty" role="status">{tr.t("app.loading")}</div>}
      </main>
      {inRoom ? <Suspense><Outlet /></Suspense> : <aside className="side"><Empty title={tr.t("chats.pick")} /></aside>}
      {creating && <Suspense><NewChat onClose={() => setCreating(false)} /></Suspense>}
    </>
  );
}

/** Height of a row in rem, as in the style sheet: all are of one height, so that no measuring is needed. */
const ROW_REM = 4.25;
const SPARE = 8;

function ChatList({ rooms }: { rooms: RoomSummary[] }) {
  const { tr, prefs } = useWorld();
  const scroll = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 900, row: 68 });
  useEffect(() => {
    const box = scroll.current;
    if (!box) return;
    const look = () => setView({ top: box.scrollTop, height: box.clientHeight, row: ROW_REM * Number.parseFloat(getComputedStyle(document.documentElement).fontSize) });
    const watcher = new ResizeObserver(look);
    watcher.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      watcher.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, [prefs.size]);
  const from = Math.max(0, Math.floor(view.top / view.row) - SPARE);
  const shown = rooms.slice(from, from + Math.ceil(view.height / view.row) + 2 * SPARE);
  return (
    <div className="scroll" ref={scroll}>
      <ul className="rows tall" aria-label={tr.t("tab.chats")} style={{ height: `${rooms.length * ROW_REM}rem`, position: "relative" }}>
        {shown.map((room, at) => (
          <li key={room.id} className="item" style={{ transform: `translateY(${(from + at) * ROW_REM}rem)` }} aria-setsize={rooms.length} aria-posinset={from + at + 1}>
            <ChatRow room={room} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function ChatRow({ room }: { room: RoomSummary }) {
  const { chat, tr } = useWorld();
  const draft = chat.draft(room.id);
  const name = room.kind === "self" ? tr.t("chats.self") : room.name;
  return (
    <>
      <Link to="/chats/$roomId" params={{ roomId: room.id }} className="row">
        <Avatar mxc={room.avatar} id={room.peer ?? room.id} name={name} size={48} />
        <span className="body">
          <span className="name">
            <span>{name}</span>
            {room.kind !== "direct" && room.members > 2 && <small>{tr.number(room.members)}</small>}
            {room.secret && <Icon name="lock" size={14} />}
            {room.favourite && <Icon name="pin" size={14} />}
            {room.muted && <Icon name="mute" size={14} />}
          </span>
          <span className="text">
            {draft ? <><b>{tr.t("chats.draft")}</b> {draft}</> : room.membership === "invite" ? tr.t("chats.invited", { who: room.inviter ?? "" }) : say(tr, room.kind === "direct" ? { ...room.lastText, sender: "" } : room.lastText)}
          </span>
        </span>
        <span className="end">
          {room.lastTs > 0 && <time>{tr.brief(room.lastTs)}</time>}
          {room.unread > 0 && <span className={room.muted ? "badge quiet" : "badge"}><span aria-hidden="true">{room.unread > 999 ? "999+" : room.unread}</span><span className="sr">{tr.t("chats.count", { n: room.unread })}</span></span>}
        </span>
      </Link>
      <Suspense><ChatMenu room={room} name={name} /></Suspense>
    </>
  );
}
