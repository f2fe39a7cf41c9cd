/** One member's way through a room: the place in the timeline up to which they have read. */
export interface Reader {
  id: string;
  /** Index of the last message they read or wrote; -1 for none of these. */
  read: number;
  /** When they came; what was said before is not theirs to read. */
  joinedTs: number;
}

/**
 * How many members have not read each message, as KakaoTalk shows it beside the bubble. It only falls:
 * whoever joins later does not raise it. Each reader is unread from one place to the end, so that two
 * marks for each and one pass are enough.
 */
export function unreadCounts(messages: { sender: string; ts: number }[], readers: Reader[]): number[] {
  const starts = new Array<number>(messages.length + 1).fill(0);
  for (const reader of readers) {
    const came = messages.findIndex((message) => message.ts >= reader.joinedTs);
    const from = Math.max(reader.read + 1, came < 0 ? messages.length : came);
    starts[from] = (starts[from] ?? 0) + 1;
  }
  let count = 0;
  return messages.map((_, at) => (count += starts[at] ?? 0));
}
