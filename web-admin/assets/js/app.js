// Live lists and keys. Without this script every page still works; only the following stops.

const text = (id) => document.getElementById(id);

// Keys: "/" to the search field, Ctrl+Enter to go on.
addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  const search = document.querySelector("[data-search]");
  if (event.key === "/" && !typing && search) {
    event.preventDefault();
    search.focus();
    search.select();
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = document.querySelector("form[data-go-on]");
    const button = form?.querySelector("#go-on, button.primary");
    if (button) {
      event.preventDefault();
      form.requestSubmit(button);
    }
  }
});

text("errors")?.focus();

// Seconds that are left, counted down; the server says anew how many whenever the page is fetched.
setInterval(() => {
  for (const left of document.querySelectorAll("[data-left]")) left.textContent = Math.max(0, left.textContent - 1);
}, 1000);

// Two clicks send a form once.
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.busy) event.preventDefault();
  form.dataset.busy = "1";
  setTimeout(() => delete form.dataset.busy, 5000);
});

// A page out of the browser's memory may show what is no longer so, to someone who is no longer signed in.
addEventListener("pageshow", (event) => event.persisted && location.reload());

// A page that does not follow the box asks whether its session is still open: what nobody looks after is locked.
if (document.body.dataset.session) setInterval(async () => {
  const answer = await fetch(document.body.dataset.session).catch(() => null);
  if (answer?.status === 401) location.reload();
}, 15000);

// What is typed is kept at the box, so that neither the lock nor the back button loses it.
const typed = document.querySelector("form[data-keep]");
let keeping, kept = "";
typed?.addEventListener("input", () => {
  clearTimeout(keeping);
  keeping = setTimeout(keep, 1000);
});

async function keep() {
  const body = new URLSearchParams(new FormData(typed));
  body.set("act", "keep");
  body.set("kept", kept);
  const answer = await fetch(typed.action, { method: "POST", body }).catch(() => null);
  kept = answer?.headers.get("X-Draft") || kept;
  if (kept) history.replaceState(null, "", `?draft=${kept}`);
}

if (document.body.dataset.live) follow(document.body.dataset.live);

function follow(address) {
  let stream, leaving = false, fetching = false, again = false, pending = null;

  const connect = () => {
    stream = new EventSource(address);
    stream.addEventListener("changed", () => (notLive(false), refresh()));
    stream.addEventListener("absent", () => notLive(true));
    stream.addEventListener("ended", () => location.reload());
    stream.onerror = () => setTimeout(() => !leaving && stream.readyState !== 1 && notLive(true), 3000);
  };
  const notLive = (is) => {
    text("not-live").hidden = !is;
    document.body.classList.toggle("stale", is);
  };

  addEventListener("pagehide", () => ((leaving = true), stream.close()));
  document.addEventListener("visibilitychange", () => {
    stream.close();
    if (!document.hidden && !leaving) connect();
  });
  setInterval(() => document.hidden || refresh(), 30000);
  document.addEventListener("click", (event) => event.target.closest("#fresh") && show(true));
  for (const kind of ["pointerout", "focusout"]) document.addEventListener(kind, () => setTimeout(show));
  connect();

  async function refresh() {
    if (fetching) return void (again = true);
    fetching = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": "1" } });
      if (answer.status === 401) return location.reload();
      if (answer.ok) receive(await answer.text());
    } catch {
      notLive(true);
    }
    await new Promise((done) => setTimeout(done, 250));
    fetching = false;
    if (again) (again = false), refresh();
  }

  function receive(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const menu = fresh.getElementById("menu"), block = fresh.getElementById("live");
    if (menu) morph(text("menu"), menu);
    if (!block) return;
    const rows = (root) => [...root.querySelectorAll("[data-row]")].map((row) => row.id);
    const old = rows(text("live")), now = rows(block);
    if (!inUse() || old.join() === now.join()) return (pending = null), morph(text("live"), block);
    // Somebody is in the list: rows stay where they are, and only what stands in them changes.
    for (const id of old) {
      const row = block.querySelector("#" + CSS.escape(id));
      if (row) morph(text(id), row.cloneNode(true));
    }
    pending = block;
    const count = now.filter((id) => !old.includes(id)).length, bar = text("fresh");
    bar.textContent = count ? `${count} ${bar.dataset.one}` : bar.dataset.other;
    bar.hidden = false;
  }

  function show(asked) {
    if (!pending || (asked !== true && inUse())) return;
    morph(text("live"), pending);
    pending = null;
    if (asked === true) document.querySelector("#rows a")?.focus();
  }
}

function inUse() {
  const list = text("rows");
  return list && (list.matches(":hover") || list.contains(document.activeElement));
}

// Makes one tree like another, keeping elements that have the same id, and with them focus.
function morph(have, want) {
  if (have.nodeName !== want.nodeName || (have.id ?? "") !== (want.id ?? "")) return have.replaceWith(want);
  if (have.nodeType !== 1) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  for (const { name } of [...have.attributes]) if (!want.hasAttribute(name)) have.removeAttribute(name);
  for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  let at = have.firstChild;
  for (const child of [...want.childNodes]) {
    const match = child.id
      ? [...have.children].find((known) => known.id === child.id)
      : at && !at.id && at.nodeName === child.nodeName ? at : null;
    if (!match) {
      have.insertBefore(child, at);
    } else {
      if (match === at) at = at.nextSibling;
      else have.insertBefore(match, at);
      morph(match, child);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
