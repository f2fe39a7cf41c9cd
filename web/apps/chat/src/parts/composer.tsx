import { ALBUM_KEY, type Member, type Message, type RoomSummary, shrink } from "@haechi/chat-core";
import { editContent, sends, textContent } from "@haechi/viewmodels";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { useWorld } from "../context";
import { Icon } from "./icons";
import { Recorder } from "./recorder";

const Emoji = lazy(() => import("./emoji"));
const Stickers = lazy(() => import("./stickers"));
const NewPoll = lazy(() => import("./new-poll"));
const TYPING_MS = 5_000;

interface ComposerProps {
  room: RoomSummary;
  reply: Message | null;
  edit: Message | null;
  onDone: () => void;
}

export function Composer({ room, reply, edit, onDone }: ComposerProps) {
  const { chat, tr, prefs } = useWorld();
  const [text, setText] = useState(edit?.body ?? chat.draft(room.id));
  const [open, setOpen] = useState<"emoji" | "stickers" | "poll" | "record" | null>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const pictures = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const told = useRef(0);
  useEffect(() => {
    if (reply || edit) box.current?.focus();
  }, [reply, edit]);

  const write = (next: string) => {
    setText(next);
    if (!edit) chat.keepDraft(room.id, next);
    if (next && !prefs.quietTyping && Date.now() - told.current > TYPING_MS) {
      told.current = Date.now();
      void chat.actions.typing(room.id, true);
    }
  };
  const send = () => {
    const body = text.trim();
    if (!body) return;
    const members: Member[] = body.includes("@") ? (chat.engine.get()?.members(room.id) ?? []) : [];
    void chat.post(room.id, "m.room.message", edit ? editContent(body, edit) : textContent(body, reply, members));
    setText("");
    chat.keepDraft(room.id, "");
    if (told.current) void chat.actions.typing(room.id, false);
    told.current = 0;
    onDone();
  };
  const attach = async (list: FileList | File[] | null) => {
    const picked = [...(list ?? [])];
    const images = picked.filter((file) => /^image\/(png|jpeg|gif|webp)$/.test(file.type));
    if (images.length > 0) await sendPictures(chat, room.id, images);
    for (const file of picked.filter((one) => !images.includes(one))) {
      const msgtype = file.type.startsWith("video/") ? "m.video" : file.type.startsWith("audio/") ? "m.audio" : "m.file";
      await chat.post(room.id, "m.room.message", { msgtype, body: file.name, filename: file.name, info: { mimetype: file.type, size: file.size } }, [{ blob: file, name: file.name }]);
    }
  };
  const place = () =>
    navigator.geolocation.getCurrentPosition(({ coords }) => {
      const geo = `geo:${coords.latitude.toFixed(5)},${coords.longitude.toFixed(5)}`;
      void chat.post(room.id, "m.room.message", { msgtype: "m.location", body: geo, geo_uri: geo });
    });
  const pick = (key: React.Key) => {
    if (key === "photo") pictures.current?.click();
    if (key === "file") files.current?.click();
    if (key === "poll") setOpen("poll");
    if (key === "place") place();
  };
  const insert = (emoji: string) => {
    const at = box.current?.selectionStart ?? text.length;
    write(text.slice(0, at) + emoji + text.slice(at));
  };
  if (open === "record") return <Recorder roomId={room.id} onDone={() => setOpen(null)} />;
  return (
    <>
      {(reply || edit) && (
        <div className="context">
          <div><b>{edit ? tr.t("room.editing") : tr.t("room.replying", { name: reply?.senderName ?? "" })}</b><span>{(edit ?? reply)?.body}</span></div>
          <button type="button" className="icon" aria-label={tr.t("room.cancel")} onClick={onDone}><Icon name="close" /></button>
        </div>
      )}
      <form className="composer" onSubmit={(event) => { event.preventDefault(); send(); }} onDragOver={(event) => event.preventDefault()} onDrop={(event) => { event.preventDefault(); void attach(event.dataTransfer.files); }}>
        <MenuTrigger>
          <Button className="icon" aria-label={tr.t("room.attach")}><Icon name="plus" /></Button>
          <Popover placement="top start">
            <Menu className="menu" aria-label={tr.t("room.attach")} onAction={pick}>
              <MenuItem id="photo">{tr.t("room.photo")}</MenuItem>
              <MenuItem id="file">{tr.t("room.file")}</MenuItem>
              <MenuItem id="poll">{tr.t("room.poll")}</MenuItem>
              <MenuItem id="place">{tr.t("room.location")}</MenuItem>
            </Menu>
          </Popover>
        </MenuTrigger>
        <input ref={pictures} className="sr" tabIndex={-1} aria-hidden="true" type="file" multiple accept="image/*,video/*" data-pick="photo" onChange={(event) => { void attach(event.target.files); }} />
        <input ref={files} className="sr" tabIndex={-1} aria-hidden="true" type="file" multiple data-pick="file" onChange={(event) => { void attach(event.target.files); }} />
        <textarea
          ref={box}
          rows={1}
          aria-label={tr.t("room.write")}
          placeholder={tr.t("room.write")}
          value={text}
          onChange={(event) => write(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") onDone();
            if (!sends({ key: event.key, shiftKey: event.shiftKey, isComposing: event.nativeEvent.isComposing, keyCode: event.keyCode })) return;
            event.preventDefault();
            send();
          }}
          onPaste={(event) => {
            if (event.clipboardData.files.length === 0) return;
            event.preventDefault();
            void attach(event.clipboardData.files);
          }}
        />
        <button type="button" className="icon" aria-label={tr.t("room.emoji")} aria-expanded={open === "emoji"} onClick={() => setOpen(open === "emoji" ? null : "emoji")}><Icon name="smile" /></button>
        <button type="button" className="icon" aria-label={tr.t("room.sticker")} aria-expanded={open === "stickers"} onClick={() => setOpen(open === "stickers" ? null : "stickers")}><Icon name="sticker" /></button>
        {text.trim() ? (
          <button type="submit" className="icon send" aria-label={tr.t("room.send")}><Icon name="send" /></button>
        ) : (
          <button type="button" className="icon" aria-label={tr.t("room.voice")} onClick={() => setOpen("record")}><Icon name="mic" /></button>
        )}
      </form>
      <Suspense>
        {open === "emoji" && <Emoji onPick={insert} />}
        {open === "stickers" && <Stickers roomId={room.id} onDone={() => setOpen(null)} />}
        {open === "poll" && <NewPoll roomId={room.id} onClose={() => setOpen(null)} />}
      </Suspense>
    </>
  );
}

/** One bubble, however many pictures. */
async function sendPictures(chat: ReturnType<typeof useWorld>["chat"], roomId: string, images: File[]): Promise<void> {
  const made = await Promise.all(images.slice(0, 30).map(async (file) => {
    const { blob, width, height } = await shrink(file);
    const content = { msgtype: "m.image", body: file.name, filename: file.name, info: { mimetype: blob.type, size: blob.size, w: width, h: height } };
    return { content, file: { blob, name: file.name } };
  }));
  const [first, ...more] = made;
  if (!first) return;
  const content = more.length > 0 ? { ...first.content, [ALBUM_KEY]: more.map((one) => one.content) } : first.content;
  await chat.post(roomId, "m.room.message", content, made.map((one) => one.file));
}
