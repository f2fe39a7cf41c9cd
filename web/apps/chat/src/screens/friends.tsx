import { type Friend, localpart, matches, type Profile, target } from "@haechi/chat-core";
import { Navigate, useNavigate, useParams } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { useValue, useWords, useWorld } from "../context";
import { Avatar, Dialog, Empty, Field, useTask } from "../parts/basics";
import { Icon } from "../parts/icons";

const MyCode = lazy(() => import("../parts/qr"));

export function FriendsScreen() {
  const { chat, tr } = useWorld();
  useValue(chat.rooms);
  const engine = useValue(chat.engine);
  const [query, setQuery] = useState("");
  const [adding, setAdding] = useState(false);
  const [me, setMe] = useState<Profile | null>(null);
  useEffect(() => {
    if (engine) void chat.actions.profile(chat.actions.me).then(setMe, () => undefined);
  }, [engine, chat]);
  const all = chat.actions.friends().filter((friend) => !friend.hidden && matches(friend.name, query)).sort((a, b) => a.name.localeCompare(b.name, tr.language));
  const favourites = all.filter((friend) => friend.favourite);
  const requests = useValue(chat.rooms).filter((room) => room.membership === "invite" && room.inviter && !chat.actions.friends().some((friend) => friend.id === room.inviter));
  const navigate = useNavigate();
  const name = me?.name ?? localpart(chat.actions.me);
  return (
    <main className="pane list">
      <header className="top">
        <h1>{tr.t("tab.friends")}</h1>
        <button type="button" className="icon" aria-label={tr.t("friends.add")} onClick={() => setAdding(true)}><Icon name="plus" /></button>
      </header>
      <div className="search"><input type="search" aria-label={tr.t("chats.search")} placeholder={tr.t("chats.search")} value={query} onChange={(event) => setQuery(event.target.value)} /></div>
      <div className="scroll">
        <button type="button" className="row" onClick={() => void navigate({ to: "/more" })}>
          <Avatar mxc={me?.avatar ?? null} id={chat.actions.me} name={name} size={56} />
          <span className="body"><span className="name"><span>{name}</span></span><span className="text">{me?.status || chat.actions.me}</span></span>
        </button>
        {requests.length > 0 && <h2 className="heading">{tr.t("friends.requests")}</h2>}
        {requests.map((room) => (
          <button key={room.id} type="button" className="row" onClick={() => void navigate({ to: "/chats/$roomId", params: { roomId: room.id } })}>
            <Avatar mxc={room.avatar} id={room.inviter ?? room.id} name={room.name} />
            <span className="body"><span className="name"><span>{room.name}</span></span><span className="text">{tr.t("chats.invited", { who: room.inviter ?? "" })}</span></span>
          </button>
        ))}
        {favourites.length > 0 && <><h2 className="heading">{tr.t("friends.favourites")}</h2>{favourites.map((friend) => <FriendRow key={friend.id} friend={friend} />)}</>}
        {all.length > 0 ? <><h2 className="heading">{tr.t("friends.list", { n: all.length })}</h2>{all.map((friend) => <FriendRow key={friend.id} friend={friend} />)}</> : (
          <Empty title={query ? tr.t("chats.noResult", { query }) : tr.t("friends.empty")} hint={query ? "" : tr.t("friends.emptyHint")}>
            {!query && <button type="button" className="button main" onClick={() => setAdding(true)}>{tr.t("friends.add")}</button>}
          </Empty>
        )}
      </div>
      {adding && <AddFriend onClose={() => setAdding(false)} />}
    </main>
  );
}

function FriendRow({ friend }: { friend: Friend }) {
  const { chat, tr } = useWorld();
  const { actions } = chat;
  const navigate = useNavigate();
  const go = async (secret: boolean) => {
    const roomId = await actions.chatWith(friend.id, secret);
    await navigate({ to: "/chats/$roomId", params: { roomId } });
  };
  const act = (key: React.Key) => {
    if (key === "chat" || key === "secret") void go(key === "secret");
    if (key === "favourite") void actions.keepFriend({ ...friend, favourite: !friend.favourite });
    if (key === "hide") void actions.keepFriend({ ...friend, hidden: true });
    if (key === "remove") void actions.dropFriend(friend.id);
    if (key === "block") void actions.block(friend.id, true).then(() => actions.dropFriend(friend.id));
  };
  return (
    <div className="item">
      <button type="button" className="row" onClick={() => void go(false)}>
        <Avatar mxc={friend.avatar} id={friend.id} name={friend.name} />
        <span className="body"><span className="name"><span>{friend.name}</span></span><span className="text">{friend.status || friend.id}</span></span>
      </button>
      <MenuTrigger>
        <Button className="icon more" aria-label={tr.t("chats.menu", { name: friend.name })}><Icon name="more" /></Button>
        <Popover placement="bottom end">
          <Menu className="menu" onAction={act} aria-label={friend.name}>
            <MenuItem id="chat">{tr.t("people.chat")}</MenuItem>
            <MenuItem id="secret">{tr.t("people.secret")}</MenuItem>
            <MenuItem id="favourite">{tr.t("friends.favourite")}</MenuItem>
            <MenuItem id="hide">{tr.t("friends.hide")}</MenuItem>
            <MenuItem id="remove">{tr.t("friends.remove")}</MenuItem>
            <MenuItem id="block" className="danger">{tr.t("people.block")}</MenuItem>
          </Menu>
        </Popover>
      </MenuTrigger>
    </div>
  );
}

function AddFriend({ onClose }: { onClose: () => void }) {
  const { chat, tr } = useWorld();
  const [id, setId] = useState("");
  const [done, setDone] = useState("");
  const [code, setCode] = useState(false);
  const { busy, error, run } = useTask();
  const words = useWords();
  const add = (text: string) =>
    run(async () => {
      const profile = await chat.actions.profile(target(text)?.user ?? text);
      await chat.actions.keepFriend({ ...profile, favourite: false, hidden: false });
      setDone(tr.t("friends.added", { name: profile.name }));
    });
  return (
    <Dialog title={tr.t("friends.add")} onClose={onClose}>
      <form className="form" onSubmit={(event) => { event.preventDefault(); void add(id); }}>
        <Field label={tr.t("friends.byId")} hint={tr.t("friends.byIdHint")} autoCapitalize="none" spellCheck={false} required value={id} onChange={(event) => setId(event.target.value)} />
        {error !== null && <p className="error" role="alert">{(error as { errcode?: string }).errcode === "M_NOT_FOUND" ? tr.t("friends.notFound") : words(error)}</p>}
        <p role="status">{done}</p>
        <button type="submit" className="button main" disabled={busy}>{tr.t("friends.add")}</button>
        <button type="button" className="button" onClick={() => setCode(!code)}><Icon name="qr" /> QR</button>
      </form>
      {code && <Suspense><MyCode onFound={(text) => void add(text)} /></Suspense>}
    </Dialog>
  );
}

/** What a link or a QR code of somebody leads to. */
export function UserLink() {
  const { chat } = useWorld();
  const { userId } = useParams({ from: "/inside/u/$userId" });
  const engine = useValue(chat.engine);
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!engine) return;
    const add = async () => {
      const profile = await chat.actions.profile(userId);
      await chat.actions.keepFriend({ ...profile, favourite: false, hidden: false });
    };
    void add().finally(() => setDone(true));
  }, [engine, userId, chat]);
  return done ? <Navigate to="/friends" replace /> : <main className="pane list" />;
}
