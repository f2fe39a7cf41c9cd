import { expect, test } from "vitest";
import { find, matches } from "./hangul";

test("initial consonants find a name", () => {
  expect(matches("홍길동", "ㅎㄱㄷ")).toBe(true);
  expect(matches("우리 홍길동", "ㅎㄱ")).toBe(true);
  expect(matches("홍길동", "ㅎㄷ")).toBe(false);
});

test("a substring in the middle is found", () => {
  expect(find("오늘 저녁에 만나요", "저녁")).toBe(3);
  expect(matches("Mina Kim", "kim")).toBe(true);
});

test("a syllable that is still being typed finds what it may become", () => {
  expect(matches("홍길동", "호")).toBe(true);
  expect(matches("홍길동", "홍기")).toBe(true);
  expect(matches("하나", "한")).toBe(true);
  expect(matches("홍길동", "후")).toBe(false);
});
