import AxeBuilder from "@axe-core/playwright";
import { type Browser, type BrowserContextOptions, expect, type Page, test } from "@playwright/test";

let counter = 0;
export const PASSWORD = "correct horse battery";

/** A name nobody used before. */
export const unique = (name: string): string => `${name}${Date.now().toString(36)}${counter++}`;

export interface Person {
  page: Page;
  id: string;
  name: string;
  trouble: string[];
}

/** Somebody in a browser of their own, signed up by the form. */
export async function signUp(browser: Browser, url: string, name: string, options: BrowserContextOptions = {}): Promise<Person> {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on("console", (message) => {
    // What the network refuses on purpose in these tests is told by the browser itself.
    if (message.type() === "error" && !/Failed to load resource|net::ERR/.test(message.text())) trouble.push(message.text());
  });
  page.on("pageerror", (error) => trouble.push(String(error)));
  await page.goto(url);
  const id = unique(name);
  await page.locator('input[name="username"]').fill(id);
  await page.locator('input[name="password"]').fill(PASSWORD);
  await page.locator('button[type="submit"]').click();
  await expect(page).toHaveURL(/\/chats/);
  return { page, id, name, trouble };
}

/** No violation that axe can find on what is shown now. */
export async function accessible(page: Page, what: string): Promise<void> {
  const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
  expect(found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`), `axe: ${what}`).toEqual([]);
}

export const say = async (page: Page, text: string): Promise<void> => {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByLabel("Message", { exact: true }).press("Enter");
  await expect(page.locator(".message", { hasText: text }).last()).toBeVisible();
};

/** Opens the menu of the message with this text and takes an entry. */
export const act = async (page: Page, text: string, entry: string): Promise<void> => {
  const message = page.locator(".message", { hasText: text }).last();
  await message.hover();
  await message.getByLabel("Message actions").click();
  await page.getByRole("menuitem", { name: entry }).click();
};

export { expect, test };
