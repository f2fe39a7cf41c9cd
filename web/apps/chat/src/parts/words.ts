import type { Preview, SystemNote } from "@haechi/chat-core";
import type { Key, Translator } from "@haechi/i18n";

/** What a message says, in a line. */
export function say(tr: Translator, preview: Preview): string {
  const { kind, body, sender, system } = preview;
  if (kind === "none") return "";
  if (kind === "system") return system ? tell(tr, system) : "";
  const named = sender ? `${sender}: ` : "";
  if (kind === "text" || kind === "emote") return named + body;
  if (kind === "poll" || kind === "contact") return `${named}${tr.t(`say.${kind}`)}: ${body}`;
  if (kind === "album") return named + tr.t("say.image");
  return named + tr.t(`say.${kind}` as Key) + (body && kind === "image" ? `: ${body}` : "");
}

/** What happened to the room. */
export function tell(tr: Translator, { what, who, whom = "", text = "" }: SystemNote): string {
  return tr.t(`note.${what}`, { who, whom, text });
}
