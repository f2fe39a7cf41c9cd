/** Texts in Korean, English and French; plurals, Korean particles, dates and numbers. */
import { en } from "./en";

export type Key = keyof typeof en;
export type Text = string | { one?: string; other: string };
export type Texts = Record<Key, Text>;
export type Language = "ko" | "en" | "fr";
export const LANGUAGES: { code: Language; name: string }[] = [
  { code: "ko", name: "한국어" },
  { code: "en", name: "English" },
  { code: "fr", name: "Français" },
];

export type Values = Record<string, string | number>;

export interface Translator {
  language: Language;
  t(key: Key, values?: Values): string;
  /** Hour and minute. */
  time(ts: number): string;
  /** The day, as a heading between messages. */
  day(ts: number): string;
  /** Time today, else day: beside a chat in the list. */
  brief(ts: number): string;
  number(n: number): string;
  bytes(n: number): string;
}

/** The language this browser asks for first, of those we have. */
export function preferred(asked: readonly string[]): Language {
  const found = asked.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.some(({ code }) => code === tag));
  return (found as Language | undefined) ?? "en";
}

/** Loads a language; English is always there. */
export async function load(language: Language): Promise<Translator> {
  const texts = language === "ko" ? (await import("./ko")).ko : language === "fr" ? (await import("./fr")).fr : en;
  return translator(language, texts);
}

export function translator(language: Language, texts: Texts): Translator {
  const plural = new Intl.PluralRules(language);
  const number = new Intl.NumberFormat(language);
  const time = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" });
  const day = new Intl.DateTimeFormat(language, { year: "numeric", month: "long", day: "numeric", weekday: "long" });
  const short = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
  const old = new Intl.DateTimeFormat(language, { year: "numeric", month: "numeric", day: "numeric" });

  const t = (key: Key, values: Values = {}): string => {
    const text = texts[key];
    const form = typeof text === "string" ? text : ((plural.select(Number(values.n ?? 0)) === "one" ? text.one : undefined) ?? text.other);
    return fill(form, values, number);
  };
  const daysAgo = (ts: number) => Math.round((midnight(Date.now()) - midnight(ts)) / 86_400_000);
  return {
    language,
    t,
    time: (ts) => time.format(ts),
    day: (ts) => (daysAgo(ts) === 0 ? t("day.today") : daysAgo(ts) === 1 ? t("day.yesterday") : day.format(ts)),
    brief: (ts) => {
      const ago = daysAgo(ts);
      if (ago === 0) return time.format(ts);
      if (ago === 1) return t("day.yesterday");
      return new Date(ts).getFullYear() === new Date().getFullYear() ? short.format(ts) : old.format(ts);
    },
    number: (n) => number.format(n),
    bytes: (n) => {
      const step = n < 1_000_000 ? 1 : 2;
      const unit = step === 1 ? "kilobyte" : "megabyte";
      return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: step - 1 }).format(n / 1_000 ** step);
    },
  };
}

function midnight(ts: number): number {
  return new Date(ts).setHours(0, 0, 0, 0);
}

function fill(text: string, values: Values, number: Intl.NumberFormat): string {
  return text.replace(/\{(\w+)(?::([^/}]+)\/([^}]+))?\}/g, (whole, name: string, closed?: string, open?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    const shown = typeof value === "number" ? number.format(value) : value;
    return closed && open ? particle(shown, closed, open) : shown;
  });
}

/** The Korean particle that fits how `word` ends: `closed` behind a consonant, `open` behind a vowel. 으로/로 has a rule of its own for ㄹ. */
export function particle(word: string, closed: string, open: string): string {
  const last = [...word].findLast((char) => /[\p{L}\p{N}]/u.test(char)) ?? "";
  const code = (last.codePointAt(0) ?? 0) - 0xac00;
  if (code >= 0 && code < 11_172) {
    const final = code % 28;
    return final === 0 || (final === 8 && closed === "으로") ? open : closed;
  }
  // Digits as they are read in Korean: 영 일 이 삼 사 오 육 칠 팔 구.
  if (/[01367 8]/.test(last)) return /[178]/.test(last) && closed === "으로" ? open : closed;
  return /[lmnLMN]/.test(last) && !(closed === "으로" && /[lL]/.test(last)) ? closed : open;
}

export { en };
