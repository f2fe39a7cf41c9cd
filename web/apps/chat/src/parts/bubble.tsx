import type { Message, RoomSummary } from "@haechi/chat-core";
import { isBigEmoji, linked } from "@haechi/viewmodels";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { useValue, useWorld } from "../context";
import { Avatar } from "./basics";
import { Album, FileLine, Place, PollBox, Sticker, Video, Voice } from "./bodies";
import { Icon } from "./icons";
import type { LogProps } from "./log";

const QUICK = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

interface BubbleProps extends Pick<LogProps, "onReply" | "onEdit" | "onOverlay"> {
  message: Message;
  room: RoomSummary;
  first: boolean;
  stamped: boolean;
  onJump: (id: string) => void;
}

/** One message. */
export function Bubble(props: BubbleProps) {
  const { message, room, first, stamped, onJump, onOverlay } = props;
  const { chat, tr } = useWorld();
  const { actions } = chat;
  const bare = message.kind === "sticker" || message.kind === "image" || message.kind === "album" || (message.kind === "text" && isBigEmoji(message.body));
  return (
    <article className={`message${message.own ? " own" : ""}${first ? " first" : ""}`} aria-label={message.own ? undefined : message.senderName} data-id={message.id}>
      <span className="face">{first && <Avatar mxc={message.senderAvatar} id={message.sender} name={message.senderName} size={40} />}</span>
      <div className="col">
        {first && !message.own && <span className="by">{message.senderName}</span>}
        <div className="beside">
          <div className={`bubble${bare ? " bare" : ""}${bare && message.kind === "text" ? " big" : ""}`}>
            {message.replyTo && (
              <button type="button" className="quote" onClick={() => message.replyTo && onJump(message.replyTo.id)}>
                <b>{message.replyTo.name}</b><span>{message.replyTo.text || "…"}</span>
              </button>
            )}
            <Body message={message} room={room} onOverlay={onOverlay} />
          </div>
          <Meta message={message} stamped={stamped} onReaders={() => onOverlay({ kind: "readers", message })} />
          {message.state === "sent" && message.kind !== "deleted" && <Actions {...props} />}
        </div>
        {message.thread && <small>{tr.t("room.thread", { n: message.thread.replies })}</small>}
        {message.reactions.length > 0 && (
          <div className="reactions">
            {message.reactions.map((reaction) => (
              <button key={reaction.key} type="button" aria-pressed={reaction.mine !== null} onClick={() => void actions.react(room.id, message.id, reaction.key, reaction.mine)}>
                {reaction.key.slice(0, 24)} {tr.number(reaction.who.length)}
              </button>
            ))}
          </div>
        )}
      </div>
    </article>
  );
}

function Body({ message, room, onOverlay }: { message: Message; room: RoomSummary; onOverlay: LogProps["onOverlay"] }) {
  const { tr } = useWorld();
  const [file] = message.files;
  switch (message.kind) {
    case "deleted":
      return <p className="gone">{tr.t("say.deleted")}</p>;
    case "locked":
      return <p className="gone">{tr.t("say.locked")}</p>;
    case "image":
    case "album":
      return <><Album message={message} onOpen={(at) => onOverlay({ kind: "viewer", message, at })} />{message.body && <p>{message.body}</p>}</>;
    case "sticker":
      return <Sticker message={message} />;
    case "video":
      return file ? <Video file={file} /> : null;
    case "voice":
      return file ? <Voice file={file} /> : null;
    case "file":
      return file ? <FileLine file={file} /> : null;
    case "location":
      return <Place message={message} />;
    case "poll":
      return <PollBox message={message} roomId={room.id} />;
    default:
      return <Words message={message} />;
  }
}

function Words({ message }: { message: Message }) {
  const { tr } = useWorld();
  return (
    <p dir="auto">
      {message.kind === "emote" && <mark>{message.senderName} </mark>}
      {/* biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text do not move */}
      {linked(message.body).map((part, at) => (part.href ? <a key={at} href={part.href} target="_blank" rel="noopener noreferrer nofollow">{part.text}</a> : <span key={at}>{part.text}</span>))}
      {message.edited && <small> ({tr.t("room.edited")})</small>}
    </p>
  );
}

function Meta({ message, stamped, onReaders }: { message: Message; stamped: boolean; onReaders: () => void }) {
  const { chat, tr } = useWorld();
  const part = useValue(chat.uploads).get(message.key);
  return (
    <span className="meta">
      {message.state === "sent" && message.unread > 0 && (
        <button type="button" className="count" title={tr.t("room.readers")} onClick={onReaders}><span aria-hidden="true">{tr.number(message.unread)}</span><span className="sr">{tr.t("room.unread", { n: message.unread })}</span></button>
      )}
      {message.state === "failed" && (
        <>
          <span className="bad" role="alert">{tr.t("room.failed")}</span>
          <span><button type="button" className="count" onClick={() => chat.retry(message.key)}>{tr.t("room.retry")}</button> <button type="button" className="count" onClick={() => void chat.cancel(message.key)}>{tr.t("room.discard")}</button></span>
        </>
      )}
      {(message.state === "queued" || message.state === "sending") && (
        <span>
          {part !== undefined ? tr.t("room.uploading", { percent: `${Math.round(part * 100)} %` }) : tr.t(`room.${message.state}`)}
          {message.state === "queued" && <button type="button" className="count" onClick={() => void chat.cancel(message.key)}>{tr.t("room.cancel")}</button>}
        </span>
      )}
      {message.state === "sent" && stamped && <time>{tr.time(message.ts)}</time>}
    </span>
  );
}

function Actions({ message, room, onReply, onEdit, onOverlay }: BubbleProps) {
  const { chat, tr } = useWorld();
  const { actions } = chat;
  const pinned = room.pinned.includes(message.id);
  const act = (key: React.Key) => {
    const quick = QUICK.find((one) => one === key);
    if (quick) void actions.react(room.id, message.id, quick, message.reactions.find((one) => one.key === quick)?.mine ?? null);
    if (key === "reply") onReply(message);
    if (key === "edit") onEdit(message);
    if (key === "copy") void navigator.clipboard.writeText(message.body);
    if (key === "forward") onOverlay({ kind: "forward", message });
    if (key === "readers") onOverlay({ kind: "readers", message });
    if (key === "pin") void actions.pin(room.id, pinned ? null : message.id);
    if (key === "report") void actions.report(room.id, message.id);
    if (key === "delete" && confirm(tr.t("room.deleteSure"))) void actions.redact(room.id, message.id);
  };
  return (
    <MenuTrigger>
      <Button className="icon act" aria-label={tr.t("room.actions")}><Icon name="more" size={20} /></Button>
      <Popover placement="bottom">
        <Menu className="menu" aria-label={tr.t("room.actions")} onAction={act}>
          {QUICK.slice(0, 3).map((emoji) => <MenuItem key={emoji} id={emoji} textValue={emoji}>{emoji} {tr.t("room.react")}</MenuItem>)}
          <MenuItem id="reply">{tr.t("room.reply")}</MenuItem>
          {message.own && message.kind === "text" && <MenuItem id="edit">{tr.t("room.edit")}</MenuItem>}
          <MenuItem id="copy">{tr.t("room.copy")}</MenuItem>
          <MenuItem id="forward">{tr.t("room.forward")}</MenuItem>
          <MenuItem id="readers">{tr.t("room.readers")}</MenuItem>
          <MenuItem id="pin">{tr.t(pinned ? "room.unpin" : "room.pin")}</MenuItem>
          {message.own ? <MenuItem id="delete" className="danger">{tr.t("room.delete")}</MenuItem> : <MenuItem id="report" className="danger">{tr.t("room.report")}</MenuItem>}
        </Menu>
      </Popover>
    </MenuTrigger>
  );
}
