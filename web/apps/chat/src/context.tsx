import { Chat, type Observable } from "@haechi/chat-core";
import { en, type Language, load, preferred, type Translator, translator } from "@haechi/i18n";
import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from "react";

export interface Preferences {
  language: Language | "auto";
  theme: "auto" | "light" | "dark";
  size: "small" | "normal" | "large" | "huge";
  quietRead: boolean;
  quietTyping: boolean;
  notify: boolean;
  notifyHide: boolean;
}

const STANDARD: Preferences = { language: "auto", theme: "auto", size: "normal", quietRead: false, quietTyping: false, notify: false, notifyHide: false };
const KEY = "haechi.preferences";

interface World {
  chat: Chat;
  tr: Translator;
  prefs: Preferences;
  setPrefs(change: Partial<Preferences>): void;
}

const Context = createContext<World | null>(null);

/** The one chat of this tab. */
export const chat = new Chat(location.origin);

function kept(): Preferences {
  return { ...STANDARD, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
}

function language(prefs: Preferences): Language {
  return prefs.language === "auto" ? preferred(navigator.languages) : prefs.language;
}

/** The texts for the first paint. */
export function firstTexts(): Promise<Translator> {
  return load(language(kept()));
}

export function World({ first, children }: { first: Translator; children: ReactNode }) {
  const [prefs, change] = useState(kept);
  const [tr, setTr] = useState(first ?? translator("en", en));
  const wanted = language(prefs);
  useEffect(() => {
    if (tr.language !== wanted) void load(wanted).then(setTr);
    document.documentElement.lang = tr.language;
  }, [wanted, tr]);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const apply = () => {
      const root = document.documentElement;
      root.dataset.theme = prefs.theme === "auto" ? (dark.matches ? "dark" : "light") : prefs.theme;
      root.dataset.size = prefs.size;
    };
    apply();
    dark.addEventListener("change", apply);
    return () => dark.removeEventListener("change", apply);
  }, [prefs.theme, prefs.size]);
  const setPrefs = (part: Partial<Preferences>) => {
    const next = { ...prefs, ...part };
    localStorage.setItem(KEY, JSON.stringify(next));
    change(next);
  };
  return <Context value={{ chat, tr, prefs, setPrefs }}>{children}</Context>;
}

export function useWorld(): World {
  const world = useContext(Context);
  if (!world) throw new Error("no World around this");
  return world;
}

export function useValue<T>(value: Observable<T>): T {
  return useSyncExternalStore(value.subscribe, value.get);
}

/** The words for what went wrong. */
export function useWords(): (error: unknown) => string {
  const { tr } = useWorld();
  return (error) => {
    const code = String((error as { code?: string; errcode?: string } | null)?.code ?? (error as { errcode?: string } | null)?.errcode ?? "");
    const key = `error.${code}`;
    if (key in en) return tr.t(key as keyof typeof en);
    return code ? tr.t("error.other", { code }) : tr.t("error.network");
  };
}
