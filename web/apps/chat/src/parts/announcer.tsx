import { useEffect, useState } from "react";
import { useWorld } from "../context";
import { say } from "./words";

/** Tells of new messages: to screen readers, and by a notification while the page is not looked at. */
export function Announcer() {
  const { chat, tr, prefs } = useWorld();
  const [text, setText] = useState("");
  useEffect(
    () =>
      chat.arrivals.subscribe(() => {
        const arrival = chat.arrivals.get();
        const room = chat.rooms.get().find((one) => one.id === arrival?.roomId);
        if (!arrival || room?.muted) return;
        const what = say(tr, { kind: arrival.message.kind, body: arrival.message.body, sender: "" });
        setText(tr.t("a11y.newMessage", { who: arrival.message.senderName, what }));
        if (!prefs.notify || document.hasFocus() || !("Notification" in globalThis) || Notification.permission !== "granted") return;
        void navigator.serviceWorker?.ready.then((worker) =>
          worker.showNotification(room?.name ?? arrival.message.senderName, { body: prefs.notifyHide ? "" : what, tag: arrival.roomId, icon: "/icon.svg", data: { room: arrival.roomId } }),
        );
      }),
    [chat, tr, prefs],
  );
  return <div className="sr" aria-live="polite">{text}</div>;
}
