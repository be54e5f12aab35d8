// The rows of the conversation. Texts of members become text nodes alone.

const MAX_ROWS = 2000;
const MAX_ROWS_PER_FRAME = 100;
const MAX_ROWS_READ_ALOUD = 10;
export const MESSAGES = ["chat", "action", "private"];

// Control characters, and those that change the direction of text.
const HIDDEN = /(?![\n\t])[\p{Cc}\u061c\u202a-\u202e\u2066-\u2069]/gu;
const LINK = /https?:\/\/(\([^\s()]*\)|[^\s()<>"\ufffd])+/gi;

/** @type {(id: string) => any} */
export const find = (id) => document.getElementById(id);
const [scroller, rows, newest] = ["scroller", "log", "newest"].map(find);
const timeFormat = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat([], { weekday: "long", day: "numeric", month: "long" });

// Rows are read aloud when live. The rule stands before the first unread row.
export const state = { isLive: false, isRuleDue: true };
/** @type {Entry[]} */
let queue = [];
let isAtEnd = true;
let lastTop = 0;
let newCount = 0;
let day = "";
let group = "";
/** @type {Map<string, string>} */
const presence = new Map();
let presenceRow = createElement("p", "");
const rule = createElement("p", "rule", "new");

export function add(/** @type {Entry} */ entry) {
  if (queue.push(entry) === 1) {
    requestAnimationFrame(showQueue);
  } else if (queue.length > 2 * MAX_ROWS) {
    queue.splice(1, MAX_ROWS);
  }
}

export function addNote(/** @type {string} */ data, kind = "info") {
  add({ frame: { kind, data, data_source: "" } });
}

export function clear() {
  rows.replaceChildren();
  presence.clear();
  day = "";
}

export function scrollToEnd() {
  scroller.scrollTop = scroller.scrollHeight;
  onScroll();
}

function showQueue() {
  const entries = queue.splice(0, MAX_ROWS_PER_FRAME);
  const wasRuleDue = state.isRuleDue;
  rows.setAttribute("aria-live", state.isLive && entries.length <= MAX_ROWS_READ_ALOUD ? "polite" : "off");
  entries.forEach(showEntry);
  while (rows.childElementCount > MAX_ROWS) {
    rows.firstChild.remove();
  }
  rows.firstElementChild?.classList.add("first");
  if (!isAtEnd) {
    newCount += entries.filter(({ frame }) => MESSAGES.includes(frame.kind)).length;
    onScroll();
  } else if (wasRuleDue && !state.isRuleDue) {
    isAtEnd = false;
    rule.scrollIntoView();
    onScroll();
  } else {
    scrollToEnd();
  }
  if (queue.length > 0) {
    requestAnimationFrame(showQueue);
  }
}

function showEntry(/** @type {Entry} */ entry) {
  const { kind, time } = entry.frame;
  const newDay = time ? dayFormat.format(time) : day;
  if (newDay !== day) {
    day = newDay;
    addRow(createElement("p", "day", day));
  }
  if (entry.isUnread && state.isRuleDue) {
    state.isRuleDue = false;
    addRow(rule);
  }
  if (kind === "join" || kind === "leave") {
    showPresence(entry.frame);
  } else {
    showRow(entry);
  }
}

function addRow(/** @type {HTMLElement} */ row) {
  group = "";
  presence.clear();
  rows.append(row);
}

function showRow(/** @type {Entry} */ { frame, mark = "" }) {
  const { kind, time, data, data_source: author, from, to } = frame;
  const newGroup = MESSAGES.includes(kind) ? [kind, author, to, timeFormat.format(time)].join() : "";
  const row = createElement("div", `row ${kind} ${mark}`);
  row.classList.toggle("note", !newGroup);
  row.classList.toggle("first", !newGroup || newGroup !== group);
  if (newGroup) {
    const clock = createElement("time", "", timeFormat.format(time));
    const recipient = kind === "private" ? [" → ", createName(to), " privately"] : [];
    row.append(createElement("div", "head", createName(author), ...recipient, " ", clock));
  }
  if (kind === "name") {
    row.append(createText("", createName(from), " is now ", createName(to)));
  } else {
    row.append(createText(data, ...(kind === "action" ? [createName(author), " "] : [])));
  }
  addRow(row);
  group = newGroup;
}

// A member that joins and leaves is not shown.
function showPresence(/** @type {Frame} */ { kind, names = [] }) {
  if (presence.size === 0) {
    presenceRow = createElement("p", "row note first");
    addRow(presenceRow);
  }
  for (const name of names) {
    if ((presence.get(name) ?? kind) === kind) {
      presence.set(name, kind);
    } else {
      presence.delete(name);
    }
  }
  presenceRow.replaceChildren(...listPresence("join", "joined"), ...listPresence("leave", "left"));
  presenceRow.hidden = presence.size === 0;
}

function listPresence(/** @type {string} */ kind, /** @type {string} */ verb) {
  const changed = [...presence.keys()].filter((name) => presence.get(name) === kind);
  const shown = changed.slice(0, 4).flatMap((name) => [", ", createName(name)]).slice(1);
  const more = changed.length > 4 ? ` and ${changed.length - 4} more` : "";
  return changed.length > 0 ? [...shown, `${more} ${verb}. `] : [];
}

export function createText(/** @type {string} */ data, /** @type {(string | Node)[]} */ ...start) {
  const paragraph = createElement("p", "text", ...start);
  const text = sanitize(data);
  let end = 0;
  for (const { 0: match, index } of text.matchAll(LINK)) {
    const address = match.replace(/[.,:;!?'\]}]+$/, "");
    const link = document.createElement("a");
    link.href = link.textContent = address;
    link.rel = "noopener noreferrer nofollow";
    link.target = "_blank";
    paragraph.append(text.slice(end, index), link);
    end = index + address.length;
  }
  paragraph.append(text.slice(end));
  paragraph.dir = "auto";
  return paragraph;
}

export function mentions(/** @type {string} */ text, /** @type {string} */ name) {
  // The letters of scripts that have spaces between words.
  const letter = "[\\p{sc=Latn}\\p{sc=Grek}\\p{sc=Cyrl}\\p{sc=Arab}\\p{sc=Hebr}\\p{M}\\p{N}_-]";
  const word = name.replaceAll(".", "\\.");
  return new RegExp(`(^|(?!${letter})[^])${word}(?!${letter})`, "iu").test(text);
}

export function createName(/** @type {string} */ name) {
  const hue = [...name.toLowerCase()].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 360, 0);
  const element = createElement("bdi", "author", sanitize(name));
  element.style.setProperty("--hue", `${hue}`);
  return element;
}

/** @type {CreateElement} */
export function createElement(tag, className, ...content) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...content);
  return element;
}

export function createButton(/** @type {string | Node} */ label, /** @type {() => void} */ action) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(label);
  button.onclick = action;
  return button;
}

function sanitize(/** @type {string} */ text) {
  return text.replace(HIDDEN, "\ufffd");
}

function onScroll() {
  const { scrollTop, scrollHeight, clientHeight } = scroller;
  // The rows may have grown since the last scrolling.
  isAtEnd = scrollHeight - scrollTop - clientHeight < 50 || (isAtEnd && scrollTop >= lastTop);
  lastTop = scrollTop;
  newCount = isAtEnd ? 0 : newCount;
  newest.hidden = isAtEnd;
  newest.textContent = newCount > 0 ? `↓ ${newCount} new` : "↓ newest";
}

scroller.onscroll = onScroll;
newest.onclick = scrollToEnd;
const observer = new ResizeObserver(() => isAtEnd && scrollToEnd());
[scroller, find("waiting")].forEach((element) => observer.observe(element));
