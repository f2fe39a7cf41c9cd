import { expect, test } from "vitest";
import { en } from "./en";
import { fr } from "./fr";
import { type Key, particle, preferred, translator } from "./index";
import { ko } from "./ko";

test("every text names the same things in every language", () => {
  const named = (text: unknown) => [...new Set(JSON.stringify(text).match(/\{(\w+)/g) ?? [])].sort();
  for (const key of Object.keys(en) as Key[]) {
    expect(named(ko[key]), `ko ${key}`).toEqual(named(en[key]));
    expect(named(fr[key]), `fr ${key}`).toEqual(named(en[key]));
  }
});

test("Korean particles fit the end of the word", () => {
  expect(particle("하늘", "으로", "로")).toBe("로");
  expect(particle("부산", "으로", "로")).toBe("으로");
  expect(particle("제주", "이", "가")).toBe("가");
  expect(particle("홍길동", "이", "가")).toBe("이");
  expect(particle("7", "으로", "로")).toBe("로");
});

test("plurals follow the language", () => {
  expect(translator("en", en).t("room.unread", { n: 1 })).toBe("1 member has not read it");
  expect(translator("fr", fr).t("room.unread", { n: 0 })).toBe("0 membre ne l’a pas lu");
  expect(translator("ko", ko).t("room.unread", { n: 2 })).toBe("2명이 아직 읽지 않았어요");
});

test("the browser's wish decides", () => {
  expect(preferred(["de-DE", "fr-CA", "en"])).toBe("fr");
  expect(preferred(["ja"])).toBe("en");
});
