/** Signing up and in: a few requests that must not wait for the Matrix SDK. */
import type { Bases } from "./bases";
import type { Operator, Session } from "./types";

/** What the server said no with. */
export class Refused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Account {
  user_id: string;
  device_id: string;
  access_token: string;
}

async function ask(bases: Bases, path: string, body: unknown): Promise<{ status: number; data: Record<string, unknown> }> {
  const answer = await bases.fetch(bases.current.get() + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const data = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  return { status: answer.status, data };
}

function checked(answer: { status: number; data: Record<string, unknown> }, bases: Bases): Session {
  if (answer.status !== 200) throw new Refused(String(answer.data.errcode ?? answer.status), String(answer.data.error ?? ""));
  const account = answer.data as unknown as Account;
  return { userId: account.user_id, deviceId: account.device_id, accessToken: account.access_token, baseUrl: bases.current.get() };
}

const DEVICE = "Haechi Web";

/** What the operator says of the service. */
export async function operator(bases: Bases): Promise<Operator> {
  const answer = await bases.fetch(`${bases.current.get()}/haechi.json`);
  return (await answer.json()) as Operator;
}

export async function signIn(bases: Bases, user: string, password: string): Promise<Session> {
  const identifier = { type: "m.id.user", user: user.trim() };
  return checked(await ask(bases, "/_matrix/client/v3/login", { type: "m.login.password", identifier, password, initial_device_display_name: DEVICE }), bases);
}

/** Creates an account, going through the stages that the server asks for. */
export async function signUp(bases: Bases, user: string, password: string, token: string): Promise<Session> {
  const path = "/_matrix/client/v3/register";
  const wish = { username: user.trim().toLowerCase(), password, initial_device_display_name: DEVICE };
  let answer = await ask(bases, path, wish);
  for (let stage = 0; answer.status === 401 && stage < 4; stage++) {
    const { session, flows, completed } = answer.data as { session?: string; flows?: { stages: string[] }[]; completed?: string[] };
    if (answer.data.errcode) throw new Refused(String(answer.data.errcode), String(answer.data.error ?? ""));
    const next = flows?.[0]?.stages.find((one) => !completed?.includes(one)) ?? "m.login.dummy";
    const auth = next === "m.login.registration_token" ? { type: next, token: token.trim(), session } : { type: next, session };
    answer = await ask(bases, path, { ...wish, auth });
  }
  return checked(answer, bases);
}
