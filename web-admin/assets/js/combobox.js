// Choosing an addressee while typing (ARIA combobox with a list). Without this script a button searches.

const box = document.getElementById("combobox");
const input = document.getElementById("recipient");
const list = Object.assign(document.createElement("ul"), { id: "options", hidden: true });
const said = Object.assign(document.createElement("p"), { className: "unseen" });
const value = Object.assign(document.createElement("input"), { type: "hidden", name: "addressee" });
let active = null, timer, request;

list.setAttribute("role", "listbox");
list.setAttribute("aria-labelledby", "recipient-label");
said.setAttribute("role", "status");
for (const [name, content] of Object.entries({
  role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "options",
})) input.setAttribute(name, content);

const before = document.querySelector("#chosen input");
if (before) value.value = before.value;
for (const id of ["search", "results", "chosen"]) document.getElementById(id)?.remove();
box.append(list, said, value);
const usual = [...document.querySelectorAll("#usual input")];
for (const one of usual) {
  // The hidden field says who is chosen.
  one.name = "usual";
  one.addEventListener("change", () => take(one.value, one.dataset.name));
}
box.classList.toggle("is-chosen", !!value.value);

input.addEventListener("input", () => {
  forget();
  clearTimeout(timer);
  timer = setTimeout(search, 150);
});
input.addEventListener("keydown", (event) => {
  const options = [...list.querySelectorAll("[role=option]")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    if (list.hidden) return void search();
    mark(options[(options.indexOf(active) + step + options.length) % options.length]);
  } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    if (!list.hidden && active) choose(active);
    else if (value.value) document.getElementById(box.dataset.next ?? "note").focus();
  } else if (event.key === "Escape") {
    if (list.hidden) forget(), (input.value = "");
    close();
  }
});
list.addEventListener("mousedown", (event) => event.preventDefault());
list.addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) choose(option);
});
input.addEventListener("blur", close);
if (input.value && !value.value) search();

async function search() {
  request?.abort();
  const query = input.value.trim();
  if (query.length < 2) return close();
  request = new AbortController();
  try {
    const address = `${box.dataset.source}?q=${encodeURIComponent(query)}`;
    const answer = await fetch(address, { signal: request.signal });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.text());
  } catch (error) {
    if (error.name !== "AbortError") (said.textContent = box.dataset.failed), close();
  }
}

function show(html) {
  list.replaceChildren(...new DOMParser().parseFromString(`<ul>${html}</ul>`, "text/html").body.firstChild.children);
  said.textContent = list.querySelector("[data-found]")?.dataset.found ?? "";
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
  mark(list.querySelector("[role=option]"));
}

function mark(option) {
  active?.setAttribute("aria-selected", "false");
  active = option ?? null;
  active?.setAttribute("aria-selected", "true");
  active?.scrollIntoView({ block: "nearest" });
  if (active) input.setAttribute("aria-activedescendant", active.id);
  else input.removeAttribute("aria-activedescendant");
}

function choose(option) {
  for (const one of usual) one.checked = false;
  take(option.dataset.id, option.dataset.name);
}

function take(id, name) {
  value.value = id;
  input.value = name;
  box.classList.add("is-chosen");
  input.removeAttribute("aria-invalid");
  said.textContent = box.dataset.chosen.replace("{name}", () => name);
  close();
  document.getElementById(box.dataset.next ?? "note").focus();
}

function forget() {
  for (const one of usual) one.checked = false;
  value.value = "";
  box.classList.remove("is-chosen");
}

function close() {
  clearTimeout(timer);
  request?.abort();
  list.hidden = true;
  input.setAttribute("aria-expanded", "false");
  mark(null);
}
