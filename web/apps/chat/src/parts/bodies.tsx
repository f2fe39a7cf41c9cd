import type { MediaFile, Message } from "@haechi/chat-core";
import { useEffect, useRef, useState } from "react";
import { useWorld } from "../context";
import { Icon } from "./icons";

/** The address of a file once it is here. */
export function useMedia(file: MediaFile | undefined, side?: number): string | null {
  const { chat } = useWorld();
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    let gone = false;
    const media = chat.media;
    if (!media || !file) return;
    const small = side && !file.encrypted && !file.local && file.mime !== "image/gif";
    void (small ? media.thumbnail(file.mxc, side) : media.url(file)).then((found) => !gone && setUrl(found), () => undefined);
    return () => {
      gone = true;
    };
  }, [chat, file, side]);
  return url;
}

function Picture({ file, alone }: { file: MediaFile; alone: boolean }) {
  const url = useMedia(file, alone ? undefined : 320);
  const ratio = alone && file.width && file.height ? { aspectRatio: `${file.width}/${file.height}`, width: Math.min(320, file.width) } : {};
  return url ? <img src={url} alt="" style={ratio} /> : <span style={{ display: "block", minWidth: 90, minHeight: 90, ...ratio }} />;
}

export function Album({ message, onOpen }: { message: Message; onOpen: (at: number) => void }) {
  const { tr } = useWorld();
  const alone = message.files.length === 1;
  return (
    <div className={alone ? "album one" : "album"}>
      {message.files.map((file, at) => (
        <button key={file.mxc || file.name} type="button" aria-label={tr.t("room.picture", { name: file.name })} onClick={() => onOpen(at)}><Picture file={file} alone={alone} /></button>
      ))}
    </div>
  );
}

export function Sticker({ message }: { message: Message }) {
  const url = useMedia(message.files[0]);
  return <div className="sticker">{url ? <img src={url} alt={message.body} /> : <span role="img" aria-label={message.body} style={{ display: "block", width: 140, height: 140 }} />}</div>;
}

export function Video({ file }: { file: MediaFile }) {
  const url = useMedia(file);
  // biome-ignore lint/a11y/useMediaCaption: what people film for one another has no captions
  return url ? <video src={url} controls preload="metadata" aria-label={file.name} /> : <FileLine file={file} />;
}

export function Voice({ file }: { file: MediaFile }) {
  const { tr } = useWorld();
  const url = useMedia(file);
  const audio = useRef<HTMLAudioElement>(null);
  const [playing, setPlaying] = useState(false);
  const wave = file.waveform ?? Array.from({ length: 24 }, (_, at) => 300 + ((at * 137) % 400));
  const toggle = () => void (playing ? audio.current?.pause() : audio.current?.play());
  return (
    <div className="voice">
      <button type="button" className="icon" aria-label={tr.t("say.voice")} aria-pressed={playing} disabled={!url} onClick={toggle}><Icon name={playing ? "stop" : "play"} /></button>
      <span className="wave" aria-hidden="true">{wave.slice(0, 40).map((loud, at) => <i key={`${at}-${loud}`} style={{ height: `${Math.max(12, loud / 10.24)}%` }} />)}</span>
      {file.durationMs && <small>{Math.floor(file.durationMs / 60_000)}:{String(Math.round(file.durationMs / 1_000) % 60).padStart(2, "0")}</small>}
      {/* biome-ignore lint/a11y/useMediaCaption: a voice note has no captions */}
      {url && <audio ref={audio} src={url} onPlay={() => setPlaying(true)} onPause={() => setPlaying(false)} />}
    </div>
  );
}

export function FileLine({ file }: { file: MediaFile }) {
  const { chat, tr } = useWorld();
  const save = async () => {
    const blob = file.local ?? (await chat.media?.blob(file));
    if (!blob) return;
    const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };
  return (
    <button type="button" className="file" aria-label={tr.t("room.download", { name: file.name })} onClick={() => void save()}>
      <Icon name="file" /><span>{file.name}<br /><small>{tr.bytes(file.bytes)}</small></span>
    </button>
  );
}

export function Place({ message }: { message: Message }) {
  const { tr } = useWorld();
  const { location } = message;
  if (!location) return <p>{message.body}</p>;
  const { lat, lon } = location;
  return <a className="file" href={`https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=16/${lat}/${lon}`} target="_blank" rel="noopener noreferrer"><Icon name="place" /><span>{tr.t("say.location")}<br /><small>{lat.toFixed(4)}, {lon.toFixed(4)}</small></span></a>;
}

export function PollBox({ message, roomId }: { message: Message; roomId: string }) {
  const { chat, tr } = useWorld();
  const { poll } = message;
  if (!poll) return null;
  const vote = (id: string, mine: boolean) => {
    const others = poll.multiple ? poll.answers.filter((answer) => answer.mine && answer.id !== id).map((answer) => answer.id) : [];
    void chat.actions.vote(roomId, message.id, mine ? others : [...others, id]);
  };
  const most = Math.max(1, poll.voters);
  return (
    <div className="poll">
      <b>{poll.question}</b>
      {poll.answers.map((answer) => (
        <button key={answer.id} type="button" className="vote" aria-pressed={answer.mine} disabled={poll.ended} onClick={() => vote(answer.id, answer.mine)}>
          <i style={{ width: `${(answer.votes / most) * 100}%` }} /><span>{answer.text}</span><span>{tr.t("poll.votes", { n: answer.votes })}</span>
        </button>
      ))}
      <small>{tr.t("poll.voters", { n: poll.voters })}{poll.ended && ` · ${tr.t("poll.ended")}`}</small>
      {message.own && !poll.ended && <button type="button" className="button" onClick={() => void chat.actions.endPoll(roomId, message.id)}>{tr.t("poll.end")}</button>}
    </div>
  );
}
