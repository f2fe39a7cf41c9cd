import { expect, test } from "vitest";
import { unreadCounts } from "./unread";

const said = [1, 2, 3].map((ts) => ({ sender: "a", ts }));

test("the count falls as members read on", () => {
  const reader = (id: string, read: number) => ({ id, read, joinedTs: 0 });
  expect(unreadCounts(said, [reader("a", 2), reader("b", -1), reader("c", 1)])).toEqual([1, 1, 2]);
  expect(unreadCounts(said, [reader("a", 2), reader("b", 2), reader("c", 2)])).toEqual([0, 0, 0]);
});

test("whoever comes later does not raise it", () => {
  expect(unreadCounts(said, [{ id: "late", read: -1, joinedTs: 3 }])).toEqual([0, 0, 1]);
});
