import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useValue, useWords, useWorld } from "../context";
import { Check, Dialog, Field, useTask } from "./basics";

/** Makes a group or an open chat. */
export default function NewChat({ onClose, open = false }: { onClose: () => void; open?: boolean }) {
  const { chat, tr } = useWorld();
  useValue(chat.rooms);
  const [name, setName] = useState("");
  const [topic, setTopic] = useState("");
  const [chosen, setChosen] = useState<string[]>([]);
  const [ids, setIds] = useState("");
  const [secret, setSecret] = useState(false);
  const [knock, setKnock] = useState(false);
  const { busy, error, run } = useTask();
  const words = useWords();
  const navigate = useNavigate();
  const friends = chat.actions.friends();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const invite = [...chosen, ...ids.split(/[\s,]+/).filter(Boolean)];
      const roomId = await chat.actions.createRoom({ name, topic, invite, kind: open ? "open" : "group", secret, knock });
      onClose();
      await navigate({ to: "/chats/$roomId", params: { roomId } });
    });
  };
  return (
    <Dialog title={tr.t(open ? "create.open" : "create.group")} onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <Field label={tr.t("create.name")} required maxLength={120} value={name} onChange={(event) => setName(event.target.value)} />
        {open && <Field label={tr.t("create.topic")} maxLength={300} value={topic} onChange={(event) => setTopic(event.target.value)} />}
        {!open && (
          <fieldset style={{ border: 0, padding: 0, margin: 0 }}>
            <legend className="heading" style={{ padding: 0 }}>{tr.t("create.who")}</legend>
            {friends.map((friend) => <Check key={friend.id} label={friend.name} checked={chosen.includes(friend.id)} onChange={(on) => setChosen(on ? [...chosen, friend.id] : chosen.filter((id) => id !== friend.id))} />)}
            <Field label={tr.t("info.inviteId")} hint={tr.t("friends.byIdHint")} autoCapitalize="none" value={ids} onChange={(event) => setIds(event.target.value)} />
          </fieldset>
        )}
        {open ? <Check label={tr.t("create.knock")} checked={knock} onChange={setKnock} /> : <Check label={tr.t("create.secret")} hint={tr.t("create.secretHint")} checked={secret} onChange={setSecret} />}
        {error !== null && <p className="error" role="alert">{words(error)}</p>}
        <button type="submit" className="button main" disabled={busy}>{tr.t("create.do")}</button>
      </form>
    </Dialog>
  );
}
