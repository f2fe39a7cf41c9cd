import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { useWorld } from "../context";
import { Haetae, Icon } from "./icons";

const TINTS = ["#f3c98b", "#a9d8c4", "#f0b3a0", "#c5cfe8", "#dcc7e4", "#cbd99a", "#e7d3bd"];

/** A picture, or the first letter on a colour of the id's own. */
export function Avatar({ mxc, id, name, size = 44 }: { mxc: string | null; id: string; name: string; size?: number }) {
  const { chat } = useWorld();
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    let gone = false;
    setUrl(null);
    if (mxc) void chat.media?.thumbnail(mxc, size > 64 ? 256 : 96).then((found) => !gone && setUrl(found), () => undefined);
    return () => {
      gone = true;
    };
  }, [mxc, size, chat]);
  const style = { width: size, height: size, fontSize: size * 0.42 };
  if (url) return <img className="avatar" src={url} alt="" style={style} />;
  const tint = TINTS[[...id].reduce((sum, char) => (sum * 31 + (char.codePointAt(0) ?? 0)) % 9973, 7) % TINTS.length];
  return <span aria-hidden="true" className="avatar" style={{ ...style, background: tint }}>{[...name.replace(/^[@#!]/, "")][0]?.toUpperCase() ?? "·"}</span>;
}

export function Empty({ title, hint, children }: { title: string; hint?: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <Haetae size={72} />
      <h2>{title}</h2>
      {hint && <p>{hint}</p>}
      {children}
    </div>
  );
}

/** A dialog; the element keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const { tr } = useWorld();
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  return (
    <dialog ref={ref} className="box" aria-labelledby={id} onClose={onClose}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" className="icon" aria-label={tr.t("room.close")} onClick={onClose}><Icon name="close" /></button>
      </header>
      {children}
    </dialog>
  );
}

export function Field({ label, hint, ...input }: { label: string; hint?: string } & React.InputHTMLAttributes<HTMLInputElement>) {
  return (
    <label className="field">
      {label}
      <input {...input} />
      {hint && <span className="hint">{hint}</span>}
    </label>
  );
}

export function Check({ label, hint, checked, onChange }: { label: string; hint?: string; checked: boolean; onChange: (on: boolean) => void }) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      <span>{label}{hint && <small>{hint}</small>}</span>
    </label>
  );
}

/** Runs something that may fail; says so. */
export function useTask(): { busy: boolean; error: unknown; run: (task: () => Promise<unknown>) => Promise<boolean> } {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (task: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setError(null);
    return task().then(
      () => true,
      (failure: unknown) => {
        setError(failure ?? new Error("failed"));
        return false;
      },
    ).finally(() => setBusy(false));
  };
  return { busy, error, run };
}
