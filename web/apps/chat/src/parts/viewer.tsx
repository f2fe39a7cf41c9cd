import type { Message } from "@haechi/chat-core";
import { useEffect, useRef, useState } from "react";
import { useWorld } from "../context";
import { useMedia } from "./bodies";
import { Icon } from "./icons";

const SWIPE_PX = 50;

/** Pictures in full, one after another. */
export default function Viewer({ message, at, onClose }: { message: Message; at: number; onClose: () => void }) {
  const { tr } = useWorld();
  const ref = useRef<HTMLDialogElement>(null);
  const [place, setPlace] = useState(at);
  const start = useRef(0);
  const file = message.files[place];
  const url = useMedia(file);
  useEffect(() => ref.current?.showModal(), []);
  const move = (step: number) => setPlace((now) => Math.min(message.files.length - 1, Math.max(0, now + step)));
  const save = () => {
    if (!url || !file) return;
    const link = document.createElement("a");
    link.href = url;
    link.download = file.name;
    link.click();
  };
  return (
    <dialog ref={ref} className="viewer" aria-label={tr.t("room.picture", { name: file?.name ?? "" })} onClose={onClose} onKeyDown={(event) => { if (event.key === "ArrowRight") move(1); if (event.key === "ArrowLeft") move(-1); }} onPointerDown={(event) => { start.current = event.clientX; }} onPointerUp={(event) => { const way = event.clientX - start.current; if (Math.abs(way) > SWIPE_PX) move(way < 0 ? 1 : -1); }}>
      {url && <img src={url} alt={file?.name ?? ""} draggable={false} />}
      <div className="bar">
        <button type="button" className="icon" aria-label={tr.t("room.download", { name: file?.name ?? "" })} onClick={save}><Icon name="down" /></button>
        <button type="button" className="icon" aria-label={tr.t("room.close")} onClick={onClose}><Icon name="close" /></button>
      </div>
      {place > 0 && <button type="button" className="icon prev" aria-label={tr.t("room.previous")} onClick={() => move(-1)}><Icon name="back" /></button>}
      {place < message.files.length - 1 && <button type="button" className="icon next" aria-label={tr.t("room.next")} onClick={() => move(1)}><Icon name="next" /></button>}
    </dialog>
  );
}
