/** Searching in Korean: by substring, by initial consonants (ㅎㄱㄷ finds 홍길동), and by a syllable that is still being typed. */

const FIRST = 0xac00;
const LAST = 0xd7a3;
const INITIALS = [..."ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"];
const MEDIALS = 21;
const FINALS = 28;
/** The final consonants, as the initials a half-typed next syllable would begin with. */
const TAILS = [..." ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"];

function syllable(char: string): number | null {
  const code = char.codePointAt(0) ?? 0;
  return code >= FIRST && code <= LAST ? code - FIRST : null;
}

/** The initial consonant of a syllable; anything else is itself. */
export function initial(char: string): string {
  const at = syllable(char);
  return at === null ? char : (INITIALS[Math.floor(at / (MEDIALS * FINALS))] ?? char);
}

function fits(typed: string, char: string, last: boolean): boolean {
  if (typed === char) return true;
  if (INITIALS.includes(typed)) return initial(char) === typed;
  const want = syllable(typed);
  const have = syllable(char);
  if (!last || want === null || have === null) return false;
  // A syllable without a final consonant may still get one: 호 is on the way to 홍.
  return want % FINALS === 0 && Math.floor(want / FINALS) === Math.floor(have / FINALS);
}

function fitsAt(query: string[], text: string[], at: number): boolean {
  return query.every((typed, n) => {
    const char = text[at + n];
    return char !== undefined && fits(typed, char, n === query.length - 1);
  });
}

/** Where `query` is found in `text`, in characters; -1 if nowhere. Case and spaces at the ends do not count. */
export function find(text: string, query: string): number {
  const wanted = [...query.trim().toLowerCase().normalize("NFC")];
  if (wanted.length === 0) return 0;
  const chars = [...text.toLowerCase().normalize("NFC")];
  for (let at = 0; at + wanted.length <= chars.length; at++) {
    if (fitsAt(wanted, chars, at)) return at;
  }
  const last = wanted[wanted.length - 1] ?? "";
  const tail = syllable(last);
  if (tail === null || tail % FINALS === 0) return -1;
  // 홍ㄱ is typed as 홐-like syllables on the way: its final may be the next syllable's initial.
  const open = String.fromCodePoint(FIRST + tail - (tail % FINALS));
  const split = [...wanted.slice(0, -1), open, TAILS[tail % FINALS] ?? ""];
  for (let at = 0; at + split.length <= chars.length; at++) {
    if (fitsAt(split, chars, at)) return at;
  }
  return -1;
}

/** Does `query` occur in `text`? */
export function matches(text: string, query: string): boolean {
  return find(text, query) >= 0;
}
