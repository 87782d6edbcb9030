/* The review page: a clip, its frames, what it shows, and the next one. Everything is drawn from `state`. */

const CLASS_KEYS = [..."1234567890acdghijknprtvwx"];
const AHEAD = 6; // clips whose frames are fetched before they are wanted
const BOOKS = 16; // flipbooks that are kept
const FRAMES_PER_S = 6;
const SUGGESTED = 0.5;
const NEWS_MS = 5000;
const RETRY_MS = 1500;

const $ = (id) => document.getElementById(id);
const page = {
  queue: $("queue"), about: $("about"), user: $("user"), canvas: $("canvas"), film: $("film"), motion: $("motion"),
  scrub: $("scrub"), type: $("type"), found: $("found"), classes: $("classes"), others: $("others"),
};
const still = matchMedia("(prefers-reduced-motion: reduce)");
const state = {
  classes: [], clips: [], place: 0, chosen: new Set(), scope: null, others: [], alsoOf: new Set(), frame: 0,
  playing: !still.matches, boxes: remembered("boxes", "yes") === "yes", filming: false, once: remembered("once", "no") === "yes",
  numbers: {}, queue: "", about: "", sending: [], stuck: false, asked: 0,
};

/* ---- small tools ---- */

function remembered(name, usual) {
  try { return localStorage.getItem(`trapline-${name}`) ?? usual; } catch { return usual; }
}

function remember(name, value) {
  try { localStorage.setItem(`trapline-${name}`, value); } catch { /* a browser that keeps nothing */ }
}

function make(tag, text, facts = {}) {
  const element = document.createElement(tag);
  if (text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(facts)) element.setAttribute(name, value);
  return element;
}

const name = () => crypto.getRandomValues(new Uint32Array(3)).reduce((text, each) => text + each.toString(36), "");
const clip = () => state.clips[state.place];
const press = (id, on) => $(id).setAttribute("aria-pressed", String(on));
const inWords = (classes) => (classes.length ? classes.join(", ") : "blank");
const say = (text) => { $("said").textContent = text; };

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

async function ask(address, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(address, { ...options, credentials: "same-origin" });
  if (answer.status === 403) throw Object.assign(new Error(await answer.text()), { final: true });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(told.error ?? `the server answered ${answer.status}`), { final: true });
  }
  return answer.json();
}

/* ---- flipbooks: the frames of a clip, as they come ---- */

class Book {
  constructor(key) {
    this.key = key;
    this.blobs = [];
    this.bitmaps = new Map();
    this.facts = null;
    this.problem = "";
    this.first = new Promise((resolve) => { this.hasFirst = resolve; });
    this.fill();
  }

  async fill() {
    try {
      this.facts = await ask(`/clip/${this.key}`);
      this.problem = this.facts.problem;
      if (!this.problem) {
        if (state.hasRun) this.listen();
        await this.read();
      }
      if (!this.problem && !this.blobs.some(Boolean)) this.problem = "No frame of this clip can be decoded.";
    } catch (error) {
      this.problem = error.message;
      books.delete(this.key);
    }
    this.hasFirst();
    if (clip()?.key === this.key) drawClip();
  }

  /* Which frames the models' answer came from; until that is known, motion says what counts. */
  async listen() {
    try {
      this.spoke = (await ask(`/clip/${this.key}/spoke`)).weights;
      if (clip()?.key === this.key) drawFrame();
    } catch { /* it is not needed */ }
  }

  async read() {
    const answer = await fetch(`/clip/${this.key}/frames`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const reader = answer.body.getReader();
    let rest = new Uint8Array();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const both = new Uint8Array(rest.length + value.length);
      both.set(rest);
      both.set(value, rest.length);
      rest = await this.take(both);
    }
  }

  /* Take whole pictures off the bytes that came, and give back the rest. */
  async take(bytes) {
    let start = 0;
    while (bytes.length - start >= 8) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + start, 8);
      const [place, size] = [view.getUint32(0), view.getUint32(4)];
      if (bytes.length - start - 8 < size) break;
      this.blobs[place] = new Blob([bytes.slice(start + 8, start + 8 + size)], { type: "image/jpeg" });
      start += 8 + size;
      if (this.bitmaps.size === 0) {
        await this.bitmap(place);
        this.hasFirst();
        if (clip()?.key === this.key) drawClip();
      }
    }
    return bytes.slice(start);
  }

  async bitmap(place) {
    if (!this.bitmaps.has(place) && this.blobs[place]) {
      try { this.bitmaps.set(place, await createImageBitmap(this.blobs[place])); } catch { delete this.blobs[place]; }
    }
    return this.bitmaps.get(place);
  }

  /* The frame at a place, or the nearest one that is there. */
  nearest(place) {
    const there = Object.keys(this.blobs).map(Number);
    return there.length ? there.reduce((best, each) => (Math.abs(each - place) < Math.abs(best - place) ? each : best)) : -1;
  }

  get foremost() {
    const moments = this.facts?.moments ?? [];
    return moments.reduce((best, each, place) => (this.weight(each, place) > this.weight(moments[best], best) ? place : best), 0);
  }

  weight(moment, place) {
    return this.spoke?.length ? this.spoke[place] ?? 0 : moment.energy;
  }

  forget() {
    for (const each of this.bitmaps.values()) each.close();
    this.bitmaps.clear();
  }
}

const books = new Map();

function book(key) {
  const found = books.get(key) ?? new Book(key);
  books.delete(key);
  books.set(key, found);
  for (const [old, each] of books) {
    if (books.size <= BOOKS) break;
    if (old === clip()?.key) continue;
    each.forget();
    books.delete(old);
  }
  return found;
}

function fetchAhead() {
  for (let step = 1; step <= AHEAD; step += 1) {
    const next = state.clips[state.place + step];
    if (next) book(next.key);
  }
}

/* ---- drawing ---- */

let shown = "";

async function drawFrame() {
  const current = clip();
  if (!current) return;
  const own = book(current.key);
  const place = own.nearest(state.frame);
  const picture = place < 0 ? undefined : await own.bitmap(place);
  if (!picture || clip()?.key !== current.key) return;
  const moment = own.facts.moments[place];
  drawPicture(picture, state.boxes ? moment.boxes : []);
  const where = `${moment.t.toFixed(1)} s, frame ${place + 1} of ${own.facts.moments.length}`;
  $("moment").textContent = where + (place === own.foremost ? " · counts most" : "");
  page.canvas.setAttribute("aria-label", `${current.id} at ${where}`);
  page.scrub.value = place;
  page.scrub.setAttribute("aria-valuetext", where);
  drawMotion(own, place);
  if (shown !== current.key) {
    shown = current.key;
    document.body.dataset.shown = current.key;
    document.body.dataset.shownMs = (performance.now() - state.asked).toFixed(1);
    dispatchEvent(new CustomEvent("clip-shown", { detail: { key: current.key, ms: performance.now() - state.asked } }));
  }
}

/* A picture as large as the canvas is seen, so that lines on it are sharp, and what moved in it. */
function drawPicture(picture, boxes) {
  const { canvas } = page;
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (!wide || !high) return;
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const scale = Math.min(wide / picture.width, high / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const [x, y] = [(wide - width) / 2, (high - height) / 2];
  const pen = canvas.getContext("2d", { alpha: false });
  pen.fillStyle = "#101210";
  pen.fillRect(0, 0, wide, high);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, x, y, width, height);
  pen.lineWidth = 2 * ratio;
  pen.setLineDash([8 * ratio, 5 * ratio]);
  pen.strokeStyle = "#ffd54a";
  for (const [left, top, right, bottom] of boxes) {
    pen.strokeRect(x + left * width, y + top * height, (right - left) * width, (bottom - top) * height);
  }
}

function drawMotion(own, place) {
  const { motion } = page;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(motion.clientWidth * ratio), Math.round(motion.clientHeight * ratio)];
  if (!width) return;
  [motion.width, motion.height] = [width, height];
  const pen = motion.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const moments = own.facts.moments;
  const weights = moments.map((each, number) => own.weight(each, number));
  const most = Math.max(...weights, 1e-9);
  const step = width / moments.length;
  weights.forEach((each, number) => {
    const high = Math.max(2 * ratio, (each / most) * height);
    pen.fillStyle = style.getPropertyValue(number === place ? "--accent" : number === own.foremost ? "--second" : "--rule");
    pen.fillRect(number * step, height - high, Math.max(1, step - ratio), high);
  });
}

function drawClip() {
  const current = clip();
  $("name").textContent = current ? current.id : "";
  $("facts").textContent = current ? [current.site, current.time].filter(Boolean).join(" · ") : "";
  $("why").textContent = current ? current.why.reason : "";
  $("standing").textContent = current ? standing(current) : "";
  const own = current && book(current.key);
  const problem = current ? own.problem : state.queue === "" ? "" : "No clips are left in this queue. Choose another one above.";
  $("problem").textContent = problem;
  $("problem").hidden = !problem;
  page.canvas.hidden = state.filming || Boolean(problem) || !current;
  page.film.hidden = !state.filming || Boolean(problem) || !current;
  page.scrub.max = Math.max(0, (own?.facts?.moments.length ?? 1) - 1);
  for (const id of ["confirm", "blank", "unsure", "skip"]) $(id).disabled = !current;
  drawClasses();
  drawScope();
  drawNumbers();
  drawFrame();
}

function standing(current) {
  if (current.state === "labelled") return `${inWords(current.label)}, said ${current.by}`;
  if (current.state === "unsure") return `unsure, said ${current.by}`;
  if (current.state === "skipped") return `skipped by ${current.by}`;
  return current.label ? `labelled ${inWords(current.label)}` : "";
}

/* What Enter takes where nothing is chosen: what a person said of the clip, else what the models say. */
function suggested(current) {
  if (current.state === "labelled") return current.label;
  return state.classes.filter((each) => (current.predicted[each] ?? 0) >= SUGGESTED);
}

function drawClasses() {
  const current = clip();
  const hints = current ? suggested(current) : [];
  page.classes.replaceChildren(...state.classes.map((each, number) => {
    const button = make("button", null, { type: "button", "aria-pressed": state.chosen.has(each), title: each });
    if (CLASS_KEYS[number]) {
      button.append(make("kbd", CLASS_KEYS[number].toUpperCase()));
      button.setAttribute("aria-keyshortcuts", CLASS_KEYS[number]);
    }
    button.append(make("span", each));
    const share = current?.predicted[each];
    if (share !== undefined) {
      button.append(make("span", share < 0.005 ? "" : `${Math.round(100 * share)} %`, { class: "share" }));
      const bar = make("i", null);
      bar.style.width = `${100 * share}%`;
      button.append(bar);
    }
    button.classList.toggle("suggested", hints.includes(each));
    button.addEventListener("click", () => toggle(each));
    return button;
  }));
  $("confirm").firstChild.textContent = `${confirmWords(current, hints)} `;
}

function confirmWords(current, hints) {
  const what = state.chosen.size ? [...state.chosen] : hints;
  if (!current || !what.length) return current && isBlank(current) ? "Confirm: blank" : "Confirm";
  return `Confirm: ${what.join(", ")}`;
}

/* Whether the models hold a clip for blank: they have a class for it that is none of those that can be chosen. */
function isBlank(current) {
  if (current.state === "labelled") return current.label.length === 0;
  return Object.entries(current.predicted).some(([each, share]) => share >= SUGGESTED && !state.classes.includes(each));
}

function drawScope() {
  const current = clip();
  $("event").disabled = !current || current.event < 2;
  $("event").firstChild.textContent = current && current.event > 1 ? `Whole event (${current.event}) ` : "Whole event ";
  $("alike").disabled = !current;
  press("event", state.scope === "event");
  press("alike", state.scope === "alike");
  page.others.hidden = !state.scope;
  if (!state.scope) return;
  page.others.replaceChildren(...state.others.map((each) => {
    const button = make("button", null, { type: "button", "aria-pressed": state.alsoOf.has(each.key), title: `${each.id}: ${standing(each)}` });
    const picture = make("img", null, { src: `/clip/${each.key}/picture.jpg`, alt: "", loading: "lazy" });
    button.append(picture, make("span", each.label ? inWords(each.label) : each.id.split("/").pop()));
    button.addEventListener("click", () => {
      if (!state.alsoOf.delete(each.key)) state.alsoOf.add(each.key);
      button.setAttribute("aria-pressed", String(state.alsoOf.has(each.key)));
      sayScope();
    });
    return button;
  }));
}

function drawNumbers() {
  const { decided, clips_in_all: all, conflicts } = state.numbers;
  const here = state.clips.length ? `clip ${state.place + 1} of ${state.clips.length}` : "no clips";
  $("count").textContent = `${here} · ${decided} of ${all} decided${conflicts ? ` · people disagree on ${conflicts}` : ""}`;
}

/* ---- progress ---- */

function tableOf(caption, heads, rows) {
  const table = make("table", null);
  table.append(make("caption", caption));
  const line = (cells, kind) => {
    const row = make("tr", null);
    row.append(...cells.map((each, number) => make(number ? kind : "th", String(each), number ? {} : { scope: kind === "th" ? "col" : "row" })));
    return row;
  };
  table.append(line(heads, "th"), ...rows.map((each) => line(each, "td")));
  return table;
}

async function openProgress() {
  $("progress").showModal();
  $("numbers").replaceChildren(make("p", "Counting …"));
  try {
    await settled();
    const ahead = state.clips.slice(state.place, state.place + 100);
    const facts = await ask(`/api/progress?clips=${ahead.map((each) => each.key).join(",")}`);
    const { decided, clips_in_all: all, conflicts, richness } = facts;
    const parts = [make("p", `${decided} of ${all} clips are decided; people disagree on ${conflicts}.`), ...facts.notes.map((each) => make("p", each))];
    if (richness) {
      const more = richness.estimate > richness.found + 0.05 ? `; by how many stood at one or two places only, there are about ${richness.estimate.toFixed(1)} (${richness.low.toFixed(1)} to ${richness.high.toFixed(1)})` : "";
      parts.push(make("p", `${richness.found} species found${more}.`));
    }
    parts.push(...facts.whole.map((each) => make("p", each)));
    const classes = Object.keys(facts.found_lately);
    if (facts.last || Object.keys(facts.expected).length) {
      const rows = classes.map((each) => [each, facts.found_lately[each], facts.expected[each]?.toFixed(1) ?? "–"]);
      parts.push(tableOf("New clips of each class", ["class", `in the last ${facts.last}`, `expected in the next ${ahead.length}`], rows));
    }
    if (facts.curve.length) {
      const rows = facts.curve.map((each) => [each.labelled, each.clips, each.log_loss.toFixed(3), `${Math.round(100 * each.right)} %`]);
      parts.push(tableOf("What the models had said of clips drawn by chance, before these were labelled", ["decided by then", "clips", "log loss", "right"], rows));
    } else {
      parts.push(make("p", "How good the models are is measured on clips that chance draws (a tenth of “What teaches most”, and “By chance”); none of these was labelled since there is a run.", { class: "quiet" }));
    }
    $("numbers").replaceChildren(...parts);
  } catch (error) {
    $("numbers").replaceChildren(make("p", error.message));
  }
}

/* ---- going about ---- */

function go(place) {
  if (place < 0 || place >= state.clips.length) {
    say(place < 0 ? "This is the first clip." : "This was the last clip of the queue.");
    return;
  }
  state.asked = performance.now();
  state.place = place;
  begin();
}

function begin() {
  state.chosen = new Set();
  state.scope = null;
  state.frame = 0;
  if (state.filming) film(false);
  drawClip();
  fetchAhead();
}

/* What has to be named for a queue: one of the classes. */
function drawAbout() {
  const needs = state.queues.find((each) => each.name === page.queue.value)?.about === "class";
  $("about-label").hidden = !needs;
  const before = page.about.value || remembered("about", "");
  page.about.replaceChildren(...state.classes.map((each) => make("option", each, { value: each })));
  if (state.classes.includes(before)) page.about.value = before;
  return needs ? page.about.value : "";
}

async function loadQueue() {
  state.queue = page.queue.value;
  remember("queue", state.queue);
  const about = drawAbout();
  remember("about", page.about.value);
  const address = `/api/queue?name=${encodeURIComponent(state.queue)}&about=${encodeURIComponent(about)}`;
  document.body.classList.add("waiting");
  try {
    const told = await ask(address);
    state.clips = told.clips;
    state.numbers = told;
    trouble("");
  } catch (error) {
    state.clips = [];
    trouble(error.message);
  }
  document.body.classList.remove("waiting");
  state.place = 0;
  state.asked = performance.now();
  shown = "";
  begin();
}

/* ---- deciding ---- */

function toggle(each) {
  if (!clip()) return;
  if (!state.chosen.delete(each)) state.chosen.add(each);
  if (state.once && state.chosen.size) decide("labelled", [...state.chosen]);
  else drawClasses();
}

function confirm() {
  const current = clip();
  if (!current) return;
  const what = state.chosen.size ? [...state.chosen] : suggested(current);
  if (what.length || isBlank(current)) decide("labelled", what);
  else say("Nothing is chosen: press the key of a class, or B for blank.");
}

function decide(what, classes) {
  const current = clip();
  if (!current) return;
  if (state.stuck) { say("What was decided before is not saved yet; wait, or see above."); return; }
  if (!page.user.value.trim()) { page.user.focus(); say("Say who you are first."); return; }
  const also = state.scope ? state.others.filter((each) => state.alsoOf.has(each.key)) : [];
  const clips = [current, ...also.filter((each) => each.key !== current.key)];
  const keys = new Set(clips.map((each) => each.key));
  state.sending.push({
    action: name(), user: page.user.value.trim(), clips: [...keys], state: what, classes, why: clips.map((each) => each.why),
  });
  for (const each of state.clips) {
    if (!keys.has(each.key) || (what === "skipped" && each.state)) continue;
    [each.state, each.by] = [what, page.user.value.trim()];
    if (what === "labelled") each.label = classes;
    else if (what === "unsure") each.label = null;
  }
  const many = keys.size > 1 ? ` for ${keys.size} clips` : "";
  say(`${what === "labelled" ? inWords(classes) : what}${many}: ${current.id}`);
  send();
  let next = state.place + 1;
  while (next < state.clips.length && keys.has(state.clips[next].key)) next += 1;
  if (next < state.clips.length) go(next);
  else settled().then(loadQueue);
}

let running = null;

function send() {
  running ??= sendAll().finally(() => { running = null; });
  return running;
}

async function sendAll() {
  while (state.sending.length) {
    try {
      told(await ask("/api/decide", state.sending[0]));
      state.sending.shift();
      state.stuck = false;
      trouble("");
    } catch (error) {
      if (error.final) {
        state.sending.shift();
        trouble(`Not saved: ${error.message}`);
        continue;
      }
      state.stuck = true;
      trouble("Not saved: the server does not answer. If it was stopped, start it again and open the address that it prints.");
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}

const settled = () => running ?? Promise.resolve();

/* What the server says of clips, and of how many there are. */
function told(news) {
  state.numbers = { ...state.numbers, ...news };
  const waiting = new Set(state.sending.slice(1).flatMap((each) => each.clips));
  for (const each of news.clips) {
    if (waiting.has(each.key)) continue;
    for (const own of [...state.clips, ...state.others]) if (own.key === each.key) Object.assign(own, each);
    for (const label of each.label ?? []) if (!state.classes.includes(label)) state.classes.push(label);
  }
  drawNumbers();
  const current = clip();
  if (current) $("standing").textContent = standing(current);
}

async function undo(which) {
  await settled();
  try {
    const news = await ask(`/api/${which}`, { user: page.user.value.trim() });
    told(news);
    if (!news.clips.length) { say(which === "undo" ? "There is nothing to undo." : "There is nothing to redo."); return; }
    const first = news.clips[0];
    let place = state.clips.findIndex((each) => each.key === first.key);
    if (place < 0) {
      place = state.place;
      state.clips.splice(place, 0, { ...first, why: { strategy: which, reason: `${which} of what was decided`, random: false } });
    }
    go(place);
    say(`${which === "undo" ? "Undone" : "Done again"}: ${first.id}${news.clips.length > 1 ? ` and ${news.clips.length - 1} more` : ""}`);
  } catch (error) {
    trouble(error.message);
  }
}

async function widen(scope) {
  const current = clip();
  if (!current) return;
  if (state.scope === scope) {
    const all = state.alsoOf.size === state.others.length;
    if (all) state.scope = null;
    else state.alsoOf = new Set(state.others.map((each) => each.key));
    drawScope();
    sayScope();
    return;
  }
  try {
    const { clips } = await ask(`/clip/${current.key}/${scope}`);
    if (clip() !== current) return;
    state.scope = scope;
    state.others = clips.filter((each) => each.key !== current.key);
    state.alsoOf = new Set(state.others.filter((each) => each.likely && !each.state).map((each) => each.key));
    drawScope();
    sayScope();
  } catch (error) {
    trouble(error.message);
  }
}

function sayScope() {
  const also = state.scope ? state.alsoOf.size : 0;
  say(also ? `The next decision is of ${also + 1} clips.` : "The next decision is of this clip alone.");
}

/* ---- training again ---- */

const POLL_MS = 500;
let polling = null;

/* Shown once it says how training stands: what comes later would move the button under the mouse. */
async function openRetrain() {
  drawTraining(await ask("/api/retraining?prepare=1").catch((error) => ({ state: "failed", text: error.message })));
  if (!$("retrain").open) $("retrain").showModal();
}

async function startRetrain() {
  await settled();
  try {
    drawTraining(await ask("/api/retrain", { user: page.user.value.trim() }));
  } catch (error) {
    drawTraining({ state: "failed", text: error.message });
  }
}

/* Look how it goes, until it is done; then everything is asked for anew, since another run answers. */
async function poll() {
  try {
    const facts = await ask("/api/retraining");
    if (facts.state === "done") await begun();
    drawTraining(facts);
  } catch (error) {
    drawTraining({ state: "failed", text: error.message });
  }
}

function drawTraining(facts) {
  const running = facts.state === "running";
  $("share").hidden = !running;
  $("share").value = facts.share ?? 0;
  $("retrain-start").disabled = running;
  document.body.dataset.training = facts.state;
  clearTimeout(polling);
  if (running) polling = setTimeout(poll, POLL_MS);
  const parts = [];
  if (running) parts.push(make("p", `${facts.text}, ${facts.seconds.toFixed(0)} s`));
  else if (facts.state === "failed") parts.push(make("p", `Not trained: ${facts.text}`, { class: "bad" }));
  else if (facts.state === "done") parts.push(make("p", `Trained in ${facts.seconds.toFixed(0)} s: ${facts.run}`));
  else {
    parts.push(make("p", state.hasRun
      ? "Trains the heads of this run again, with the labels as they were decided, and blends them into a new run beside it. Clips stay in their folds, so that the scores of both can be compared."
      : "Trains heads on the clips that were decided, by the built-in recipe, and blends them into a first run."));
  }
  for (const each of running ? [] : facts.notes ?? []) parts.push(make("p", each, { class: "quiet" }));
  if (!running && facts.change) parts.push(...drawChange(facts));
  $("training").replaceChildren(...parts);
}

function drawChange({ change, sentences }) {
  const rows = change.differences.map((each) => [
    each.name || "all", each.clips, each.first.toFixed(4), each.second.toFixed(4), each.verdict,
    each.first_ap?.toFixed(2) ?? "–", each.second_ap?.toFixed(2) ?? "–",
  ]);
  const parts = [
    ...sentences.map((each) => make("p", each)),
    tableOf("Scores before and after, on clips of both runs, by the labels of now", ["class", "clips", "log loss before", "after", "verdict", "AP before", "after"], rows),
  ];
  if (change.turned.length) {
    const look = make("button", `Look at the ${change.turned.length} clips whose answer changed`, { type: "button", id: "look-turned" });
    look.addEventListener("click", () => {
      $("retrain").close();
      page.queue.value = "turned";
      loadQueue();
    });
    parts.push(look);
  }
  return parts;
}

/* ---- frames and film ---- */

setInterval(() => {
  const own = clip() && books.get(clip().key);
  if (!state.playing || state.filming || document.hidden || !own?.facts) return;
  const count = own.facts.moments.length;
  if (!count || own.blobs.length < Math.min(2, count)) return;
  state.frame = (state.frame + 1) % count;
  drawFrame();
}, 1000 / FRAMES_PER_S);

function play(on) {
  state.playing = on;
  press("play", on);
  $("play").textContent = on ? "Pause" : "Play";
}

function step(by) {
  const count = Number(page.scrub.max) + 1;
  play(false);
  state.frame = (Number(page.scrub.value) + by + count) % count;
  drawFrame();
}

const FORMS = [["h264", 'video/mp4; codecs="avc1.42E01E"'], ["vp9", 'video/webm; codecs="vp9"']];
const encoded = () => (FORMS.find(([, kind]) => page.film.canPlayType(kind)) ?? FORMS[0])[0];

function film(on) {
  const current = clip();
  if (on && !current) return;
  state.filming = on;
  press("film-open", on);
  page.film.pause();
  page.film.removeAttribute("src");
  page.film.load();
  if (on) {
    page.film.dataset.form = books.get(current.key)?.facts?.plays ? "own" : encoded();
    page.film.src = `/clip/${current.key}/film?as=${page.film.dataset.form}`;
    page.film.play().catch(() => {});
    if (page.film.dataset.form !== "own") say("The film is being made for this browser …");
  }
  page.canvas.hidden = on;
  page.film.hidden = !on;
}

page.film.addEventListener("error", async () => {
  if (!state.filming || !page.film.getAttribute("src")) return;
  if (page.film.dataset.form === "own") {
    page.film.dataset.form = encoded();
    page.film.src = `/clip/${clip().key}/film?as=${page.film.dataset.form}`;
    page.film.play().catch(() => {});
    return;
  }
  const answer = await fetch(page.film.src).catch(() => null);
  const reason = answer && !answer.ok ? (await answer.json().catch(() => ({}))).error : "this browser does not play it";
  film(false);
  drawClip();
  say(`No film: ${reason ?? "the server does not answer"}`);
});
page.film.addEventListener("playing", () => say(""));

/* ---- type-ahead ---- */

/* How well a name fits what was typed: lower is better, null where it does not. */
function fit(text, candidate) {
  const [typed, whole] = [text.toLowerCase(), candidate.toLowerCase()];
  const at = whole.indexOf(typed);
  if (at === 0) return 0;
  if (at > 0) return /[\s_-]/.test(whole[at - 1]) ? 1 : 2;
  let from = -1;
  let gaps = 0;
  for (const letter of typed.replace(/\s/g, "")) {
    const next = whole.indexOf(letter, from + 1);
    if (next < 0) return null;
    if (next !== from + 1) gaps += 1;
    from = next;
  }
  return 3 + gaps;
}

let offered = [];
let marked = 0;

function offer() {
  const text = page.type.value.trim();
  offered = text
    ? state.classes.map((each) => [fit(text, each), each]).filter(([fits]) => fits !== null)
      .sort(([one, a], [other, b]) => one - other || a.length - b.length).slice(0, 8).map(([, each]) => ({ name: each, text: each }))
    : [];
  if (text && !state.classes.some((each) => each.toLowerCase() === text.toLowerCase())) offered.push({ name: text, text: `New class: ${text}` });
  marked = 0;
  drawOffered();
}

function drawOffered() {
  page.found.replaceChildren(...offered.map((each, number) => {
    const item = make("li", each.text, { role: "option", id: `found-${number}`, "aria-selected": number === marked });
    item.addEventListener("pointerdown", (event) => { event.preventDefault(); marked = number; take(); });
    return item;
  }));
  page.found.hidden = !offered.length;
  page.type.setAttribute("aria-expanded", String(offered.length > 0));
  if (offered.length) page.type.setAttribute("aria-activedescendant", `found-${marked}`);
  else page.type.removeAttribute("aria-activedescendant");
}

function take() {
  const each = offered[marked];
  page.type.value = "";
  offer();
  if (!each) return;
  if (!state.classes.includes(each.name)) state.classes.push(each.name);
  toggle(each.name);
}

page.type.addEventListener("input", offer);
page.type.addEventListener("blur", () => { offered = []; drawOffered(); });
page.type.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  const { key } = event;
  if (key === "Enter" && page.type.value.trim()) take();
  else if (key === "Enter") { page.type.blur(); confirm(); }
  else if (key === "Escape") { page.type.value = ""; page.type.blur(); }
  else if ((key === "ArrowDown" || key === "ArrowUp") && offered.length) {
    marked = (marked + (key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length;
    drawOffered();
  } else return;
  event.preventDefault();
  event.stopPropagation();
});

/* ---- keys ---- */

const KEYS = {
  Enter: confirm,
  b: () => decide("labelled", []),
  u: () => decide("unsure", []),
  s: () => decide("skipped", []),
  ArrowLeft: () => go(state.place - 1),
  ArrowRight: () => go(state.place + 1),
  Backspace: () => go(state.place - 1),
  ArrowUp: () => step(-1),
  ArrowDown: () => step(1),
  " ": () => play(!state.playing),
  ".": () => { play(false); state.frame = book(clip().key).foremost; drawFrame(); },
  m: () => { state.boxes = !state.boxes; remember("boxes", state.boxes ? "yes" : "no"); press("boxes", state.boxes); drawFrame(); },
  f: () => film(!state.filming),
  e: () => $("event").disabled || widen("event"),
  l: () => $("alike").disabled || widen("alike"),
  z: () => undo("undo"),
  y: () => undo("redo"),
  o: () => once(!state.once),
  q: () => page.queue.focus(),
  "/": () => page.type.focus(),
  "?": () => $("keys").showModal(),
  Escape: () => { state.chosen = new Set(); state.scope = null; drawClip(); },
};

function once(on) {
  state.once = on;
  $("once").checked = on;
  remember("once", on ? "yes" : "no");
}

/* The class whose key was pressed; digits by their place on the keyboard, since some layouts want Shift for them. */
function classOf(event) {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  const number = CLASS_KEYS.indexOf(digit ?? event.key.toLowerCase());
  return number < 0 ? undefined : state.classes[number];
}

addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const held = event.ctrlKey || event.metaKey;
  if (held && !event.altKey && ["z", "y"].includes(event.key.toLowerCase())) {
    event.preventDefault();
    undo(event.key.toLowerCase() === "y" || event.shiftKey ? "redo" : "undo");
    return;
  }
  if (held || event.altKey || event.target.closest("input:not([type=range]), select, video")) return;
  if (["Enter", " "].includes(event.key) && event.target.closest("button, a")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "z" && event.shiftKey) { event.preventDefault(); undo("redo"); return; }
  const chosen = classOf(event);
  const does = KEYS[event.key] ?? KEYS[key];
  if (!does && !chosen) return;
  event.preventDefault();
  if (event.repeat && !key.startsWith("Arrow")) return;
  if (chosen && !(does && event.key === "?")) toggle(chosen);
  else does();
});

/* ---- mouse ---- */

const CLICKS = {
  confirm: KEYS.Enter, blank: KEYS.b, unsure: KEYS.u, skip: KEYS.s, back: KEYS.ArrowLeft, on: KEYS.ArrowRight, undo: KEYS.z,
  redo: KEYS.y, play: KEYS[" "], foremost: KEYS["."], boxes: KEYS.m, "film-open": KEYS.f, event: KEYS.e, alike: KEYS.l,
  "keys-open": KEYS["?"], "progress-open": openProgress,
  "retrain-open": openRetrain, "retrain-start": startRetrain,
};
for (const [id, does] of Object.entries(CLICKS)) $(id).addEventListener("click", does);
for (const each of document.querySelectorAll("[data-closes]")) each.addEventListener("click", () => each.closest("dialog").close());
/* A button that was clicked with the mouse does not keep Enter for itself. */
addEventListener("click", (event) => { if (event.detail > 0) event.target.closest("button, label.once input")?.blur(); });
page.scrub.addEventListener("input", () => { play(false); state.frame = Number(page.scrub.value); drawFrame(); });
page.scrub.addEventListener("keydown", (event) => { if (event.key.startsWith("Arrow")) page.scrub.blur(); });
page.queue.addEventListener("change", () => { page.queue.blur(); loadQueue(); });
page.about.addEventListener("change", () => { page.about.blur(); loadQueue(); });
$("once").addEventListener("change", () => once($("once").checked));
page.user.addEventListener("change", () => remember("user", page.user.value.trim()));
page.user.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") page.user.blur(); });
addEventListener("resize", drawFrame);

/* ---- beginning ---- */

async function news() {
  if (document.hidden || running) return;
  try {
    const since = state.numbers.log;
    const fresh = await ask(`/api/news?since=${since}`);
    if (fresh.log !== since) told(fresh);
  } catch { /* the next decision will say so */ }
}

/* What there is to choose from, as the server knows it now. */
async function begun() {
  const facts = await ask("/api/start");
  state.classes = facts.classes;
  state.hasRun = facts.has_run;
  state.numbers = facts;
  page.user.value = remembered("user", facts.user);
  state.queues = facts.queues;
  page.queue.replaceChildren(...facts.queues.map((each) => make("option", each.title, { value: each.name })));
  const last = remembered("queue", "");
  if (facts.queues.some((each) => each.name === last)) page.queue.value = last;
  $("title").textContent = facts.title;
  await loadQueue();
  for (const name of ["suspects", "order"]) {
    if (state.clips.length || !facts.queues.some((each) => each.name === name)) continue;
    page.queue.value = name; // the one before has nothing left
    await loadQueue();
  }
}

async function start() {
  once(state.once);
  play(state.playing);
  press("boxes", state.boxes);
  await begun();
  setInterval(news, NEWS_MS);
}

start().catch((error) => trouble(error.message));
