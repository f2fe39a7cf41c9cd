import { type Device, localpart, type Profile, shrink } from "@haechi/chat-core";
import { LANGUAGES } from "@haechi/i18n";
import { type ReactNode, useEffect, useState } from "react";
import { type Preferences, useValue, useWords, useWorld } from "../context";
import { Avatar, Check, Field, useTask } from "../parts/basics";

export function MoreScreen() {
  const { tr } = useWorld();
  return (
    <main className="pane list">
      <header className="top"><h1>{tr.t("tab.more")}</h1></header>
      <div className="scroll pad">
        <MyProfile />
        <Looks />
        <Notifications />
        <Privacy />
        <Recovery />
        <Devices />
        <Account />
      </div>
    </main>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return <section className="card form" style={{ marginBottom: 14 }}><h2>{title}</h2>{children}</section>;
}

function MyProfile() {
  const { chat, tr } = useWorld();
  const engine = useValue(chat.engine);
  const [me, setMe] = useState<Profile | null>(null);
  const [name, setName] = useState("");
  const [status, setStatus] = useState("");
  const { busy, error, run } = useTask();
  const words = useWords();
  const get = () => void chat.actions.profile(chat.actions.me).then((found) => { setMe(found); setName(found.name); setStatus(found.status); }, () => undefined);
  useEffect(() => {
    if (engine) get();
  }, [engine]);
  const save = (picture?: Blob) => run(() => chat.actions.setProfile({ name, status, ...(picture ? { picture } : {}) })).then(get);
  return (
    <Section title={tr.t("more.profile")}>
      <div className="line">
        <Avatar mxc={me?.avatar ?? null} id={chat.actions.me} name={me?.name ?? localpart(chat.actions.me)} size={72} />
        <span className="grow">{chat.actions.me}</span>
        <label className="button">{tr.t("more.picture")}<input className="sr" type="file" accept="image/*" onChange={(event) => { const file = event.target.files?.[0]; if (file) void shrink(file).then(({ blob }) => save(blob)); }} /></label>
      </div>
      <form className="form" onSubmit={(event) => { event.preventDefault(); void save(); }}>
        <Field label={tr.t("more.name")} maxLength={80} value={name} onChange={(event) => setName(event.target.value)} />
        <Field label={tr.t("more.status")} maxLength={140} value={status} onChange={(event) => setStatus(event.target.value)} />
        {error !== null && <p className="error" role="alert">{words(error)}</p>}
        <button type="submit" className="button" disabled={busy || !engine}>{tr.t("info.save")}</button>
      </form>
    </Section>
  );
}

function Choice<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: [T, string][]; onChange: (value: T) => void }) {
  return <label className="field">{label}<select value={value} onChange={(event) => onChange(event.target.value as T)}>{options.map(([one, name]) => <option key={one} value={one}>{name}</option>)}</select></label>;
}

function Looks() {
  const { tr, prefs, setPrefs } = useWorld();
  const languages: [Preferences["language"], string][] = [["auto", tr.t("more.auto")], ...LANGUAGES.map(({ code, name }) => [code, name] as [Preferences["language"], string])];
  return (
    <Section title={tr.t("more.settings")}>
      <Choice label={tr.t("more.language")} value={prefs.language} options={languages} onChange={(language) => setPrefs({ language })} />
      <Choice label={tr.t("more.theme")} value={prefs.theme} options={[["auto", tr.t("more.auto")], ["light", tr.t("more.light")], ["dark", tr.t("more.dark")]]} onChange={(theme) => setPrefs({ theme })} />
      <Choice label={tr.t("more.textSize")} value={prefs.size} options={[["small", tr.t("more.small")], ["normal", tr.t("more.normal")], ["large", tr.t("more.large")], ["huge", tr.t("more.huge")]]} onChange={(size) => setPrefs({ size })} />
    </Section>
  );
}

function Notifications() {
  const { chat, tr, prefs, setPrefs } = useWorld();
  useValue(chat.rooms);
  const [denied, setDenied] = useState(false);
  const [word, setWord] = useState("");
  const [words, setWords] = useState<string[] | null>(null);
  const shown = words ?? chat.actions.keywords();
  const turn = async (on: boolean) => {
    const allowed = !on || ("Notification" in globalThis && (await Notification.requestPermission()) === "granted");
    setDenied(!allowed);
    setPrefs({ notify: on && allowed });
  };
  const keyword = (one: string, on: boolean) => {
    void chat.actions.setKeyword(one, on);
    setWords(on ? [...shown, one] : shown.filter((other) => other !== one));
  };
  return (
    <Section title={tr.t("more.notifications")}>
      <Check label={tr.t("more.notifyOn")} checked={prefs.notify} onChange={(on) => void turn(on)} />
      {denied && <p className="error" role="alert">{tr.t("more.notifyDenied")}</p>}
      <Check label={tr.t("more.notifyHide")} checked={prefs.notifyHide} onChange={(notifyHide) => setPrefs({ notifyHide })} />
      <form onSubmit={(event) => { event.preventDefault(); if (word.trim()) keyword(word.trim(), true); setWord(""); }}>
        <Field label={tr.t("more.keywords")} hint={tr.t("more.keywordsHint")} value={word} onChange={(event) => setWord(event.target.value)} />
      </form>
      <div className="line">{shown.map((one) => <button key={one} type="button" className="chip" onClick={() => keyword(one, false)}>{one} ×</button>)}</div>
    </Section>
  );
}

function Privacy() {
  const { chat, tr, prefs, setPrefs } = useWorld();
  useValue(chat.rooms);
  const [gone, setGone] = useState<string[]>([]);
  const blocked = chat.actions.blocked().filter((id) => !gone.includes(id));
  return (
    <Section title={tr.t("more.privacy")}>
      <Check label={tr.t("more.quietRead")} checked={prefs.quietRead} onChange={(quietRead) => setPrefs({ quietRead })} />
      <Check label={tr.t("more.quietTyping")} checked={prefs.quietTyping} onChange={(quietTyping) => setPrefs({ quietTyping })} />
      <h3>{tr.t("more.blocked")}</h3>
      {blocked.length === 0 && <p>{tr.t("more.noneBlocked")}</p>}
      {blocked.map((id) => <div key={id} className="line"><span style={{ flex: 1 }}>{id}</span><button type="button" className="button" onClick={() => { setGone([...gone, id]); void chat.actions.block(id, false); }}>{tr.t("people.unblock")}</button></div>)}
    </Section>
  );
}

function Recovery() {
  const { chat, tr } = useWorld();
  const [password, setPassword] = useState("");
  const [key, setKey] = useState("");
  const { busy, error, run } = useTask();
  const words = useWords();
  return (
    <Section title={tr.t("more.recovery")}>
      <p>{tr.t("more.recoveryHint")}</p>
      {key ? <><p role="status">{tr.t("more.recoveryDone")}</p><code style={{ fontSize: "1.1rem" }}>{key}</code></> : (
        <form className="form" onSubmit={(event) => { event.preventDefault(); void run(async () => setKey(await chat.actions.makeRecoveryKey(password))); }}>
          <input type="hidden" name="username" autoComplete="username" value={chat.actions.me} />
          <Field label={tr.t("more.password")} type="password" autoComplete="current-password" required value={password} onChange={(event) => setPassword(event.target.value)} />
          {error !== null && <p className="error" role="alert">{words(error)}</p>}
          <button type="submit" className="button" disabled={busy}>{busy ? tr.t("start.busy") : tr.t("more.recoveryMake")}</button>
        </form>
      )}
    </Section>
  );
}

function Devices() {
  const { chat, tr } = useWorld();
  const engine = useValue(chat.engine);
  const [devices, setDevices] = useState<Device[]>([]);
  const [leaving, setLeaving] = useState<string | null>(null);
  const [password, setPassword] = useState("");
  const { busy, error, run } = useTask();
  const words = useWords();
  const get = () => void chat.actions.devices().then(setDevices, () => undefined);
  useEffect(() => {
    if (engine) get();
  }, [engine]);
  const out = (id: string) => run(() => chat.actions.removeDevice(id, password)).then((done) => { if (done) setLeaving(null); get(); });
  return (
    <Section title={tr.t("more.devices")}>
      {devices.map((device) => (
        <div key={device.id}>
          <div className="line">
            <span className="grow">{device.name}<br /><small>{device.own ? tr.t("more.thisDevice") : tr.t("more.deviceSeen", { when: tr.brief(device.seenTs) })}</small></span>
            {!device.own && <button type="button" className="button danger" onClick={() => setLeaving(device.id)}>{tr.t("more.deviceOut")}</button>}
          </div>
          {leaving === device.id && (
            <form className="form" onSubmit={(event) => { event.preventDefault(); void out(device.id); }}>
              <Field label={tr.t("more.password")} type="password" autoComplete="current-password" required value={password} onChange={(event) => setPassword(event.target.value)} />
              {error !== null && <p className="error" role="alert">{words(error)}</p>}
              <button type="submit" className="button" disabled={busy}>{tr.t("more.deviceOut")}</button>
            </form>
          )}
        </div>
      ))}
    </Section>
  );
}

function Account() {
  const { chat, tr } = useWorld();
  const [used, setUsed] = useState<number | null>(null);
  const [deleting, setDeleting] = useState(false);
  const [password, setPassword] = useState("");
  const { busy, error, run } = useTask();
  const words = useWords();
  useEffect(() => {
    void navigator.storage?.estimate().then(({ usage }) => setUsed(usage ?? 0));
  }, []);
  const save = () => run(async () => {
    const url = URL.createObjectURL(await chat.actions.exportData());
    const link = document.createElement("a");
    link.href = url;
    link.download = "haechi.json";
    link.click();
  });
  return (
    <Section title={tr.t("more.storage")}>
      {used !== null && <p>{tr.t("more.storageUsed", { size: tr.bytes(used) })}</p>}
      <button type="button" className="button" disabled={busy} onClick={() => void save()}>{tr.t("more.export")}</button>
      <button type="button" className="button" onClick={() => { if (confirm(tr.t("more.signOutSure"))) void chat.signOut(); }}>{tr.t("more.signOut")}</button>
      <button type="button" className="button danger" onClick={() => setDeleting(!deleting)}>{tr.t("more.delete")}</button>
      {deleting && (
        <form className="form" onSubmit={(event) => { event.preventDefault(); void run(() => chat.actions.deleteAccount(password)); }}>
          <p>{tr.t("more.deleteSure")}</p>
          <Field label={tr.t("more.password")} type="password" autoComplete="current-password" required value={password} onChange={(event) => setPassword(event.target.value)} />
          {error !== null && <p className="error" role="alert">{words(error)}</p>}
          <button type="submit" className="button danger" disabled={busy}>{tr.t("more.delete")}</button>
        </form>
      )}
    </Section>
  );
}
