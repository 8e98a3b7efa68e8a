// The technician's whole job: a study comes in, is addressed by keyboard, arrives at the other hospital and is
// imported there; both see the receipts.

import { spawn } from "node:child_process";
import { askedAndRefused } from "./asking.mjs";
import { Keys, arrive, audit, check, hasFocus, look, signIn, tabTo, until } from "./desk.mjs";

const NOTE = "Graag beoordeling; de patiënt komt morgen bij u.\nZie ook het verslag.";

/** Keys from the list to the sent study, beside what is typed: web pages that are slower than a DVD are not used. */
const MOST_KEYS = 6;

export async function story(context, watch, stage) {
  const { noord, zuid, images } = stage;
  const counts = new RegExp(`${images} van ${images} beelden`);
  const step = timer();

  await strangersSeeNothing(context, watch, noord);
  step("nobody sees anything before signing in");

  const sender = context.pages()[0] ?? (await context.newPage());
  await wrongPassword(sender, watch, noord);
  await signIn(sender, noord);
  step("signing in");

  await until(sender, "#empty", /AE-titel/, "the empty list says what to do");
  await audit(sender, "the empty list");
  const number = await studyComesIn(sender, stage);
  await audit(sender, "the list");
  step("a study comes in");

  const keys = new Keys();
  await addressed(sender, number, keys);
  const id = await checked(sender, number, keys);
  check(keys.pressed <= MOST_KEYS, `sending took ${keys.pressed} keys, ${MOST_KEYS} is the most`);
  step(`choosing, checking, sending: ${keys.pressed} keys beside what is typed`);

  const receiver = await context.newPage();
  await signIn(receiver, zuid);
  await noteArrives(receiver, zuid, id);
  await audit(receiver, "the inbox");
  step("it is in the inbox of the other hospital");

  // Nobody touches the sender's page from here: it follows by itself.
  await sender.evaluate(() => (window.isTheSamePage = true));
  await until(sender, "#situation", /Compleet bij ontvanger/, "the sender sees that it arrived");
  await imported(receiver, id, counts);
  step("importing");

  await until(sender, "#situation", /Afgeleverd in PACS/, "the sender sees that it is in the other PACS");
  await until(sender, "#situation", counts, "the sender sees how many images arrived");
  const receipts = sender.locator("#course li.good").filter({ hasText: counts });
  check((await receipts.count()) === 2, `the sender sees two receipts of all images: ${await text(sender, "#course")}`);
  check(await sender.evaluate(() => window.isTheSamePage), "the sender's page was loaded again while it followed");
  await audit(sender, "the detail of a sent study");
  await sender.goto(`${noord.admin}/sent`);
  await until(sender, `#t-${id}`, /Afgeleverd in PACS/, "the list of sent studies");
  await audit(sender, "the sent list");
  step("both ends show the receipts");

  await sender.goto(`${noord.admin}/status`);
  await until(sender, "#summary", /Alles werkt/, "the box is well");
  await audit(sender, "the status page");
  step("status");

  await administered(sender, noord, id);
  step("calling the PACS, and the audit log");

  await askedAndRefused(receiver, sender, stage);
  await audit(sender, "the detail of a refused request");
  step("asking for images, and being refused");

  await watch.innocent(sender);
  await watch.innocent(receiver);
  await nothingIsLeft(sender, stage, id);
  await receiver.goto(`${zuid.admin}/inbox`);
  check(await receiver.locator("#rows").isVisible(), "signing out at one hospital signed out at the other too");
  step("after signing out nothing is left");
}

/** Says how long each part took, so that a slow one is seen. */
function timer() {
  let before = performance.now();
  return (what) => {
    const now = performance.now();
    console.log(`${((now - before) / 1000).toFixed(1).padStart(5)} s  ${what}`);
    before = now;
  };
}

const text = (page, selector) => page.locator(selector).innerText();

async function strangersSeeNothing(context, watch, { admin }) {
  const paths = [
    "/", "/send", "/send/1", "/send/1/check?draft=x", "/sent", "/sent/1", "/sent/1/recall", "/inbox", "/inbox/1",
    "/inbox/1/import", "/inbox/1/decline", "/inbox/1/forward", "/requests", "/requests/new", "/requests/1", "/status", "/admin",
    "/admin/users", "/admin/audit", "/admin/audit.csv", "/admin/certificates", "/profile", "/stepup", "/help", "/addressees?q=zuid", "/nothing",
  ];
  for (const path of paths) {
    const answer = await context.request.get(admin + path, { maxRedirects: 0 });
    const target = answer.headers().location ?? "";
    check(answer.status() === 303 && /^\/login(\?|$)/.test(target), `${path} without signing in: ${answer.status()} ${target}`);
  }
  const live = await context.request.get(`${admin}/live`, { maxRedirects: 0 });
  check(live.status() === 401, `/live without signing in: ${live.status()}`);
  const page = await context.newPage();
  await page.goto(`${admin}/inbox`);
  check(new URL(page.url()).pathname === "/login", `/inbox without signing in shows ${page.url()}`);
  await look(page, "the page to sign in");
  await watch.innocent(page);
  await page.close();
}

async function wrongPassword(page, watch, hospital) {
  await page.goto(`${hospital.admin}/login`);
  await page.locator("#name").fill(hospital.user);
  await page.locator("#password").fill("not the password");
  watch.expect(/status of 422/);
  await page.locator("#sign-in").click();
  await until(page, "#errors", /Naam en wachtwoord horen niet bij elkaar/, "a wrong password is said clearly");
  await hasFocus(page, "errors", "the error about the password has the focus");
  check((await page.locator("#password").inputValue()) === "", "a wrong password is not shown again");
  await look(page, "the page to sign in, with an error");
}

/** The modality sends while somebody looks at the list; gives the study's number. */
async function studyComesIn(page, { modality, images }) {
  const sending = spawn(modality.program, modality.arguments, { stdio: ["ignore", "ignore", "inherit"] });
  const sent = new Promise((done, fail) => {
    sending.on("error", fail);
    sending.on("exit", (code) => (code === 0 ? done() : fail(new Error(`the modality could not send: ${code}`))));
  });
  await until(page, "[data-row]", /Komt binnen|Klaar/, "the study appears by itself");
  await sent;
  await until(page, "[data-row]", /Klaar/, "the study is closed by its quiet time");
  await until(page, "[data-row]", new RegExp(`\\b${images} beelden`), "all images are counted");
  await until(page, "#rows .patient", /DE VRIES, Annemarie/, "the patient is shown");
  return (await page.locator("[data-row]").first().getAttribute("id")).replace("study-", "");
}

/** Keys only: the study, the addressee, the note. */
async function addressed(page, number, keys) {
  await page.reload();
  await hasFocus(page, `send-${number}`, "the newest study that is ready has the focus");
  await keys.press(page, "Enter");
  await arrive(page, `**/send/${number}`);
  await audit(page, "the choice of an addressee");
  await page.reload();
  await hasFocus(page, "recipient", "the search field has the focus");
  await page.keyboard.type("zuid rad");
  await until(page, "#options", /Ziekenhuis Zuid/, "searching while typing");
  await until(page, "#options [aria-selected=true]", /Radiologie/, "the best match is marked");
  await look(page, "the open list of addressees");
  await keys.press(page, "Enter");
  await hasFocus(page, "note", "after choosing, the note has the focus");
  await page.locator("#combobox.is-chosen").waitFor();
  check(/Zuid.*Radiologie/.test(await page.locator("#recipient").inputValue()), "the field says whom was chosen");
  await page.keyboard.type(NOTE);
  await keys.press(page, "Control+Enter");
  await arrive(page, `**/send/${number}/check?draft=*`);
}

/** The check page: everything is there, nothing goes without the tick, keys send it. Gives the transfer's id. */
async function checked(page, number, keys) {
  const shows = async (selector, pattern) =>
    check(pattern.test(await text(page, selector)), `the check page's ${selector} does not show ${pattern}: ${await text(page, selector)}`);
  await shows("#patient", /DE VRIES, Annemarie.*17-mrt-1958.*vrouw.*9999 90 019/s);
  await shows("#to", /Ziekenhuis Zuid.*Radiologie.*Volgens het certificaat.*90000382/s);
  await shows("#thumbprint", /[0-9A-Za-z]{4}/);
  await shows("#check-form", /de patiënt komt morgen bij u/);
  check(!(await page.locator("#obstacle").count()), "nothing stands in the way");
  await audit(page, "the check page");
  check(!(await page.locator("#tick-first-time").isChecked()), "the tick for a first time is not set beforehand");
  await page.keyboard.press("Control+Enter");
  check(new URL(page.url()).pathname === `/send/${number}/check`, "nothing is sent without the tick");
  await page.reload();
  await hasFocus(page, "tick-first-time", "what has to be ticked has the focus");
  await shows("#confirm", /Versturen naar Ziekenhuis Zuid/);
  await keys.press(page, "Space");
  await keys.press(page, "Control+Enter");
  await arrive(page, "**/sent/*");
  await until(page, "#notice", /Het onderzoek gaat naar/, "it is said that the study is on its way");
  return new URL(page.url()).pathname.split("/").at(-1);
}

async function noteArrives(page, { admin }, id) {
  await page.goto(`${admin}/inbox`);
  await until(page, `#t-${id}`, /Klaar om te importeren/, "the transfer is in the inbox");
  await until(page, `#t-${id}`, /DE VRIES, Annemarie/, "the inbox shows the patient");
  await until(page, `#t-${id}`, /Ziekenhuis Noord.*afzender gecontroleerd/s, "the inbox shows the sender");
}

async function imported(page, id, counts) {
  await tabTo(page, `#open-${id}`);
  await page.keyboard.press("Enter");
  await arrive(page, `**/inbox/${id}`);
  await until(page, "#note", /de patiënt komt morgen bij u\.\s+Zie ook het verslag/, "the note can be read");
  await audit(page, "the detail of a received study");
  await tabTo(page, "#import");
  await page.keyboard.press("Enter");
  await arrive(page, `**/inbox/${id}/import`);
  await until(page, "#patient", /DE VRIES, Annemarie/, "the import page shows the patient");
  await audit(page, "the import page");
  await tabTo(page, "#import-now");
  await page.keyboard.press("Enter");
  await arrive(page, `**/inbox/${id}`);
  await until(page, "#situation", /Geïmporteerd/, "the import is done");
  await until(page, "#situation", /de afzender weet het/, "the sender has been told");
  await until(page, "#situation", counts, "the importer sees how many images arrived");
  const receipts = page.locator("#course li.good").filter({ hasText: counts });
  check((await receipts.count()) === 2, `the importer sees two receipts of all images: ${await text(page, "#course")}`);
}

/** The PACS answers step by step, and the audit log knows what was done so far. */
async function administered(page, { admin, user }, id) {
  await page.goto(`${admin}/admin/connections`);
  await page.locator("#node-1 button").click();
  await until(page, "#test", /Verbonden.*DICOM-associatie.*Echo/s, "the PACS answers an echo");
  check(await page.locator("#test .mark.good").isVisible(), "calling the PACS went well");
  await page.goto(`${admin}/admin/audit`);
  for (const words of ["ingelogd", "bekeken", "verstuurd", "bevestigd: in het PACS van de ontvanger"]) {
    await until(page, "tbody", new RegExp(words), "the audit log says what was done");
  }
  await page.locator("#what").fill("send");
  await page.keyboard.press("Enter");
  await until(page, "tbody", new RegExp(`${user}.*${id}`, "s"), "the audit log says who sent what");
}

/** The back button after signing out shows no patient. */
async function nothingIsLeft(page, { noord, secrets }, id) {
  await page.goto(`${noord.admin}/sent/${id}`);
  await until(page, "#patient", /DE VRIES/, "the detail shows the patient");
  await page.locator("#sign-out").click();
  await page.locator("#login-form").waitFor();
  await until(page, "#notice", /U bent uitgelogd/, "it is said that one is signed out");
  for (let back = 0; back < 3; back += 1) {
    await page.goBack();
    await page.locator("#login-form").waitFor();
    const seen = (await page.content()).toLowerCase();
    for (const secret of secrets) check(!seen.includes(secret.toLowerCase()), `after signing out the back button shows "${secret}"`);
  }
}
