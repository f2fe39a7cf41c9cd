const PATHS = {
  friends: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-8 8c0-4 3.600-6 8-6s8 2 8 6",
  chats: "M12 4c5 0 9 3.200 9 7.200s-4 7.300-9 7.300c-1 0-2-.1-2.900-.4L4.500 20l1-3.600C4 15.100 3 13.300 3 11.200 3 7.200 7 4 12 4Z",
  open: "M3 11c0-3.500 3.300-6 7.500-6S18 7.500 18 11s-3.300 6-7.500 6c-.9 0-1.700-.1-2.500-.3L4 18l1-2.700C3.700 14.200 3 12.700 3 11Zm15.500-1c1.600.9 2.500 2.400 2.500 4 0 1.400-.7 2.600-1.700 3.500l.7 2.500-3-1.200c-2 .5-4.200.1-5.800-1",
  services: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  plus: "M12 5v14M5 12h14",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  send: "M4 12l16-8-6 16-2.500-6.500L4 12Z",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM8.500 14.500c1.800 2 5.200 2 7 0M9 9.500v.01M15 9.500v.01",
  sticker: "M5 4h14a1 1 0 0 1 1 1v9l-6 6H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1Zm9 16v-5a1 1 0 0 1 1-1h5",
  mic: "M12 15a3.500 3.500 0 0 0 3.500-3.500v-5a3.500 3.500 0 0 0-7 0v5A3.500 3.500 0 0 0 12 15Zm-6.500-4a6.500 6.500 0 0 0 13 0M12 18v3",
  close: "M6 6l12 12M18 6L6 18",
  down: "M5 9l7 7 7-7",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm5-2l5 5",
  info: "M4 7h16M4 12h16M4 17h16",
  lock: "M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z",
  mute: "M6 9v6h3l5 4V5L9 9H6Zm11 1l4 4m0-4l-4 4",
  pin: "M9 4h6l-1 6 3 3v2H7v-2l3-3-1-6Zm3 11v5",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  qr: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2h-2zM18 14h2M14 18v2M18 18h2v2",
  play: "M8 5l11 7-11 7V5Z",
  stop: "M7 7h10v10H7z",
  place: "M12 21s7-6 7-11.500A7 7 0 0 0 5 9.500C5 15 12 21 12 21Zm0-9a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5Z",
  bell: "M6 10a6 6 0 0 1 12 0c0 5 2 6 2 7H4c0-1 2-2 2-7Zm4 10c.8 1.300 3.200 1.300 4 0",
  gear: "M5 7h14M5 17h14M9 5v4M15 15v4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 24 }: { name: IconName; size?: number }) {
  return (
    <svg aria-hidden="true" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth={name === "more" ? 3 : 1.8} strokeLinecap="round" strokeLinejoin="round">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The beast that guards against fire. */
export function Haetae({ size = 64 }: { size?: number }) {
  return (
    <svg aria-hidden="true" width={size} height={size} viewBox="0 0 64 64" fill="none" stroke="currentColor" strokeWidth="2.600" strokeLinecap="round" strokeLinejoin="round">
      <path d="M32 7c-2.500 4-2 7 0 9 2-2 2.500-5 0-9Z" fill="#e39b2d" stroke="#e39b2d" />
      <path d="M15 28c-4-3-4-9 0-11 2 4 5 5 8 4 3-2 6-3 9-3s6 1 9 3c3 1 6 0 8-4 4 2 4 8 0 11" />
      <path d="M15 28c-3 5-3 12 0 17 1 5 6 8 10 7 2 2 4 3 7 3s5-1 7-3c4 1 9-2 10-7 3-5 3-12 0-17" />
      <path d="M22 40c3 4 17 4 20 0M26 42v3M38 42v3M29 35c2 1.500 4 1.500 6 0M20 27c2-2 5-2 7 0M37 27c2-2 5-2 7 0" />
      <circle cx="24" cy="31" r="2.200" fill="currentColor" stroke="none" />
      <circle cx="40" cy="31" r="2.200" fill="currentColor" stroke="none" />
    </svg>
  );
}
