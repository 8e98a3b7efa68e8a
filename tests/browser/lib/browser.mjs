// The browser: Debian's Chromium with a profile of its own, told to keep to itself.

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// The packages lie where NODE_PATH says, which only `require` follows.
const require = createRequire(import.meta.url);
export const { chromium } = require("playwright-core");
export const { AxeBuilder } = require("@axe-core/playwright");

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 320, height: 720 };

const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** Runs `work` with a browser context that knows nothing, and takes the browser away afterwards. */
export async function withBrowser(program, work) {
  const profile = mkdtempSync(join(tmpdir(), "beeldbox-browser-"));
  try {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: program, headless: true, args: QUIET, ignoreHTTPSErrors: true, viewport: WIDE,
      locale: "nl-NL", timezoneId: "Europe/Amsterdam", colorScheme: "light", reducedMotion: "reduce",
    });
    context.setDefaultTimeout(15_000);
    try {
      return await work(context);
    } finally {
      await context.close();
    }
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}
