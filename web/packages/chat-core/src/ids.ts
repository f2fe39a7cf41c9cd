/** An id nobody used before; also where `crypto.randomUUID` is missing (plain http on a LAN). */
export function freshId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return prefix + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** `mina` of `@mina:haechi.example`. */
export function localpart(userId: string): string {
  return userId.replace(/^@/, "").split(":")[0] ?? userId;
}

/** Makes a whole user id of what somebody typed. */
export function wholeUserId(typed: string, serverName: string): string {
  const text = typed.trim();
  const id = text.startsWith("@") ? text : `@${text}`;
  return id.includes(":") ? id : `${id.toLowerCase()}:${serverName}`;
}

/** The user or room that a link, a QR code or a typed text names. */
export function target(text: string): { user?: string; room?: string } | null {
  let found = text.trim();
  const hash = found.match(/(?:matrix\.to\/#\/|\/(?:u|join)\/)(.+)$/);
  if (hash?.[1]) found = decodeURIComponent(hash[1].split("?")[0] ?? "");
  if (/^@[^:\s]+:\S+$/.test(found)) return { user: found };
  if (/^[#!]\S+$/.test(found)) return { room: found };
  return null;
}
