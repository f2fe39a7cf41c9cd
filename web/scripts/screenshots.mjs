// Makes the pictures of docs/screenshots.md: people talk on a fresh server, then each screen is taken.
//   HAECHI_URL=http://127.0.0.1:8008 npm run screenshots
import { mkdirSync, writeFileSync } from "node:fs";
import { chromium } from "@playwright/test";

const url = process.env.HAECHI_URL;
if (!url) throw new Error("HAECHI_URL must name a running server with open registration");
const out = process.env.OUT ?? new URL("../../docs/screenshots/", import.meta.url).pathname;
mkdirSync(out, { recursive: true });
const stamp = Date.now().toString(36);
const password = "correct horse battery";

async function register(name, shown) {
  const answer = await fetch(`${url}/_matrix/client/v3/register`, { method: "POST", body: JSON.stringify({ username: `${name}-${stamp}`, password, auth: { type: "m.login.dummy" } }) });
  const { user_id: id, access_token: token } = await answer.json();
  let txn = 0;
  const call = async (method, path, body) => (await fetch(`${url}/_matrix/client/v3${path}`, { method, headers: { authorization: `Bearer ${token}` }, body: body && JSON.stringify(body) })).json();
  await call("PUT", `/profile/${encodeURIComponent(id)}/displayname`, { displayname: shown });
  const say = (room, body, more = {}, type = "m.room.message") => call("PUT", `/rooms/${encodeURIComponent(room)}/send/${type}/t${txn++}`, type === "m.room.message" ? { msgtype: "m.text", body, ...more } : more);
  return { id, call, say, name: `${name}-${stamp}` };
}

const mina = await register("mina", "김미나");
const jun = await register("jun", "Jun Park");
const gildong = await register("gildong", "홍길동");
const long = await register("long", "아주아주 긴 이름을 가진 사람 Maximiliane-Alexandra von Hohenfelsen");
const group = await mina.call("POST", "/createRoom", { name: "주말 등산 모임", preset: "private_chat", invite: [jun.id, gildong.id, long.id] });
for (const person of [jun, gildong, long]) await person.call("POST", `/join/${encodeURIComponent(group.room_id)}`, {});
await gildong.say(group.room_id, "토요일에 북한산 어때요?");
await gildong.say(group.room_id, "날씨가 좋대요 ☀️");
const plan = await jun.say(group.room_id, "Sounds great! 8 am at Gupabal station?");
await mina.say(group.room_id, "좋아요, 김밥은 제가 준비할게요", { "m.relates_to": { "m.in_reply_to": { event_id: plan.event_id } } });
await jun.say(group.room_id, "", { "m.relates_to": { rel_type: "m.annotation", event_id: plan.event_id, key: "👍" } }, "m.reaction");
await mina.say(group.room_id, "", { "org.matrix.msc3381.poll.start": { kind: "org.matrix.msc3381.poll.disclosed", max_selections: 1, question: { "org.matrix.msc1767.text": "점심은 어디서?" }, answers: [{ id: "1", "org.matrix.msc1767.text": "두부집" }, { id: "2", "org.matrix.msc1767.text": "칼국수" }] } }, "org.matrix.msc3381.poll.start");
await long.say(group.room_id, "https://www.openstreetmap.org 여기에서 만나는 거 맞죠? 지도를 보니까 출구가 두 개라서 헷갈려요. 2번 출구로 갈게요!");
await mina.say(group.room_id, "👍");
for (const [person, name, text] of [[jun, "", "See you at eight!"], [long, "", "사진 보냈어요"]]) {
  const room = await person.call("POST", "/createRoom", { name, preset: "trusted_private_chat", is_direct: true, invite: [mina.id] });
  await mina.call("POST", `/join/${encodeURIComponent(room.room_id)}`, {});
  await person.say(room.room_id, text);
}
await gildong.call("POST", "/createRoom", { name: "동네 빵집 이야기", topic: "새로 나온 빵, 줄 긴 집, 숨은 맛집", preset: "public_chat", visibility: "public" });
const friends = Object.fromEntries([[jun.id, { name: "Jun Park", favourite: true }], [gildong.id, { name: "홍길동", status: "산에 가자" }], [long.id, { name: "아주아주 긴 이름을 가진 사람" }]]);
await mina.call("PUT", `/user/${encodeURIComponent(mina.id)}/account_data/io.haechi.friends`, { friends });

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const sizes = { phone: [360, 740], tablet: [768, 1_024], desktop: [1_440, 900] };
const taken = [];
for (const [size, [width, height]] of Object.entries(sizes)) {
  for (const [theme, locale] of [["light", "ko-KR"], ["dark", "en-GB"]]) {
    const context = await browser.newContext({ viewport: { width, height }, locale, colorScheme: theme });
    const page = await context.newPage();
    const take = async (what) => {
      await page.waitForTimeout(400);
      await page.screenshot({ path: `${out}/${what}-${size}-${theme}.png` });
      taken.push([what, size, theme]);
    };
    await page.goto(`${url}/start`);
    await page.locator('button[type="submit"]').waitFor();
    await take("start");
    await page.locator("form .button").last().click();
    await page.locator('input[name="username"]').fill(mina.name);
    await page.locator('input[name="password"]').fill(password);
    await page.locator('button[type="submit"]').click();
    await page.locator(".row", { hasText: "주말 등산 모임" }).waitFor();
    await take("chats");
    for (const tab of ["friends", "open", "services", "more"]) {
      await page.locator(`.tabs a[href="/${tab}"]`).click();
      await page.locator("h1").first().waitFor();
      await take(tab);
    }
    await page.goto(`${url}/chats/${encodeURIComponent(group.room_id)}`);
    await page.locator(".message").last().waitFor();
    await page.locator(".poll").waitFor();
    await take("room");
    await context.close();
  }
}
await browser.close();
if (!process.env.OUT) {
  const lines = taken.map(([what, size, theme]) => `| ${what} | ${size} | ${theme} | ![${what}, ${size}, ${theme}](screenshots/${what}-${size}-${theme}.png) |`);
  writeFileSync(new URL("../../docs/screenshots.md", import.meta.url), `# Screenshots of the web app\n\nMade by \`npm run screenshots\` in \`web/\` against a running server; light is Korean, dark is English. Korean needs a font such as the Debian packages fonts-noto-cjk and fonts-noto-color-emoji.\n\n| screen | size | look | |\n|---|---|---|---|\n${lines.join("\n")}\n`);
}
