import { useEffect, useRef, useState } from "react";
import { useWorld } from "../context";
import { Icon } from "./icons";

const STEP_MS = 100;

/** Records a voice message and its loudness. */
export function Recorder({ roomId, onDone }: { roomId: string; onDone: () => void }) {
  const { chat, tr } = useWorld();
  const [seconds, setSeconds] = useState(0);
  const [failed, setFailed] = useState(false);
  const end = useRef<(send: boolean) => void>(onDone);
  const done = useRef(onDone);
  done.current = onDone;
  useEffect(() => {
    let stop = () => {};
    const begin = async () => {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const recorder = new MediaRecorder(stream);
      const context = new AudioContext();
      const analyser = context.createAnalyser();
      context.createMediaStreamSource(stream).connect(analyser);
      const parts: Blob[] = [];
      const loud: number[] = [];
      const started = Date.now();
      const data = new Uint8Array(analyser.fftSize);
      const timer = setInterval(() => {
        analyser.getByteTimeDomainData(data);
        loud.push(Math.min(1024, Math.max(...data.map((value) => Math.abs(value - 128))) * 8));
        setSeconds(Math.floor((Date.now() - started) / 1_000));
      }, STEP_MS);
      stop = () => {
        clearInterval(timer);
        void context.close();
        for (const track of stream.getTracks()) track.stop();
      };
      recorder.ondataavailable = (event) => parts.push(event.data);
      recorder.start();
      end.current = (send) => {
        recorder.onstop = () => {
          const blob = new Blob(parts, { type: recorder.mimeType.split(";")[0] ?? "audio/webm" });
          const duration = Date.now() - started;
          const step = Math.max(1, Math.ceil(loud.length / 60));
          const waveform = loud.filter((_, at) => at % step === 0);
          if (send) void chat.post(roomId, "m.room.message", { msgtype: "m.audio", body: "voice.webm", filename: "voice.webm", info: { mimetype: blob.type, size: blob.size, duration }, "org.matrix.msc3245.voice": {}, "org.matrix.msc1767.audio": { duration, waveform } }, [{ blob, name: "voice.webm" }]);
          done.current();
        };
        recorder.stop();
      };
    };
    begin().catch(() => setFailed(true));
    return () => stop();
  }, [chat, roomId]);
  return (
    <div className="composer" role="group" aria-label={tr.t("room.voice")}>
      <button type="button" className="icon" aria-label={tr.t("room.voiceCancel")} onClick={() => (failed ? onDone() : end.current(false))}><Icon name="close" /></button>
      <p style={{ flex: 1, alignSelf: "center" }} role="status">{failed ? tr.t("error.other", { code: "microphone" }) : `● ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`}</p>
      {!failed && <button type="button" className="icon send" aria-label={tr.t("room.voiceStop")} onClick={() => end.current(true)}><Icon name="send" /></button>}
    </div>
  );
}
