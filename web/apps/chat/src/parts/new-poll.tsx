import { pollContent } from "@haechi/viewmodels";
import { useState } from "react";
import { useWorld } from "../context";
import { Check, Dialog, Field } from "./basics";

const ANSWERS_MAX = 20;

export default function NewPoll({ roomId, onClose }: { roomId: string; onClose: () => void }) {
  const { chat, tr } = useWorld();
  const [question, setQuestion] = useState("");
  const [answers, setAnswers] = useState(["", ""]);
  const [multiple, setMultiple] = useState(false);
  const given = answers.map((answer) => answer.trim()).filter(Boolean);
  const send = () => {
    void chat.post(roomId, "org.matrix.msc3381.poll.start", pollContent(question.trim(), given, multiple));
    onClose();
  };
  return (
    <Dialog title={tr.t("room.poll")} onClose={onClose}>
      <form className="form" onSubmit={(event) => { event.preventDefault(); send(); }}>
        <Field label={tr.t("poll.question")} required maxLength={300} value={question} onChange={(event) => setQuestion(event.target.value)} />
        {/* biome-ignore lint/suspicious/noArrayIndexKey: an option is its place */}
        {answers.map((answer, at) => <Field key={at} label={tr.t("poll.option", { n: at + 1 })} required={at < 2} maxLength={120} value={answer} onChange={(event) => setAnswers(answers.with(at, event.target.value))} />)}
        {answers.length < ANSWERS_MAX && <button type="button" className="button" onClick={() => setAnswers([...answers, ""])}>{tr.t("poll.add")}</button>}
        <Check label={tr.t("poll.multiple")} checked={multiple} onChange={setMultiple} />
        <button type="submit" className="button main" disabled={!question.trim() || given.length < 2}>{tr.t("poll.create")}</button>
      </form>
    </Dialog>
  );
}
