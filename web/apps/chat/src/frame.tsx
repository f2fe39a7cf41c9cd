import type { Key } from "@haechi/i18n";
import { unreadTotal } from "@haechi/viewmodels";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect } from "react";
import { useValue, useWorld } from "./context";
import { Announcer } from "./parts/announcer";
import { Empty } from "./parts/basics";
import { Haetae, Icon, type IconName } from "./parts/icons";

const TABS: { to: string; icon: IconName; label: Key }[] = [
  { to: "/friends", icon: "friends", label: "tab.friends" },
  { to: "/chats", icon: "chats", label: "tab.chats" },
  { to: "/open", icon: "open", label: "tab.open" },
  { to: "/services", icon: "services", label: "tab.services" },
  { to: "/more", icon: "more", label: "tab.more" },
];

/** Everything behind the door: five tabs, a list, and on wide screens a conversation beside it. */
export function Frame() {
  const { chat, tr } = useWorld();
  const connection = useValue(chat.connection);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const unread = unreadTotal(useValue(chat.rooms));
  const inRoom = path.startsWith("/chats/");
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Haechi` : "Haechi";
    if ("setAppBadge" in navigator) void navigator.setAppBadge(unread).catch(() => undefined);
  }, [unread]);
  return (
    <div className={inRoom ? "frame inside" : "frame"}>
      <div className="banner" role="status" hidden={connection !== "offline" && connection !== "moving"}>
        {connection === "offline" && tr.t("app.offline")}
        {connection === "moving" && tr.t("app.moving")}
      </div>
      <Outlet />
      {!path.startsWith("/chats") && <aside className="side"><Empty title={tr.t("chats.pick")} /></aside>}
      <nav className="tabs" aria-label={tr.t("tab.bar")}>
        <span className="mark"><Haetae size={40} /></span>
        {TABS.map(({ to, icon, label }) => (
          <Link key={to} to={to} aria-current={path.startsWith(to) ? "page" : undefined}>
            <Icon name={icon} />
            <span className="word">{tr.t(label)}</span>
            {to === "/chats" && unread > 0 && <span className="badge"><span aria-hidden="true">{unread > 999 ? "999+" : unread}</span><span className="sr">{tr.t("chats.count", { n: unread })}</span></span>}
          </Link>
        ))}
      </nav>
      <Announcer />
    </div>
  );
}
