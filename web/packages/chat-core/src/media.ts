/** Pictures and files: fetched with the token, kept as object URLs, made smaller before they are sent. */
import type { Bases } from "./bases";
import type { MediaFile } from "./types";

/** Object URLs kept; the oldest is given back first. */
const KEPT_MAX = 300;
/** Longest side of a picture sent without "original". */
const SIDE_MAX = 1_600;
const SHOWN = /^(image\/(png|jpeg|gif|webp|avif|bmp)|video\/|audio\/)/;

export class Media {
  readonly #bases: Bases;
  readonly #token: string;
  readonly #urls = new Map<string, Promise<string>>();

  constructor(bases: Bases, token: string) {
    this.#bases = bases;
    this.#token = token;
  }

  /** A small picture of this side length. */
  thumbnail(mxc: string, side: number): Promise<string> {
    const part = parts(mxc);
    if (!part) return Promise.reject(new Error("no mxc address"));
    return this.#cached(`${mxc}|${side}`, () => this.#get(`thumbnail/${part}?width=${side}&height=${side}&method=crop`));
  }

  /** The whole file as an object URL; encrypted files come out readable. */
  url(file: MediaFile): Promise<string> {
    if (file.local) return this.#cached(`local|${file.name}|${file.bytes}|${file.local.size}`, async () => file.local as Blob);
    return this.#cached(file.mxc, () => this.blob(file));
  }

  async blob(file: MediaFile): Promise<Blob> {
    const part = parts(file.mxc);
    if (!part) throw new Error("no mxc address");
    const blob = await this.#get(`download/${part}`);
    // What the sender says of the type only picks among harmless ones: HTML and SVG never run from here.
    const type = SHOWN.test(file.mime) ? file.mime : "application/octet-stream";
    if (!file.encrypted) return new Blob([blob], { type: SHOWN.test(blob.type) ? blob.type : type });
    return new Blob([await decrypt(await blob.arrayBuffer(), file.encrypted)], { type });
  }

  async #get(path: string): Promise<Blob> {
    const answer = await this.#bases.fetch(`${this.#bases.current.get()}/_matrix/client/v1/media/${path}`, {
      headers: { authorization: `Bearer ${this.#token}` },
    });
    if (!answer.ok) throw new Error(`media: ${answer.status}`);
    return answer.blob();
  }

  #cached(key: string, load: () => Promise<Blob>): Promise<string> {
    const known = this.#urls.get(key);
    if (known) return known;
    const url = load().then((blob) => URL.createObjectURL(blob));
    this.#urls.set(key, url);
    url.catch(() => this.#urls.delete(key));
    const [oldest] = this.#urls;
    if (this.#urls.size > KEPT_MAX && oldest) {
      this.#urls.delete(oldest[0]);
      void oldest[1].then((old) => URL.revokeObjectURL(old), () => undefined);
    }
    return url;
  }
}

function parts(mxc: string): string | null {
  const found = mxc.match(/^mxc:\/\/([^/?#]+)\/([^/?#]+)$/);
  return found ? `${encodeURIComponent(found[1] ?? "")}/${encodeURIComponent(found[2] ?? "")}` : null;
}

const bytes = (base64: string) => Uint8Array.from(atob(base64.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
const base64 = (data: Uint8Array) => btoa(String.fromCharCode(...data)).replace(/=+$/, "");

async function decrypt(data: ArrayBuffer, keys: NonNullable<MediaFile["encrypted"]>): Promise<ArrayBuffer> {
  const hash = base64(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
  if (hash !== keys.hashes.sha256?.replace(/=+$/, "")) throw new Error("the file is not what was sent");
  const key = await crypto.subtle.importKey("jwk", keys.key, "AES-CTR", false, ["decrypt"]);
  return crypto.subtle.decrypt({ name: "AES-CTR", counter: bytes(keys.iv), length: 64 }, key, data);
}

/** Encrypts a file for a secret chat; the address is filled in after the upload. */
export async function encrypt(blob: Blob): Promise<{ data: Blob; keys: Omit<NonNullable<MediaFile["encrypted"]>, "url"> }> {
  const key = await crypto.subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt", "decrypt"]);
  const iv = new Uint8Array(16);
  crypto.getRandomValues(iv.subarray(0, 8));
  const data = await crypto.subtle.encrypt({ name: "AES-CTR", counter: iv, length: 64 }, key, await blob.arrayBuffer());
  const sha256 = base64(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
  const jwk = await crypto.subtle.exportKey("jwk", key);
  return { data: new Blob([data]), keys: { key: jwk, iv: base64(iv), hashes: { sha256 }, v: "v2" } };
}

/** A picture ready to send: turned, without its place and camera, not larger than needed. */
export async function shrink(file: File): Promise<{ blob: Blob; width: number; height: number }> {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, SIDE_MAX / Math.max(picture.width, picture.height));
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  if (file.type === "image/gif" || (scale === 1 && file.size < 300_000 && file.type !== "image/jpeg")) return { blob: file, width, height };
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.drawImage(picture, 0, 0, width, height);
  const type = file.type === "image/png" ? "image/webp" : "image/jpeg";
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, type, 0.84));
  return { blob: blob && blob.size < file.size ? blob : file, width, height };
}
