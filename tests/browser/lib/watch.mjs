// Watches everything the pages do that nobody asked for: complaints, requests to strangers, patient data where it
// would stay behind.

const COMPLAIN = `addEventListener("securitypolicyviolation", (event) =>
  console.error("content security policy: " + event.violatedDirective + " forbids " + event.blockedURI));`;

export class Watch {
  #origins;
  #secrets;
  #faults = new Set();
  #expected = [];

  constructor(origins, secrets) {
    this.#origins = new Set(origins);
    this.#secrets = secrets.map((secret) => secret.toLowerCase());
  }

  async over(context) {
    await context.addInitScript(COMPLAIN);
    context.on("request", (request) => this.#request(request.url()));
    context.on("console", (message) => this.#said(message));
    context.on("weberror", (error) => this.fault(`script error: ${error.error().message}`));
    const follow = (page) => {
      page.on("framenavigated", (frame) => this.#innocent("address", frame.url()));
      page.on("domcontentloaded", () => page.title().then((title) => this.#innocent("title", title), () => {}));
    };
    context.pages().forEach(follow);
    context.on("page", follow);
  }

  /** Lets one complaint of the browser pass, while something is tried that must be refused. */
  expect(pattern) {
    this.#expected.push(pattern);
  }

  fault(text) {
    this.#faults.add(text);
  }

  /** What is kept in the browser, and what the title is after the page has been used. */
  async innocent(page) {
    this.#innocent("title", await page.title());
    this.#innocent("address", page.url());
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    if (kept !== '[{},{},""]') this.fault(`something is kept in the browser's storage: ${kept}`);
  }

  /** Fails with everything that was seen. */
  conclude() {
    for (const pattern of this.#expected) this.fault(`the browser was expected to complain: ${pattern}`);
    if (this.#faults.size) throw new Error(`the pages did what they must not:\n  ${[...this.#faults].join("\n  ")}`);
  }

  #request(url) {
    const { origin, protocol } = new URL(url);
    if (protocol !== "data:" && !this.#origins.has(origin)) this.fault(`a request to a stranger: ${url}`);
    this.#innocent("address", url);
  }

  #said(message) {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const text = `${message.text()} (${message.location().url})`;
    const at = this.#expected.findIndex((pattern) => pattern.test(text));
    if (at >= 0) this.#expected.splice(at, 1);
    else this.fault(`console: ${text}`);
    this.#innocent("console message", text);
  }

  #innocent(what, text) {
    const plain = decoded(text.replaceAll("+", " ")).toLowerCase();
    for (const secret of this.#secrets) {
      if (plain.includes(secret)) this.fault(`patient data ("${secret}") in a page's ${what}: ${text}`);
    }
  }
}

/** Not every text that is looked at is an address. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
