import { useWorld } from "../context";

/** Our own pack: the haetae in eight moods, drawn from one head. */
const MOODS: Record<string, { mouth: string; eyes: string; extra?: string }> = {
  hello: { mouth: "M44 78q16 14 32 0", eyes: "M44 56h.1M76 56h.1", extra: "M98 70l10-14M104 76l14-8" },
  love: { mouth: "M46 78q14 12 28 0", eyes: "M40 54l4 5 4-5M72 54l4 5 4-5", extra: "M98 34c6-8 16 2 0 14-16-12-6-22 0-14Z" },
  laugh: { mouth: "M42 74q18 24 36 0Z", eyes: "M38 58q6-7 12 0M70 58q6-7 12 0" },
  sad: { mouth: "M46 84q14-12 28 0", eyes: "M44 58h.1M76 58h.1", extra: "M40 68q-5 8 0 10 5-2 0-10Z" },
  angry: { mouth: "M46 82h28", eyes: "M38 52l12 6M82 52l-12 6" },
  sleep: { mouth: "M54 80q6 5 12 0", eyes: "M38 58h12M70 58h12", extra: "M92 36h12l-12 14h12" },
  thanks: { mouth: "M48 78q12 9 24 0", eyes: "M38 58q6 6 12 0M70 58q6 6 12 0" },
  fire: { mouth: "M48 78q12 9 24 0", eyes: "M44 56h.1M76 56h.1", extra: "M100 92q-14-14 0-34 2 10 8 14 8 12-8 20Z" },
};

function svg(mood: string): string {
  const { mouth, eyes, extra = "" } = MOODS[mood] ?? { mouth: "", eyes: "" };
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120" width="240" height="240" fill="none" stroke="#1d4c41" stroke-width="5" stroke-linecap="round" stroke-linejoin="round"><path d="M60 10c-6 9-5 14 0 18 5-4 6-9 0-18Z" fill="#f2b84b" stroke="#c98a1b"/><path d="M28 52c-10-8-10-22 0-26 5 9 12 11 20 8 8-3 16-3 24 0 8 3 15 1 20-8 10 4 10 18 0 26 8 12 8 28 0 38-4 12-16 16-26 14-4 3-8 3-12 0-10 2-22-2-26-14-8-10-8-26 0-38Z" fill="#9fd6c0"/><path d="${eyes}" stroke-width="7"/><path d="M54 66q6 5 12 0"/><path d="${mouth}" fill="#fff6e6"/><path d="${extra}" stroke="#d2502a" fill="#ffd9a8"/></svg>`;
}

/** Other clients and our own viewer show PNG, never SVG from strangers: so it is drawn before it is sent. */
async function png(mood: string): Promise<Blob> {
  const picture = new Image();
  picture.src = `data:image/svg+xml,${encodeURIComponent(svg(mood))}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 240;
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  return new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture"))), "image/png"));
}

export default function Stickers({ roomId, onDone }: { roomId: string; onDone: () => void }) {
  const { chat, tr } = useWorld();
  const send = async (mood: string) => {
    const blob = await png(mood);
    await chat.post(roomId, "m.sticker", { body: mood, info: { mimetype: "image/png", size: blob.size, w: 240, h: 240 } }, [{ blob, name: `${mood}.png` }]);
    onDone();
  };
  return (
    <div className="picker stickers" role="group" aria-label={tr.t("room.sticker")}>
      {Object.keys(MOODS).map((mood) => <button key={mood} type="button" aria-label={mood} onClick={() => void send(mood)}><img alt="" src={`data:image/svg+xml,${encodeURIComponent(svg(mood))}`} /></button>)}
    </div>
  );
}
