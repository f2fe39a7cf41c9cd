import type { Member, Message } from "@haechi/chat-core";

/** The content of a text message: what it answers, whom it names. */
export function textContent(body: string, reply: Message | null, members: readonly Member[]): Record<string, unknown> {
  const named = members.filter((member) => body.includes(`@${member.name}`)).map((member) => member.id);
  const mentioned = reply && !reply.own ? [...new Set([...named, reply.sender])] : named;
  const content: Record<string, unknown> = { msgtype: "m.text", body, "m.mentions": mentioned.length > 0 ? { user_ids: mentioned } : {} };
  if (reply) content["m.relates_to"] = { "m.in_reply_to": { event_id: reply.id } };
  return content;
}

/** The content that replaces a message's text. */
export function editContent(body: string, of: Message): Record<string, unknown> {
  return {
    msgtype: "m.text",
    body: `* ${body}`,
    "m.new_content": { msgtype: "m.text", body, "m.mentions": {} },
    "m.mentions": {},
    "m.relates_to": { rel_type: "m.replace", event_id: of.id },
  };
}

/** The content of a new poll. */
export function pollContent(question: string, answers: string[], multiple: boolean): Record<string, unknown> {
  const lines = answers.map((answer, at) => `${at + 1}. ${answer}`).join("\n");
  return {
    body: `${question}\n${lines}`,
    "org.matrix.msc1767.text": `${question}\n${lines}`,
    "org.matrix.msc3381.poll.start": {
      kind: "org.matrix.msc3381.poll.disclosed",
      max_selections: multiple ? answers.length : 1,
      question: { "org.matrix.msc1767.text": question, body: question, msgtype: "m.text" },
      answers: answers.map((answer, at) => ({ id: String(at + 1), "org.matrix.msc1767.text": answer })),
    },
  };
}

/** Does Enter send? Not while a syllable is being composed, and not with Shift. */
export function sends(event: { key: string; shiftKey: boolean; isComposing: boolean; keyCode: number }): boolean {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}

/** A text cut into plain parts and links; only http and https become links. */
export function linked(text: string): { text: string; href?: string }[] {
  const parts: { text: string; href?: string }[] = [];
  let end = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g)) {
    if (found.index > end) parts.push({ text: text.slice(end, found.index) });
    parts.push({ text: found[0], href: found[0] });
    end = found.index + found[0].length;
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** Is it nothing but up to three emoji, which are drawn large? */
export function isBigEmoji(text: string): boolean {
  const chars = [...new Intl.Segmenter().segment(text.trim())].map((part) => part.segment);
  return chars.length > 0 && chars.length <= 3 && chars.every((char) => /^\p{Extended_Pictographic}/u.test(char));
}
