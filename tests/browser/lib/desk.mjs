// A technician at a desk: what a person does in the pages, and looks at.

import { AxeBuilder, NARROW, WIDE } from "./browser.mjs";

/** A folder for a picture of every page that is looked at, for whoever wants to see them. */
const PICTURES = process.env.BEELDBOX_PICTURES;

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Fails with words if something is not so. */
export function check(is, words) {
  if (!is) throw new Error(words);
}

/** Waits until a text is there, without touching the page. */
export async function until(page, selector, pattern, what) {
  const place = page.locator(selector);
  try {
    await place.filter({ hasText: pattern }).first().waitFor({ timeout: 30_000 });
  } catch {
    const seen = await place.allInnerTexts().catch(() => []);
    throw new Error(`${what}: waited 30 s for ${pattern} in "${selector}" at ${page.url()}; it says ${JSON.stringify(seen)}`);
  }
}

/** Waits until the browser is at another page. */
export async function arrive(page, address) {
  try {
    await page.waitForURL(address);
  } catch {
    const says = await page.locator("#errors, #problem").allInnerTexts();
    throw new Error(`does not come to ${address} but stays at ${page.url()}, which says ${JSON.stringify(says)}`);
  }
}

/** By keyboard: the fields are where the focus is. */
export async function signIn(page, hospital) {
  await page.goto(`${hospital.admin}/login`);
  await hasFocus(page, "name", "the name is asked first");
  await page.keyboard.type(hospital.user);
  await page.keyboard.press("Tab");
  await page.keyboard.type(hospital.password);
  await page.keyboard.press("Enter");
  await arrive(page, "**/send");
}

/** Counts the keys of somebody who is in a hurry. */
export class Keys {
  pressed = 0;

  async press(page, key) {
    this.pressed += 1;
    await page.keyboard.press(key);
  }
}

/** Presses Tab until the element has the focus, as somebody without a mouse does. */
export async function tabTo(page, selector) {
  const order = [];
  for (let presses = 0; presses < 40; presses += 1) {
    if (await page.locator(selector).evaluate((element) => element === document.activeElement)) return presses;
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.tagName));
  }
  throw new Error(`the keyboard does not reach ${selector} at ${page.url()}; Tab goes to ${order.join(", ")}`);
}

/** Waits for the focus, which the browser gives when it draws the page for the first time. */
export async function hasFocus(page, id, what) {
  try {
    await page.locator(`#${id}:focus`).waitFor({ state: "attached", timeout: 5_000 });
  } catch {
    const other = await page.evaluate(() => document.activeElement.id || document.activeElement.tagName);
    throw new Error(`${what}: "${other}" has the focus instead of "${id}" at ${page.url()}`);
  }
}

/** Looks at a page with axe in both languages and both colour schemes, and at the width of a telephone. */
export async function audit(page, name) {
  for (const language of ["en", "nl"]) {
    await speak(page, language);
    await look(page, `${name}, ${language}`);
  }
}

/** Switches the language with the button that every page has. */
async function speak(page, language) {
  if ((await page.locator("html").getAttribute("lang")) === language) return;
  await page.locator("#language").click();
  await page.locator(`html[lang=${language}]`).waitFor();
}

/** The same for the page as it stands. */
export async function look(page, name) {
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    const { violations, passes } = await new AxeBuilder({ page }).setLegacyMode(true).withTags(RULES).analyze();
    const told = violations.map(({ id, help, nodes }) =>
      `${id} (${help}): ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`);
    check(passes.length > 10, `axe found hardly anything to look at on ${name}`);
    check(!told.length, `axe on ${name}, ${colorScheme}:\n  ${told.join("\n  ")}`);
  }
  await page.setViewportSize(NARROW);
  const wide = await page.evaluate(() => {
    const limit = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll("body *:not(.unseen, .unseen *, .skip)")]
      .filter((element) => element.getBoundingClientRect().right > limit + 1)
      .map((element) => `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}.${element.className}`);
    return document.documentElement.scrollWidth > limit ? out.slice(0, 5).concat("(whole page)") : [];
  });
  if (PICTURES) await pictures(page, name);
  await page.setViewportSize(WIDE);
  check(!wide.length, `${name} does not fit ${NARROW.width} pixels: ${wide.join(", ")}`);
}

async function pictures(page, name) {
  const shot = (how) => page.screenshot({ path: `${PICTURES}/${name.replaceAll(/[ ,]+/g, "-")}-${how}.png`, fullPage: true });
  await shot("narrow");
  await page.setViewportSize(WIDE);
  await shot("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await shot("dark");
  await page.emulateMedia({ colorScheme: "light" });
}
