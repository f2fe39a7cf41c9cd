import { accessible, act, expect, type Person, say, signUp, test } from "./people";
import { type Server, start } from "./server";

let server: Server;
test.beforeAll(async () => {
  server = await start(8_191);
});
test.afterAll(() => server.stop());

async function befriend(me: Person, other: Person): Promise<void> {
  const { page } = me;
  await page.getByRole("link", { name: "Friends" }).click();
  await page.getByRole("button", { name: "Add a friend" }).first().click();
  await page.getByLabel("ID of your friend").fill(other.id);
  await page.locator("dialog").getByRole("button", { name: "Add a friend" }).click();
  await expect(page.getByText(/is now your friend/)).toBeVisible();
  await accessible(page, "adding a friend");
  await page.getByRole("button", { name: "Close" }).click();
}

test("two people sign up, become friends, and talk", async ({ browser }) => {
  const [mina, jun] = await Promise.all([signUp(browser, server.url, "mina"), signUp(browser, server.url, "jun")]);
  await accessible(mina.page, "empty chats");
  await befriend(mina, jun);
  await mina.page.getByRole("button", { name: new RegExp(jun.id) }).first().click();
  await expect(mina.page.getByLabel("Message", { exact: true })).toBeVisible();
  await say(mina.page, "안녕, Jun!");

  await jun.page.getByRole("link", { name: new RegExp(mina.id) }).click();
  await jun.page.getByRole("button", { name: "Join" }).click();
  await expect(jun.page.locator(".message", { hasText: "안녕, Jun!" })).toBeVisible();
  // Jun has it on the screen: the count beside Mina's message falls to nothing.
  await expect(mina.page.locator(".message", { hasText: "안녕, Jun!" }).locator(".count")).toHaveCount(0);

  await act(jun.page, "안녕, Jun!", "Reply");
  await say(jun.page, "Hello Mina");
  await expect(mina.page.locator(".message", { hasText: "Hello Mina" }).locator(".quote")).toContainText("안녕, Jun!");
  await act(mina.page, "Hello Mina", "👍 React");
  await expect(jun.page.locator(".message", { hasText: "Hello Mina" }).locator(".reactions")).toContainText("👍 1");

  await act(jun.page, "Hello Mina", "Edit");
  await jun.page.getByLabel("Message", { exact: true }).fill("Hello dear Mina");
  await jun.page.getByLabel("Message", { exact: true }).press("Enter");
  await expect(mina.page.locator(".message", { hasText: "Hello dear Mina" })).toContainText("edited");

  jun.page.once("dialog", (dialog) => void dialog.accept());
  await act(jun.page, "Hello dear Mina", "Delete for everyone");
  await expect(mina.page.getByRole("log").getByText("This message was deleted.")).toBeVisible();
  await accessible(mina.page, "a conversation");
  expect([...mina.trouble, ...jun.trouble]).toEqual([]);
});

test("a message written without network goes out once, also after the tab was closed", async ({ browser }) => {
  const mina = await signUp(browser, server.url, "mina");
  const { page } = mina;
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByLabel("Name of the chat").fill("Outbox");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await say(page, "before");
  await page.context().setOffline(true);
  await page.getByLabel("Message", { exact: true }).fill("one");
  await page.getByLabel("Message", { exact: true }).press("Enter");
  await page.getByLabel("Message", { exact: true }).fill("two");
  await page.getByLabel("Message", { exact: true }).press("Enter");
  await expect(page.locator(".message", { hasText: "two" })).toContainText(/Waiting|Sending/);
  const address = page.url();
  await page.close();
  await mina.page.context().setOffline(false);
  const next = await mina.page.context().newPage();
  await next.goto(address);
  const shown = next.locator(".message .bubble");
  await expect(shown).toHaveText(["before", "one", "two"]);
  await expect(next.locator(".meta", { hasText: /Waiting|Sending/ })).toHaveCount(0);
  await expect(shown).toHaveText(["before", "one", "two"]);
});

test("what others write is never run", async ({ browser }) => {
  const mina = await signUp(browser, server.url, "mina");
  const { page } = mina;
  await page.evaluate(() => Object.assign(globalThis, { broken: 0 }));
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByLabel("Name of the chat").fill('<img src=x onerror="broken=1">');
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await say(page, '<script>broken=1</script><svg onload="broken=1">');
  await say(page, "javascript:broken=1 https://ok.example/\"onmouseover=broken=1");
  await page.locator('[data-pick="file"]').setInputFiles({ name: '"><img src=x onerror=broken=1>.svg', mimeType: "image/svg+xml", buffer: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="broken=1"/>') });
  await expect(page.locator(".file")).toBeVisible();
  expect(await page.locator(".log img[src=x], .log script").count()).toBe(0);
  expect(await page.evaluate(() => (globalThis as { broken?: number }).broken ?? 0)).toBe(0);
  const policy = (await page.request.get(server.url)).headers()["content-security-policy"] ?? "";
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toMatch(/script-src[^;]*unsafe-inline/);
});

test("pictures go as one album; a poll is counted; places have addresses", async ({ browser }) => {
  const { page, trouble } = await signUp(browser, server.url, "mina");
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByLabel("Name of the chat").fill("Album");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await say(page, "pictures");
  await page.getByRole("button", { name: "Attach" }).click();
  await page.getByRole("menuitem", { name: "Poll" }).click();
  await page.getByLabel("Question").fill("Lunch?");
  await page.getByLabel("Option 1").fill("Bibimbap");
  await page.getByLabel("Option 2").fill("Naengmyeon");
  await page.getByRole("button", { name: "Start the poll" }).click();
  await page.getByRole("button", { name: /Bibimbap/ }).click();
  await expect(page.getByText("1 person voted")).toBeVisible();
  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  await page.locator('[data-pick="photo"]').setInputFiles([1, 2, 3].map((n) => ({ name: `p${n}.png`, mimeType: "image/png", buffer: png })));
  await expect(page.locator(".album button")).toHaveCount(3);
  await page.locator(".album button").first().click();
  await expect(page.locator("dialog img")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.locator("dialog")).toHaveCount(0);
  await page.getByRole("button", { name: "Stickers" }).click();
  await page.getByRole("button", { name: "love" }).click();
  await expect(page.locator(".sticker img")).toBeVisible();
  const address = page.url();
  await page.goto(`${server.url}/more`);
  await page.goBack();
  await expect(page).toHaveURL(address);
  expect(trouble).toEqual([]);
});

test("every tab is accessible and in three languages, on a phone", async ({ browser }) => {
  const { page } = await signUp(browser, server.url, "mina", { viewport: { width: 360, height: 740 }, locale: "ko-KR" });
  for (const [place, title] of [["friends", "친구"], ["chats", "채팅"], ["open", "오픈채팅"], ["services", "서비스"], ["more", "더보기"]] as const) {
    await page.goto(`${server.url}/${place}`);
    await expect(page.getByRole("heading", { level: 1, name: title })).toBeVisible();
    await accessible(page, place);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360);
  }
  await page.getByLabel("언어").selectOption("fr");
  await expect(page.getByRole("heading", { level: 1, name: "Plus" })).toBeVisible();
  await page.getByLabel("Langue").selectOption("en");
  await expect(page.getByRole("heading", { level: 1, name: "More" })).toBeVisible();
});
