// A person in the real pages of two real hospitals.
//
//   node journey.mjs STAGE.json                       does the technician's whole job and checks what must be so
//   node journey.mjs STAGE.json --screenshots FOLDER  makes the pictures of the README
//   node journey.mjs STAGE.json --every               looks at every page of one box with made-up patients
//
// STAGE.json is written by the crate around this file, which starts the hospitals and says where Node finds its
// packages. The last line on standard error says what went wrong.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { withBrowser } from "./lib/browser.mjs";
import { every } from "./lib/every.mjs";
import { screenshots } from "./lib/screenshots.mjs";
import { story } from "./lib/story.mjs";
import { Watch } from "./lib/watch.mjs";

const [file, option, folder] = process.argv.slice(2);
const stage = JSON.parse(readFileSync(file, "utf8"));
const origins = [stage.noord, stage.zuid, stage.box].filter(Boolean).map(({ admin }) => admin);
const watch = new Watch(origins, stage.secrets);

try {
  await withBrowser(stage.chromium, async (context) => {
    await watch.over(context);
    try {
      if (option === "--screenshots") await screenshots(context, stage, folder);
      else if (option === "--every") await every(context, watch, stage);
      else await story(context, watch, stage);
    } catch (error) {
      await photograph(context);
      throw error;
    }
  });
  watch.conclude();
} catch (error) {
  console.error(`journey: ${error.message}`);
  process.exitCode = 1;
}

/** What was on the screens when it went wrong, beside STAGE.json. */
async function photograph(context) {
  for (const [at, page] of context.pages().entries()) {
    const path = join(dirname(file), `failed-${at + 1}.png`);
    await page.screenshot({ path, fullPage: true }).then(() => console.error(`journey: see ${path}`), () => {});
  }
}
