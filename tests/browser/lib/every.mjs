// Every page × language × colour scheme × width, against a box that answers with made-up patients in every state: axe
// finds nothing, nothing is wider than the window, and the browser has nothing to complain about.

import { arrive, audit, check, hasFocus, look, signIn, tabTo } from "./desk.mjs";

/** `[name, path, what to do there first]`; `{sent:3}` is the fourth transfer of that list. */
const PAGES = [
  ["to send", "/send"], ["choose", "/send/17"], ["sent", "/sent"], ["sent, sending", "{sent:0}"], ["sent, held", "{sent:2}"],
  ["sent, refused images", "{sent:4}"], ["sent, declined", "{sent:6}"], ["recall", "{sent:3}/recall"], ["inbox", "/inbox"],
  ["received", "{inbox:1}"], ["received, held", "{inbox:2}"], ["import", "{inbox:1}/import"], ["decline", "{inbox:1}/decline"],
  ["forward", "{inbox:1}/forward"], ["requests", "/requests"], ["request, open", "{requests:0}"],
  ["request, answered", "{requests:2}"], ["request, refuse", "{requests:0}/refuse"], ["request, answer", "{requests:0}/answer"],
  ["ask", "/requests/new"], ["status", "/status"], ["overview", "/admin"], ["connections", "/admin/connections"],
  ["audit", "/admin/audit"], ["audit, error", "/admin/audit?from=x"], ["help", "/help"], ["profile", "/profile"],
  ["password", "/profile/password"], ["step up", "/stepup"], ["nothing there", "/nothing"],
];

/** Those that ask for the password again. */
const RAISED = [
  ["certificates", "/admin/certificates"], ["users", "/admin/users"], ["user", "/admin/users/j.smit"],
  ["second factor", "/profile/second-factor"],
];

export async function every(context, watch, { box }) {
  const page = context.pages()[0] ?? (await context.newPage());
  await page.goto(`${box.admin}/login`);
  await look(page, "sign in");
  await signIn(page, box);
  await page.evaluate(() => (document.getElementById("not-live").hidden = false));
  await look(page, "to send, not live");
  const lists = await ids(page, box);
  let seen = 0;
  for (const [name, path] of PAGES) {
    if (path === "/nothing") watch.expect(/status of 404/), watch.expect(/status of 404/), watch.expect(/status of 404/);
    await visit(page, box, lists, path);
    await audit(page, name);
    seen += 1;
  }
  seen += await withErrors(page, watch, box, lists);
  await raise(page, box);
  for (const [name, path] of RAISED) {
    await visit(page, box, lists, path);
    check(new URL(page.url()).pathname === path, `${path} asks for the password once more than it must`);
    await audit(page, name);
    seen += 1;
  }
  seen += await forms(page, box);
  console.log(`${seen} pages, each in two languages, two colour schemes and two widths`);
}

/** The ids of what is in the lists, which no title and no address says. */
async function ids(page, box) {
  const lists = {};
  for (const list of ["sent", "inbox", "requests"]) {
    await page.goto(`${box.admin}/${list}`);
    const found = await page.locator("[data-row]").evaluateAll((rows) => rows.map((row) => row.id.slice(2)));
    lists[list] = found.map((id) => `/${list}/${id}`);
  }
  return lists;
}

async function visit(page, box, lists, path) {
  await page.goto(box.admin + path.replace(/\{(\w+):(\d+)\}/, (_, list, at) => lists[list][at]));
}

/** By keyboard, as everybody does it. */
async function raise(page, box) {
  await page.goto(`${box.admin}/stepup?next=/admin/users`);
  await hasFocus(page, "password", "the password is asked first");
  await page.keyboard.type(box.password);
  await page.keyboard.press("Enter");
  await arrive(page, (address) => address.pathname === "/admin/users");
}

/** What is shown when something is missing. */
async function withErrors(page, watch, box, lists) {
  await visit(page, box, lists, "/requests/new");
  await page.locator("#go-on").click();
  await page.locator("#errors").waitFor();
  await look(page, "ask, with errors");
  await page.locator("#recipient").pressSequentially("noord");
  await page.locator("#options [role=option]").first().waitFor();
  await look(page, "ask, list open");
  watch.expect(/status of 422/);
  await visit(page, box, lists, "{requests:0}/refuse");
  await page.locator("#refuse-now").evaluate((button) => (button.form.noValidate = true));
  await page.locator("#refuse-now").click();
  await page.locator("#errors").waitFor();
  await look(page, "refuse, with an error");
  return 3;
}

/** A request from the empty form to its page, and an account, by keyboard only. */
async function forms(page, box) {
  await page.goto(`${box.admin}/requests/new`);
  const fill = async (id, text) => (await tabTo(page, `#${id}`), await page.keyboard.type(text));
  await fill("prefix", "van den");
  await fill("family", "Berg-Kuipers");
  await fill("born", "04-05-1936");
  await fill("bsn", "999990019");
  await fill("recipient", "noord rad");
  await page.locator("#options [aria-selected=true]").waitFor();
  await page.keyboard.press("Enter");
  await fill("reason", "Vergelijking met eerder onderzoek.");
  await page.keyboard.press("Control+Enter");
  await arrive(page, "**/requests/check*");
  await audit(page, "ask, check");
  await page.reload();
  await page.keyboard.press("Enter");
  await arrive(page, /requests\/[^/]+$/);
  await audit(page, "request, made");
  await page.goto(`${box.admin}/admin/connections`);
  await page.locator("form button").filter({ hasText: /Aanroepen|Call/ }).first().click();
  await page.locator("#test").waitFor();
  await look(page, "connections, tested");
  await page.goto(`${box.admin}/admin/users`);
  await fill("name", "p.bakker");
  await tabTo(page, "#role-importer");
  await page.keyboard.press("Space");
  await page.keyboard.press("Enter");
  await page.locator("#one-time").waitFor();
  check(/^[a-z2-7-]{19}$/.test(await page.locator("#one-time").innerText()), "a password for one time is shown");
  await look(page, "one-time password");
  return 4;
}
