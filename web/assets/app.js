// What pages do by themselves: stay live, copy commands, count how long ago. Everything works without it, but stands still.

const lost = document.getElementById("lost");

/** Follows a stream of server-sent events; says so when it breaks, and stops when the server ends it. */
function follow(address, onNews, onEnd) {
  const stream = new EventSource(address);
  stream.onopen = () => { lost.hidden = true; };
  stream.onmessage = onNews;
  stream.addEventListener("end", () => { stream.close(); onEnd?.(); });
  stream.onerror = () => {
    lost.hidden = false;
    // A refusal closes the stream for good: the session has ended, so the page leads to the login.
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
  };
  window.addEventListener("pagehide", () => stream.close());
  return stream;
}

/** Replaces what changed in `live`, element by element, so that focus and selection elsewhere stay. */
function renew(live, html) {
  const next = document.createElement("template");
  next.innerHTML = html;
  const tables = live.querySelectorAll("tbody").length;
  const sameShape = ids(live).join() === ids(next.content).join() && tables > 0;
  if (!sameShape) {
    live.replaceChildren(next.content);
  } else {
    for (const fresh of [...next.content.querySelectorAll("[id]")]) {
      const old = document.getElementById(fresh.id);
      if (fresh.querySelector("[id]") || old.outerHTML === fresh.outerHTML) continue;
      if (old.contains(document.activeElement) && old.dataset.task === undefined) continue;
      old.replaceWith(fresh);
    }
  }
  prepare(live);
}

const ids = (root) => [...root.querySelectorAll("[id]")].map((it) => it.id);

/** Gives every command its copy button. */
function prepare(root) {
  for (const command of root.querySelectorAll("[data-copy]")) {
    if (command.querySelector("button")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Copy";
    button.setAttribute("aria-label", "Copy the command");
    button.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#i-copy"/></svg>';
    button.onclick = async () => {
      await navigator.clipboard?.writeText(command.textContent);
      button.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#i-success"/></svg>';
      setTimeout(() => { button.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#i-copy"/></svg>'; }, 1500);
    };
    command.append(button);
  }
}

/** The words of the server, counted on. */
function ago(at) {
  const seconds = Math.round((Date.now() - at) / 1000);
  const size = Math.abs(seconds);
  if (size < 10) return seconds < -2 ? "in a few seconds" : "just now";
  const days = Math.floor(size / 86400);
  const [number, unit] =
    size < 60 ? [size, "s"] : size < 3600 ? [Math.floor(size / 60), "min"] : size < 86400 ? [Math.floor(size / 3600), "h"]
      : days < 60 ? [days, days === 1 ? "day" : "days"] : [Math.floor(days / 30), "months"];
  return seconds < 0 ? `in ${number} ${unit}` : `${number} ${unit} ago`;
}

/** One word of a command, as a shell takes it. */
const word = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Writes the command that does what a form would do, as the form stands. */
function spell(command, form) {
  const start = `dagctl trigger ${word(form.dataset.dag)}`;
  const options = [];
  for (const field of form.elements) {
    const param = field.name.startsWith("param.") ? field.name.slice("param.".length) : undefined;
    const byDefault = field.dataset.default;
    if (param !== undefined && field.value !== byDefault) {
      options.push(`-p ${word(`${param}=${field.value === "" && field.required ? "…" : field.value}`)}`);
    }
    if (field.name === "logical_date" && field.value) options.push(`--logical-date ${word(field.value)}`);
    if (field.name === "note" && field.value) options.push(`--note ${word(field.value)}`);
  }
  command.firstChild.data = [start, ...options, "--wait"].join(" ");
}

for (const command of document.querySelectorAll("[data-command-of]")) {
  const form = document.getElementById(command.dataset.commandOf);
  form.addEventListener("input", () => spell(command, form));
  spell(command, form);
}

setInterval(() => {
  for (const it of document.querySelectorAll("[data-ago]")) {
    const words = ago(Date.parse(it.dataset.ago));
    if (it.textContent !== words) it.textContent = words;
  }
}, 10000);

prepare(document);

const live = document.querySelector("[data-live]");
if (live) follow(live.dataset.live, (news) => renew(live, news.data));

const log = document.querySelector("[data-log]");
if (log) {
  const box = document.getElementById("follow");
  follow(log.dataset.log, (news) => {
    log.insertAdjacentHTML("beforeend", news.data);
    if (box?.checked) log.lastElementChild?.scrollIntoView({ block: "nearest" });
  }, () => {
    document.getElementById("log-state").textContent = "end of the log";
    // The attempt has ended: its state, its error and perhaps a next attempt are news as well.
    setTimeout(() => location.reload(), 700);
  });
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const id = event.target.closest("[data-open]")?.dataset.open;
  if (!id) return;
  const box = document.getElementById(id);
  box.open = true;
  box.querySelector("input:not([type=hidden])")?.focus();
});

// `/` searches; `g d` and `g p` go to DAGs and problems; `j` and `k` walk a list.
let before = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const search = document.querySelector('[data-key="/"]');
  if (event.key === "/" && search) { event.preventDefault(); search.focus(); }
  if (before === "g") {
    const place = { d: "/", p: "/problems", v: "/variables", c: "/connections", w: "/workers" }[event.key];
    if (place) location.assign(place);
  }
  if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll(".list .name > a:first-child")];
    const at = links.indexOf(document.activeElement);
    links[event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0)]?.focus();
  }
  before = event.key;
});
