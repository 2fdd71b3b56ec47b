// The page of one eyeline server. Everything it shows comes from /api/v1; text from outside only ever becomes text.

const REFRESH_MILLIS = 1000;
const RETRY_MILLIS = [500, 1000, 2000, 4000];
const MAX_EVENTS = 100;
const SPARK_SECONDS = 60;
const WALL_FPS = 10;
const LARGE_FPS = 25;
const STATES = { connecting: "Connecting", live: "Live", lost: "Lost", paused: "Paused", ended: "Ended" };

const $ = (selector, within = document) => within.querySelector(selector);
const stored = (store, key, value) => {
  // Storage may be switched off; the page then forgets.
  try {
    if (value === undefined) return store.getItem(key);
    if (value === null) store.removeItem(key);
    else store.setItem(key, value);
  } catch { /* see above */ }
  return null;
};

// ---- Asking the server

let token = stored(sessionStorage, "eyeline-token") ?? stored(localStorage, "eyeline-token");

class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.faults = problem.faults ?? [];
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (options.json !== undefined) headers["Content-Type"] = "application/json";
  const body = options.json === undefined ? undefined : JSON.stringify(options.json);
  const response = await fetch(path, { ...options, headers, body, cache: "no-store" });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) lock();
  throw new Refused(problem, response.status);
}

const streamPath = (name, rest = "") => `api/v1/streams/${encodeURIComponent(name)}${rest}`;
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

// ---- The token

let locked = false;

function lock() {
  locked = true;
  if (!$("dialog[open]")) $("#key-dialog").showModal();
}

$("#key").addEventListener("click", () => $("#key-dialog").showModal());

submits("#key-form", async (form) => {
  const entered = form.token.value.trim();
  const response = await fetch("api/v1/streams", { headers: { Authorization: `Bearer ${entered}` }, cache: "no-store" });
  if (response.status === 401) throw new Error("This is not the token of this server.");
  token = entered;
  stored(sessionStorage, "eyeline-token", entered);
  stored(localStorage, "eyeline-token", form.keep.checked ? entered : null);
  locked = false;
  form.reset();
  refresh();
});

// ---- Forms in dialogs

function submits(selector, act) {
  const form = $(selector);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const faults = $(".faults", form);
    const button = $("[type=submit]", form);
    faults.replaceChildren();
    button.disabled = true;
    try {
      await act(form);
      form.closest("dialog").close();
    } catch (error) {
      const told = error.faults?.length ? error.faults.map(faultText) : [error.message];
      faults.replaceChildren(...told.map((text) => element("p", text)));
    } finally {
      button.disabled = false;
    }
  });
}

const faultText = ({ where, problem, hint }) => [where && `${where}: `, problem, hint && `; ${hint}`].filter(Boolean).join("");

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

document.addEventListener("click", (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (act === "close") event.target.closest("dialog").close();
  if (act === "add") openAdd();
});

for (const dialog of document.querySelectorAll("dialog")) {
  // A click beside a dialog lands on the dialog element itself.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

// ---- Adding and removing

function openAdd() {
  $("#add-form").reset();
  $("#add-form .faults").replaceChildren();
  $("#add-dialog").showModal();
}

$("#add").addEventListener("click", openAdd);

submits("#add-form", async (form) => {
  const address = form.address.value.trim();
  const stream = address.includes("://") ? { url: address } : { file: address };
  const name = form.name.value.trim();
  if (name) stream.name = name;
  const added = await (await ask("api/v1/streams", { method: "POST", json: stream })).json();
  announce(`${added.name} was added`);
  refresh();
});

let leaving = null;

function openRemove(name) {
  leaving = name;
  $("#remove-form .who").textContent = name;
  $("#remove-form .faults").replaceChildren();
  $("#remove-dialog").showModal();
}

submits("#remove-form", async () => {
  await ask(streamPath(leaving), { method: "DELETE" });
  announce(`${leaving} was removed`);
  refresh();
});

// ---- The wall

const tiles = new Map();

class Tile {
  constructor(name) {
    this.name = name;
    this.root = $("#tile-template").content.firstElementChild.cloneNode(true);
    this.canvas = $("canvas", this.root);
    this.rates = [];
    this.hasPicture = false;
    this.visible = true;
    this.root.setAttribute("aria-label", name);
    $(".name", this.root).textContent = name;
    $(".name", this.root).title = name;
    this.canvas.setAttribute("aria-label", `Live picture of ${name}`);
    this.button("enlarge", `Enlarge ${name}`).addEventListener("click", () => openLarge(name));
    this.button("remove", `Remove ${name}`).addEventListener("click", () => openRemove(name));
    this.button("restart", `Reconnect ${name}`).addEventListener("click", () => this.act("restart"));
    this.button("pause", `Pause ${name}`).addEventListener("click", () =>
      this.act(this.status.state === "paused" ? "resume" : "pause"));
    sight.observe(this.root);
  }

  button(act, label) {
    const button = $(`[data-act=${act}]`, this.root);
    button.setAttribute("aria-label", label);
    if (act !== "enlarge") button.title = label;
    return button;
  }

  async act(action) {
    try {
      this.update(await (await ask(streamPath(this.name, `/${action}`), { method: "POST" })).json());
    } catch (error) {
      banner(error.message);
    }
  }

  update(status) {
    const before = this.status?.state;
    this.status = status;
    const { state } = status;
    this.root.dataset.state = state;
    if (state === "paused" || state === "ended") this.hasPicture = false;
    this.root.dataset.curtain = state === "live" && this.hasPicture ? "off" : "on";
    $(".chip-text", this.root).textContent = STATES[state] ?? state;
    $(".address", this.root).textContent = status.address;
    $(".address", this.root).title = status.address;
    const [title, note] = curtain(status);
    $(".curtain-title", this.root).textContent = title;
    $(".curtain-note", this.root).textContent = note;
    this.button("pause", `${state === "paused" ? "Resume" : "Pause"} ${this.name}`).disabled = state === "ended";
    this.button("restart", `Reconnect ${this.name}`).disabled = state === "ended" || state === "paused";
    this.figures(status);
    if (before && before !== state) announce(`${this.name} is ${STATES[state].toLowerCase()}`);
    if (before !== state) wall.changed();
  }

  figures(status) {
    const dropped = Object.values(status.dropped).reduce((sum, count) => sum + count, 0);
    const share = status.received ? (100 * dropped) / status.received : 0;
    value($(".fps", this.root), status.state === "live" ? status.fps.toFixed(1) : "–");
    const droppedCell = $(".dropped", this.root);
    value(droppedCell, dropped ? compact(dropped) : "0", dropped ? `${share < 10 ? share.toFixed(1) : share.toFixed(0)} %` : "");
    droppedCell.title = Object.entries(status.dropped).map(([reason, count]) => `${reason}: ${count}`).join("\n");
    droppedCell.classList.toggle("warn", share >= 20);
    const { age } = status;
    value($(".age", this.root), age ? `${Math.round(age.p50_ms)}` : "–", age ? `/ ${Math.round(age.p99_ms)} ms` : "");
    $(".age", this.root).title = "Half of the frames / 99 of 100 were told within";
    value($(".tracks", this.root), String(status.tracks));
  }

  tick() {
    const live = this.status?.state === "live";
    this.rates.push(live ? this.status.fps : 0);
    if (this.rates.length > SPARK_SECONDS) this.rates.shift();
    const top = Math.max(...this.rates, this.status?.nominal_fps ?? 1, 1) * 1.1;
    const points = this.rates.map((fps, i) => `${SPARK_SECONDS - this.rates.length + i + 1},${(19 - (18 * fps) / top).toFixed(1)}`);
    $(".spark polyline", this.root).setAttribute("points", points.join(" "));
  }

  async show(jpeg) {
    if (await draw(this.canvas, jpeg)) {
      this.hasPicture = true;
      if (this.status.state === "live") this.root.dataset.curtain = "off";
    }
  }
}

function curtain({ state, last_fault: fault }) {
  if (state === "live") return ["Waiting for the first picture", ""];
  if (state === "connecting") return ["Connecting …", fault ?? ""];
  if (state === "lost") return ["No connection, trying again", fault ?? ""];
  if (state === "paused") return ["Paused", ""];
  return ["Ended", fault ?? ""];
}

function value(cell, main, small = "") {
  cell.replaceChildren(main, ...(small ? [" ", element("small", small)] : []));
}

const compact = (count) => new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(count);

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const tile = [...tiles.values()].find(({ root }) => root === target);
    if (tile) tile.visible = isIntersecting;
  }
  wall.changed();
}, { rootMargin: "200px" });

function show(streams) {
  const names = new Set(streams.map(({ name }) => name));
  for (const [name, tile] of tiles) {
    if (!names.has(name)) drop(name, tile);
  }
  for (const status of streams) {
    let tile = tiles.get(status.name);
    if (!tile) {
      tile = new Tile(status.name);
      tiles.set(status.name, tile);
      $("#wall").append(tile.root);
      wall.changed();
    }
    tile.update(status);
    tile.tick();
  }
  const empty = $(".empty");
  if (!streams.length && !empty) $("#wall").append($("#empty-template").content.cloneNode(true));
  if (streams.length) empty?.remove();
  totals(streams);
  if ($("#large-dialog").open) details();
}

function drop(name, tile) {
  const hadFocus = tile.root.contains(document.activeElement);
  sight.unobserve(tile.root);
  tile.root.remove();
  tiles.delete(name);
  if (hadFocus) $("#wall").focus();
  wall.changed();
}

function totals(streams) {
  const parts = Object.keys(STATES).map((state) => [state, streams.filter((stream) => stream.state === state).length]);
  const shown = parts.filter(([, count]) => count).map(([state, count]) => {
    const part = element("span", `${count} ${STATES[state].toLowerCase()}`);
    part.prepend(element("span", "", `dot ${state}`));
    return part;
  });
  const fps = streams.reduce((sum, stream) => sum + (stream.state === "live" ? stream.fps : 0), 0);
  if (fps) shown.push(element("span", `${fps.toFixed(0)} frames/s`));
  $("#totals").replaceChildren(...shown);
}

// ---- Pictures

// The stream that is shown large, and how to stop it.
let large = null;

async function draw(canvas, jpeg) {
  let picture;
  try {
    picture = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  } catch {
    return false;
  }
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  return true;
}

// Reads the parts of a multipart answer: calls `each` with the headers and the bytes of every one.
async function readParts(response, each) {
  const reader = response.body.getReader();
  const text = new TextDecoder("latin1");
  let bytes = new Uint8Array(0);
  for (;;) {
    const { done, value: chunk } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(bytes.length + chunk.length);
    joined.set(bytes);
    joined.set(chunk, bytes.length);
    bytes = joined;
    for (;;) {
      const end = headEnd(bytes);
      if (end < 0) break;
      const head = text.decode(bytes.subarray(0, end));
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? NaN);
      if (!(bytes.length >= end + length)) break;
      await each(head, bytes.subarray(end, end + length));
      bytes = bytes.slice(end + length + 2);
    }
  }
}

function headEnd(bytes) {
  for (let at = 3; at < bytes.length; at += 1) {
    if (bytes[at] === 10 && bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13) return at + 1;
  }
  return -1;
}

// One connection for the pictures of all tiles in sight; opened anew when that set changes.
const wall = {
  wanted: "",
  abort: null,
  away: false,

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.follow(), 150);
  },

  query() {
    if (document.hidden || locked || this.away) return "";
    const seen = [...tiles.values()].filter(({ visible, status }) => visible && status?.state === "live");
    return seen.map(({ name }) => `stream=${encodeURIComponent(name)}`).sort().join("&");
  },

  follow() {
    const wanted = this.query();
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    this.abort?.abort();
    if (wanted) this.run(wanted, (this.abort = new AbortController()));
  },

  async run(wanted, abort) {
    for (let tries = 0; wanted === this.wanted; tries += 1) {
      try {
        const response = await ask(`api/v1/wall?fps=${WALL_FPS}&${wanted}`, { signal: abort.signal });
        await readParts(response, async (head, jpeg) => {
          tries = 0;
          const name = decodeURIComponent(/x-stream: (\S+)/i.exec(head)?.[1] ?? "");
          await tiles.get(name)?.show(jpeg);
        });
      } catch (error) {
        if (abort.signal.aborted || error.status === 401) return;
      }
      await pause(RETRY_MILLIS[Math.min(tries, RETRY_MILLIS.length - 1)]);
    }
  },
};

document.addEventListener("visibilitychange", () => wall.changed());

// A page that was left may be kept for the way back; nobody looks at it meanwhile.
addEventListener("pagehide", () => {
  wall.away = true;
  wall.follow();
  large?.abort.abort();
});
addEventListener("pageshow", () => {
  wall.away = false;
  wall.changed();
});

// ---- One stream, large

async function openLarge(name) {
  large = { name, abort: new AbortController() };
  const { abort } = large;
  const canvas = $("#large-dialog canvas");
  $("#large-title").textContent = name;
  canvas.setAttribute("aria-label", `Live picture of ${name}`);
  const small = tiles.get(name).canvas;
  canvas.width = small.width;
  canvas.height = small.height;
  canvas.getContext("2d").drawImage(small, 0, 0);
  details();
  $("#large-dialog").showModal();
  for (let tries = 0; !abort.signal.aborted; tries += 1) {
    try {
      const response = await ask(streamPath(name, `/live.mjpeg?size=large&fps=${LARGE_FPS}`), { signal: abort.signal });
      await readParts(response, async (_, jpeg) => {
        tries = 0;
        await draw(canvas, jpeg);
      });
    } catch (error) {
      if (abort.signal.aborted || error.status) return;
    }
    await pause(RETRY_MILLIS[Math.min(tries, RETRY_MILLIS.length - 1)]);
  }
}

$("#large-dialog").addEventListener("close", () => large?.abort.abort());

function details() {
  const status = tiles.get(large.name)?.status;
  if (!status) return $("#large-dialog").close();
  const stages = status.stages.map(({ stage, age }) => `${stage} ${Math.round(age.p99_ms)}`).join(" · ");
  const rows = [
    ["State", STATES[status.state]],
    ["Picture", status.width ? `${status.width} × ${status.height}` : "–"],
    ["Frames/s", `${status.fps.toFixed(1)}${status.nominal_fps ? ` of ${status.nominal_fps}` : ""}`],
    ["Received / processed", `${compact(status.received)} / ${compact(status.processed)}`],
    ["Connection lost", `${status.losses} ${status.losses === 1 ? "time" : "times"}`],
    ["Zones", status.zones.join(", ") || "none"],
    ["Classes", status.classes.join(", ") || "all"],
    ["Least score", String(Math.round(status.min_score * 1000) / 1000)],
    ["Age after each stage, p99 ms", stages || "–"],
    ["Last fault", status.last_fault ?? "none"],
  ];
  const row = ([name, text]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", text));
    return pair;
  };
  return $("#large-dialog .details").replaceChildren(...rows.map(row));
}

// ---- What happens

async function follow() {
  for (let tries = 0; ; tries += 1) {
    while (locked) await pause(REFRESH_MILLIS);
    try {
      const response = await ask("api/v1/events?kind=event&kind=stream");
      tries = 0;
      await readMessages(response, heard);
    } catch { /* the table's own refresh says what is wrong */ }
    await pause(RETRY_MILLIS[Math.min(tries, RETRY_MILLIS.length - 1)]);
  }
}

// Server-sent events over fetch, which unlike EventSource can carry the token.
async function readMessages(response, each) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value: chunk } = await reader.read();
    if (done) return;
    text += chunk;
    const messages = text.split("\n\n");
    text = messages.pop();
    for (const message of messages) {
      const field = (name) => message.split("\n").filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
      if (field("data")) each(field("event"), JSON.parse(field("data")));
    }
  }
}

function heard(kind, data) {
  if (kind === "stream") tiles.has(data.name) ? tiles.get(data.name).update(data) : refresh();
  if (kind === "removed" && tiles.has(data.name)) drop(data.name, tiles.get(data.name));
  if (kind === "event") listEvent(data);
  if (kind === "missed") listEvent({ type: "page.missed", stream: "", messages: data.messages });
}

function eventText(event) {
  const who = event.class ? `${event.class} #${event.track}` : "";
  switch (event.type) {
    case "track.started": return [`${who} appeared`, "start"];
    case "track.ended": return [`${who} left after ${Math.round(event.duration_seconds)} s`, "end"];
    case "stream.started": return ["Stream started", "live"];
    case "stream.ended": return ["Stream ended", "end"];
    case "stream.lost": return ["Connection lost", "lost"];
    case "stream.recovered": return ["Connection is back", "live"];
    case "page.missed": return [`${event.messages} events came too fast to be shown`, "connecting"];
    default: {
      const words = event.type.replace(/[._]/g, " ");
      const place = event.zone ?? event.line;
      return [[who || words, who && words, place && `(${place})`].filter(Boolean).join(" "), "start"];
    }
  }
}

function listEvent(event) {
  const [text, look] = eventText(event);
  const item = element("li");
  const dot = element("span", "", `dot ${look}`);
  dot.setAttribute("aria-hidden", "true");
  const now = new Date();
  const time = element("time", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }));
  time.dateTime = now.toISOString();
  item.append(dot, element("span", text, "what"), time, element("span", event.stream, "where"));
  const list = $("#events");
  list.prepend(item);
  while (list.children.length > MAX_EVENTS) list.lastElementChild.remove();
  $("#no-events").hidden = true;
}

// ---- Keeping up

let asking = false;

async function refresh() {
  if (asking || locked) return;
  asking = true;
  try {
    show((await (await ask("api/v1/streams")).json()).streams);
    banner("");
  } catch (error) {
    if (error.status !== 401) banner(error instanceof Refused ? error.message : "The server does not answer. Trying again …");
  } finally {
    asking = false;
  }
}

function banner(text) {
  if ($("#banner").textContent === text) return;
  $("#banner").textContent = text;
  $("#banner").hidden = !text;
}

function announce(text) {
  $("#announcer").textContent = text;
}

$("#theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  stored(localStorage, "eyeline-theme", document.documentElement.dataset.theme);
});

const theme = stored(localStorage, "eyeline-theme");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;

refresh();
setInterval(() => document.hidden || refresh(), REFRESH_MILLIS);
follow();
