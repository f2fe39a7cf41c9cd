import type { Message, RoomSummary, Timeline } from "@haechi/chat-core";
import { type Row, rows } from "@haechi/viewmodels";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import { useWorld } from "../context";
import type { Overlay } from "../screens/room";
import { Bubble } from "./bubble";
import { Icon } from "./icons";
import { tell } from "./words";

export interface LogProps {
  room: RoomSummary;
  timeline: Timeline;
  messages: Message[];
  /** A message to be jumped to. */
  goal: string | null;
  onGoal: (id: string | null) => void;
  onReply: (message: Message) => void;
  onEdit: (message: Message) => void;
  onOverlay: (overlay: Overlay) => void;
}

const NEAR_PX = 120;
/** Pages looked through for the message that a reply answers. */
const PAGES_MAX = 20;

/** The messages. Only what is seen is drawn; the end stays at the end, and older ones come in above without a jump. */
export function Log({ room, timeline, messages, goal, onGoal, ...on }: LogProps) {
  "use no memo";
  const { chat, tr } = useWorld();
  const scroll = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const [seen, setSeen] = useState(messages.length);
  const pages = useRef(0);
  const all = rows(messages, timeline.readUpTo, timeline.start);
  const virtual = useVirtualizer({
    count: all.length,
    getScrollElement: () => scroll.current,
    estimateSize: (at) => (all[at]?.kind === "message" ? 52 : 38),
    getItemKey: (at) => all[at]?.key ?? at,
    overscan: 10,
    anchorTo: "end",
    followOnAppend: true,
    paddingEnd: 8,
  });

  const first = messages[0]?.id;
  const wasEmpty = useRef(true);
  useEffect(() => {
    if (all.length > 0 && wasEmpty.current) {
      wasEmpty.current = false;
      virtual.scrollToEnd();
    }
  });
  useEffect(() => {
    if (atEnd) setSeen(messages.length);
  }, [atEnd, messages.length]);
  useEffect(() => {
    if (!goal) return;
    const at = all.findIndex((row) => row.kind === "message" && row.message.id === goal);
    if (at >= 0) {
      virtual.scrollToIndex(at, { align: "center" });
      pages.current = 0;
      onGoal(null);
    } else if (!timeline.start && !timeline.loading && pages.current++ < PAGES_MAX) void chat.engine.get()?.older(room.id);
    else if (timeline.start) onGoal(null);
  }, [goal, first, timeline.loading]);

  const moved = () => {
    const box = scroll.current;
    if (!box) return;
    setAtEnd(box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX);
    if (box.scrollTop < 400 && !timeline.start && !timeline.loading) void chat.engine.get()?.older(room.id).catch(() => undefined);
  };
  const fresh = Math.max(0, messages.length - seen);
  const [a = "", b = ""] = timeline.typing;
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <div className="log" ref={scroll} role="log" aria-label={tr.t("room.log")} aria-live="off" tabIndex={0} onScroll={moved}>
        <div className="spacer" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = all[item.index];
            return row && (
              <div key={item.key} className="slot" data-index={item.index} ref={virtual.measureElement} style={{ transform: `translateY(${item.start}px)` }}>
                <Line row={row} room={room} onJump={onGoal} {...on} />
              </div>
            );
          })}
        </div>
      </div>
      {!atEnd && <button type="button" className="jump" aria-label={tr.t("room.newest")} onClick={() => virtual.scrollToEnd()}>{fresh > 0 && `${tr.t("room.newMessages", { n: fresh })} `}<Icon name="down" size={18} /></button>}
      <div className="foot" aria-live="polite">
        {timeline.typing.length === 1 && tr.t("room.typing1", { a })}
        {timeline.typing.length === 2 && tr.t("room.typing2", { a, b })}
        {timeline.typing.length > 2 && tr.t("room.typingMany")}
      </div>
    </>
  );
}

function Line({ row, room, onJump, ...on }: { row: Row; room: RoomSummary; onJump: (id: string) => void } & Pick<LogProps, "onReply" | "onEdit" | "onOverlay">) {
  const { tr } = useWorld();
  if (row.kind === "day") return <div className="day"><span>{tr.day(row.ts)}</span></div>;
  if (row.kind === "here") return <div className="here">{tr.t("room.here")}</div>;
  if (row.kind === "start") return <div className="day">{tr.t("room.start")}</div>;
  const { message } = row;
  if (message.kind === "system") return <div className="system"><span>{message.system && tell(tr, message.system)}</span></div>;
  return <Bubble message={message} room={room} first={row.first} stamped={row.stamped} onJump={onJump} {...on} />;
}
