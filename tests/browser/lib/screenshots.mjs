// The pictures of the README: the pages as a technician sees them on an ordinary morning.

import { signIn, until } from "./desk.mjs";

const NOTE = "Graag bespreken in het longoncologisch MDO van donderdag.";

export async function screenshots(context, { noord, zuid, study }, folder) {
  const page = context.pages()[0] ?? (await context.newPage());
  const take = async (name) => {
    await page.evaluate(() => document.activeElement.blur());
    await page.mouse.move(0, 0);
    await page.screenshot({ path: `${folder}/${name}.png` });
    console.log(`${folder}/${name}.png`);
  };

  await signIn(page, noord);
  await until(page, "#rows", /Komt binnen/, "the list");
  await take("list");

  await page.goto(`${noord.admin}/send/${study}`);
  await page.locator("#recipient").pressSequentially("wadden rad");
  await until(page, "#options [aria-selected=true]", /Radiologie/, "the addressee");
  await page.keyboard.press("Enter");
  await page.locator("#note").fill(NOTE);
  await page.locator("#reply_contact").fill("Beelduitwisseling Noord, toestel 1234");
  await page.locator("#go-on").click();
  await page.locator("#confirm").waitFor();
  await take("check");

  await page.goto(`${noord.admin}/status`);
  await page.locator("#summary").waitFor();
  await take("status");

  await signIn(page, zuid);
  await page.goto(`${zuid.admin}/inbox`);
  await until(page, "#rows", /Geïmporteerd/, "the inbox");
  await take("inbox");
}
