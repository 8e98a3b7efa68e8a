// One hospital asks the other for images, by keyboard; the other refuses, and the first sees why without touching its page.

import { arrive, check, hasFocus, tabTo, until } from "./desk.mjs";

export async function askedAndRefused(asker, asked, { noord, zuid }) {
  await asker.goto(`${zuid.admin}/requests/new`);
  const fill = async (id, text) => (await tabTo(asker, `#${id}`), await asker.keyboard.type(text));
  await fill("prefix", "de");
  await fill("family", "Vries");
  await fill("given", "Annemarie");
  await fill("born", "17-03-1958");
  await fill("recipient", "noord rad");
  await until(asker, "#options [aria-selected=true]", /Ziekenhuis Noord/, "the other hospital is found");
  await asker.keyboard.press("Enter");
  await fill("reason", "Vergelijking met eerder onderzoek.");
  await asker.keyboard.press("Control+Enter");
  await arrive(asker, "**/requests/check?draft=*");
  await until(asker, "#patient", /DE VRIES, Annemarie.*17-mrt-1958/s, "the check page shows whom it is about");
  await until(asker, "#to", /Ziekenhuis Noord.*Volgens het certificaat/s, "the check page shows whom is asked");
  if (await asker.locator("#tick-first-time").count()) {
    await asker.reload();
    await hasFocus(asker, "tick-first-time", "what has to be ticked has the focus");
    await asker.keyboard.press("Space");
  }
  await asker.keyboard.press("Control+Enter");
  await until(asker, "#notice", /Het verzoek gaat naar/, "it is said that the request is on its way");
  await until(asker, "#situation", /Gezien/, "the asker sees that the other box has it");

  await asked.goto(`${noord.admin}/requests`);
  await until(asked, "#rows", /Vraag van Ziekenhuis Zuid.*Wacht op antwoord/s, "the request is in the list of the other");
  await until(asked, "#rows", /DE VRIES, Annemarie/, "the list shows of whom images are asked");
  await tabTo(asked, "[id^=open-]");
  await asked.keyboard.press("Enter");
  await until(asked, "#reason", /Vergelijking met eerder onderzoek/, "the reason can be read");
  await tabTo(asked, "#refuse");
  await asked.keyboard.press("Enter");
  await tabTo(asked, "#reason-no-such-patient");
  await asked.keyboard.press("ArrowDown");
  check(await asked.locator("#reason-no-images").isChecked(), "arrows go through the reasons");
  await tabTo(asked, "#refuse-now");
  await asked.keyboard.press("Enter");
  await until(asked, "#situation", /Geweigerd/, "the request is refused");
  await until(asker, "#situation", /Geweigerd.*zulke beelden niet/s, "the asker sees why");
}
