import qrcode from "qrcode-generator";
import { useEffect, useRef, useState } from "react";
import { useWorld } from "../context";

/** My own code, and reading that of somebody else: by camera or from a picture. */
export default function MyCode({ onFound }: { onFound: (text: string) => void }) {
  const { chat, tr } = useWorld();
  const link = `${location.origin}/u/${encodeURIComponent(chat.actions.me)}`;
  const [scanning, setScanning] = useState(false);
  const [copied, setCopied] = useState(false);
  const code = qrcode(0, "M");
  code.addData(link);
  code.make();
  const count = code.getModuleCount();
  const dark = Array.from({ length: count * count }, (_, at) => at).filter((at) => code.isDark(Math.floor(at / count), at % count));
  const path = dark.map((at) => `M${at % count} ${Math.floor(at / count)}h1v1h-1z`).join("");
  const fromPicture = async (file: File | undefined) => {
    if (!file) return;
    const found = await decode(await createImageBitmap(file));
    if (found) onFound(found);
  };
  return (
    <div className="form" style={{ marginTop: 16 }}>
      <div className="qr" role="img" aria-label={tr.t("friends.myQr")} data-link={link}>
        <svg viewBox={`0 0 ${count} ${count}`} width="240" aria-hidden="true"><path d={path} fill="#1d2b26" shapeRendering="crispEdges" /></svg>
      </div>
      <div className="line">
        <button type="button" className="button" onClick={() => void navigator.clipboard.writeText(link).then(() => setCopied(true))}>{tr.t(copied ? "friends.copied" : "friends.link")}</button>
        <button type="button" className="button" onClick={() => setScanning(!scanning)}>{tr.t("friends.scan")}</button>
        <label className="button">{tr.t("friends.scanFile")}<input className="sr" type="file" accept="image/*" onChange={(event) => void fromPicture(event.target.files?.[0])} /></label>
      </div>
      {scanning && <Camera onFound={(text) => { setScanning(false); onFound(text); }} />}
    </div>
  );
}

async function decode(picture: ImageBitmap | HTMLVideoElement): Promise<string | null> {
  const { default: read } = await import("jsqr");
  const [width, height] = picture instanceof HTMLVideoElement ? [picture.videoWidth, picture.videoHeight] : [picture.width, picture.height];
  const canvas = new OffscreenCanvas(width, height);
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  if (!paint || width === 0) return null;
  paint.drawImage(picture, 0, 0);
  return read(paint.getImageData(0, 0, width, height).data, width, height)?.data ?? null;
}

function Camera({ onFound }: { onFound: (text: string) => void }) {
  const { tr } = useWorld();
  const ref = useRef<HTMLVideoElement>(null);
  const found = useRef(onFound);
  found.current = onFound;
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let stream: MediaStream | null = null;
    let timer: ReturnType<typeof setInterval> | undefined;
    const begin = async () => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      const video = ref.current;
      if (!video) return;
      video.srcObject = stream;
      await video.play();
      timer = setInterval(() => void decode(video).then((text) => text && found.current(text)), 300);
    };
    begin().catch(() => setFailed(true));
    return () => {
      clearInterval(timer);
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, []);
  if (failed) return <p className="error" role="alert">{tr.t("friends.noCamera")}</p>;
  return <video ref={ref} muted playsInline style={{ width: "100%", borderRadius: 16 }} />;
}
