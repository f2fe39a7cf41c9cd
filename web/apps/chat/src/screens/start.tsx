import { LANGUAGES } from "@haechi/i18n";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useValue, useWords, useWorld } from "../context";
import { Field, useTask } from "../parts/basics";
import { Haetae } from "../parts/icons";

export function StartScreen() {
  const { chat, tr, prefs, setPrefs } = useWorld();
  const operator = useValue(chat.operator);
  const [mode, setMode] = useState<"up" | "in">("up");
  const [id, setId] = useState("");
  const [password, setPassword] = useState("");
  const [token, setToken] = useState("");
  const { busy, error, run } = useTask();
  const words = useWords();
  const navigate = useNavigate();
  const search = useSearch({ from: "/start" });
  const closed = operator?.registration === "closed";
  const up = mode === "up" && !closed;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const done = await run(() => (up ? chat.signUp(id, password, token) : chat.signIn(id, password)));
    if (done) await navigate({ to: search.to ? decodeURIComponent(search.to) : "/chats", replace: true });
  };

  return (
    <main className="start">
      <div>
        <div className="head">
          <Haetae size={96} />
          <h1>{operator?.name ?? "Haechi"}</h1>
          <p>{operator?.welcome || tr.t("app.tagline")}</p>
        </div>
        <form className="card form" onSubmit={(event) => void submit(event)}>
          <h2>{tr.t(up ? "start.create" : "start.signin")}</h2>
          <Field label={tr.t("start.id")} hint={up ? tr.t("start.idHint") : ""} name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required value={id} onChange={(event) => setId(event.target.value)} />
          <Field label={tr.t("start.password")} hint={up ? tr.t("start.passwordHint") : ""} name="password" type="password" autoComplete={up ? "new-password" : "current-password"} minLength={up ? 8 : 1} required value={password} onChange={(event) => setPassword(event.target.value)} />
          {up && operator?.registration === "token" && <Field label={tr.t("start.token")} name="token" required value={token} onChange={(event) => setToken(event.target.value)} />}
          {error !== null && <p className="error" role="alert">{words(error)}</p>}
          <button type="submit" className="button main" disabled={busy}>{busy ? tr.t("start.busy") : tr.t(up ? "start.create" : "start.signin")}</button>
          {closed ? <p className="hint">{tr.t("start.closed")}</p> : <button type="button" className="button" onClick={() => setMode(up ? "in" : "up")}>{tr.t(up ? "start.have" : "start.create")}</button>}
        </form>
        <div className="languages">
          {LANGUAGES.map(({ code, name }) => (
            <button key={code} type="button" lang={code} aria-pressed={tr.language === code} onClick={() => setPrefs({ ...prefs, language: code })}>{name}</button>
          ))}
        </div>
      </div>
    </main>
  );
}
