// The page: joins the room, and connects the session with what is shown.

import * as log from "./log.js";
import * as session from "./session.js";

const { createButton, createElement, createName, createText, find } = log;

const BEFORE_NAME = /^\/(ignore|msg|query|unignore|w)\s+$/i;

const [nameField, field, recipientButton, alerts, people] = ["name", "message", "private", "alert", "people"].map(find);
const passwordField = find("password");

/** @type {Set<string>} */
let members = new Set();
let recipient = "";
let status = "";
/** @type {Frame | undefined} */
let lastPrivate;
/** @type {string[]} */
let ignored = session.load("localStorage", "ignored") ?? [];
let isSeen = true;
let unseen = 0;
let unreadAfter = Infinity;
/** @type {AudioContext} */
let audio;
let textBeforeWord = "";
/** @type {string[]} */
let candidates = [];
let next = 0;

async function start() {
  const ofTab = session.load("sessionStorage", "identity");
  const name = ofTab?.name ?? session.load("localStorage", "name") ?? "";
  const other = await session.findOtherTab(name);
  if (ofTab && !other) {
    enterRoom(ofTab);
  } else {
    showJoin(other ? "You are here in another tab. Join to continue in this one." : "");
  }
}

function showJoin(/** @type {string} */ note) {
  find("note").textContent = note;
  find("room").hidden = true;
  find("join").hidden = false;
  nameField.value = session.load("localStorage", "name") ?? "";
  nameField.select();
}

async function joinAs(/** @type {string} */ name) {
  const last = session.load("localStorage", "identity");
  const other = await session.findOtherTab(name);
  session.store("localStorage", "name", name);
  enterRoom(other ?? (last && session.isSameName(last.name, name) ? last : { name, last: 0 }));
}

function enterRoom(/** @type {Identity} */ newIdentity) {
  const { epoch, seq } = session.load("localStorage", "read") ?? {};
  unreadAfter = epoch && epoch === newIdentity.epoch ? seq : Infinity;
  find("join").hidden = true;
  find("room").hidden = false;
  log.clear();
  showWaiting();
  session.enter(newIdentity, listener);
  setText("");
}

/** @type {Listener} */
const listener = {
  onWelcome({ data, limits, topic }, isNew) {
    showTopic(topic);
    // The stored lines follow again, under other numbers.
    if (isNew && limits.stored) {
      log.clear();
    }
    if (isNew) {
      log.addNote(data);
    }
    showOwnName();
  },

  onLive() {
    log.state.isLive = true;
    showWaiting();
    unreadAfter = isSeen ? Infinity : unreadAfter;
    showStatus("");
    askForMembers();
  },

  onAway(reason) {
    markRead();
    log.state.isLive = false;
    showStatus(`${reason || "no connection"}; trying again`, "Try now", session.probe);
  },

  onEnd(code, text) {
    // After a reload, the tab does not take over again.
    session.store("sessionStorage", "identity", null);
    if (code === "quit") {
      session.store("localStorage", "identity", null);
      showJoin("You have left.");
    } else if (/password|tries/.test(code)) {
      showJoin(text);
      find("secret").hidden = false;
      passwordField.focus();
    } else {
      const note = code === "replaced" ? "You are here in another tab." : text;
      showStatus(note, "Continue in this one", () => joinAs(session.identity.name));
    }
  },

  onFrame(frame, line, isPast) {
    const { kind, data, seq = session.identity.last + 1, id, data_source: author, names = [author] } = frame;
    const isMessage = log.MESSAGES.includes(kind);
    const isOwn = author === session.identity.name || (isMessage && line !== undefined);
    if (line) {
      showWaiting();
    }
    if (frame.topic !== undefined) {
      showTopic(frame.topic);
    }
    if (!isPast) {
      updateMembers(frame);
    }
    if (id === "members" || names.every((name) => ignored.includes(name.toLowerCase()))) {
      return;
    }
    const isMention = isMessage && !isOwn && (kind === "private" || log.mentions(data, session.identity.name));
    const isUnread = isMessage && !isOwn && seq > unreadAfter;
    lastPrivate = kind === "private" ? frame : lastPrivate;
    if (isUnread && !isSeen) {
      notify(frame, isMention);
    }
    log.add({ frame, isUnread, mark: isPast ? "past" : isOwn ? "own" : isMention ? "mention" : "" });
  },
};

function onSend(/** @type {string} */ input) {
  const text = input.trimEnd();
  log.scrollToEnd();
  (/^\/[^/]/.test(text) ? text.split("\n") : [text]).filter(Boolean).forEach(execute);
}

function execute(/** @type {string} */ line) {
  const [, command = "", rest = ""] = /^(\/\S+)\s*([^]*)$/.exec(line) ?? [];
  const run = COMMANDS[command.toLowerCase()];
  if (run) {
    run(rest.trim());
  } else if (recipient && !/^\/[^/]/.test(line)) {
    sayTo(recipient, line.replace("//", "/"));
  } else {
    sayTo(undefined, line);
  }
}

function sayTo(/** @type {string | undefined} */ name, /** @type {string} */ text) {
  session.splitText(text).forEach((part) => session.say(part, name));
  showWaiting();
}

// The server executes all other commands.
/** @type {Commands} */
const COMMANDS = {
  "/clear": log.clear,
  "/exit": session.quit,
  "/help": () => {
    sayTo(undefined, "/help");
    log.addNote(`this page: ${Object.keys(COMMANDS).join(" ")}`);
  },
  "/ignore": (rest) => {
    const [name = "", word] = rest.toLowerCase().split(/\s+/);
    setIgnored([...ignored, ...(name ? [name] : [])], word === "forever");
  },
  "/last": () => lastPrivate && log.add({ frame: lastPrivate }),
  // Not as a pending line, which is stored.
  "/op": (rest) => session.send(`/op ${rest}`),
  "/names": () => sayTo(undefined, "/who"),
  "/q": session.quit,
  "/query": setRecipient,
  "/quit": session.quit,
  "/r": (text) => {
    const { data_source: author, to } = lastPrivate ?? {};
    const partner = author === session.identity.name ? to : author;
    if (text && partner) {
      sayTo(partner, text);
    } else {
      log.addNote("usage: /r TEXT, after a private message", "error");
    }
  },
  "/reconnect": session.connect,
  "/time": (value) => {
    document.body.className = `time-${value}`;
  },
  "/unignore": (name) => setIgnored(ignored.filter((other) => other !== name.toLowerCase()), true),
  "/w": (rest) => sayTo(undefined, rest ? `/msg ${rest}` : "/who"),
};

const ALL_COMMANDS = [...Object.keys(COMMANDS), "/history", "/me", "/msg", "/nick", "/stats", "/who"].sort();

function setIgnored(/** @type {string[]} */ names, /** @type {boolean} */ isStored) {
  ignored = names;
  if (isStored) {
    session.store("localStorage", "ignored", ignored);
  }
  log.addNote(`ignored: ${ignored.join(", ") || "no member"}`);
}

function setRecipient(/** @type {string} */ name) {
  recipient = name;
  recipientButton.hidden = !name;
  recipientButton.replaceChildren("only to ", createName(name), " ×");
}

function setText(/** @type {string} */ text) {
  field.value = text;
  onInput();
  field.focus();
}

function onInput() {
  const before = field.value.slice(0, field.selectionStart);
  const word = before.match(/\S*$/)[0];
  textBeforeWord = before.slice(0, before.length - word.length);
  const start = word.replace("@", "").toLowerCase();
  const words = !textBeforeWord && word.startsWith("/") ? ALL_COMMANDS : [...members].map((name) => (textBeforeWord ? name : `${name}:`));
  const isExpected = word || BEFORE_NAME.test(textBeforeWord);
  showCandidates(isExpected ? words.filter((word) => word.toLowerCase().startsWith(start)) : []);
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + 2}px`;
}

function showCandidates(/** @type {string[]} */ words) {
  candidates = words.slice(0, 8);
  next = 0;
  find("candidates").replaceChildren(...candidates.map((word, index) => createButton(word, () => {
    complete(index);
    showCandidates([]);
    field.focus();
  })));
}

function complete(/** @type {number} */ index) {
  field.setRangeText(`${textBeforeWord}${candidates[index]} `, 0, field.selectionStart, "end");
  next = (index + 1) % candidates.length;
}

function askForMembers() {
  session.send('{"data":"/who","id":"members"}');
}

function updateMembers(/** @type {Frame} */ { kind, names = [], from, to }) {
  switch (kind) {
    case "who":
      members = new Set(names);
      break;
    case "join":
      names.forEach((name) => members.add(name));
      break;
    case "leave":
      names.forEach((name) => members.delete(name));
      break;
    case "name":
      members.delete(from);
      members.add(to);
      onRename(from, to);
      break;
    default:
      return;
  }
  find("count").textContent = `${members.size} here`;
  const sorted = [...members].sort((a, b) => a.localeCompare(b));
  const buttons = sorted.map((name) => createButton(createName(name), () => {
    people.open = false;
    setText(`/msg ${name} `);
  }));
  find("names").replaceChildren(...buttons.map((button) => createElement("li", "", button)));
}

function onRename(/** @type {string} */ from, /** @type {string} */ to) {
  if (session.identity.name === to) {
    session.store("localStorage", "name", to);
    session.storeIdentity();
    showOwnName();
  }
  if (recipient === from) {
    setRecipient(to);
  }
  ignored = ignored.map((name) => (name === from.toLowerCase() ? to.toLowerCase() : name));
}

function showTopic(/** @type {string | undefined} */ topic) {
  find("topic").textContent = topic || "smolchat";
}

function showOwnName() {
  field.placeholder = `Message as ${session.identity.name}`;
}

function showWaiting() {
  find("waiting").replaceChildren(...session.pending.map((line) => {
    const row = createElement("div", "row own", createText(line.data), "waiting");
    if (line.state === "stuck") {
      row.append(", perhaps not sent ", createButton("Edit", () => {
        session.removePending(line);
        showWaiting();
        setText(line.data);
      }));
    }
    return row;
  }));
}

function showStatus(/** @type {string} */ text, label = "", action = () => {}) {
  // The button keeps the focus while the text stays the same.
  if (text !== status) {
    status = text;
    find("status").replaceChildren(...(text ? [createElement("p", "", `${text} `, createButton(label, action))] : []));
  }
}

function notify(/** @type {Frame} */ { data_source, data }, /** @type {boolean} */ isMention) {
  unseen += 1;
  document.title = `(${unseen}) smolchat`;
  if (alerts.value === "always" || (alerts.value === "mention" && isMention)) {
    playSound();
    try {
      // Missing without a secure context, and forbidden on phones.
      new Notification(data_source, { body: data });
    } catch {}
  }
}

function playSound() {
  audio ??= new AudioContext();
  const tone = new OscillatorNode(audio);
  tone.connect(new GainNode(audio, { gain: 0.1 })).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.15);
}

function markRead() {
  const { epoch, last } = session.identity;
  if (isSeen && log.state.isLive) {
    unreadAfter = last;
    session.store("localStorage", "read", { epoch, seq: last });
    log.state.isRuleDue = true;
  }
}

function onAttention() {
  const isSeenNow = !document.hidden && document.hasFocus();
  if (!isSeenNow) {
    markRead();
    session.storeIdentity();
  } else {
    unreadAfter = log.state.isLive ? Infinity : unreadAfter;
    unseen = 0;
    document.title = "smolchat";
    // A socket that seems open may be dead.
    session.probe();
    askForMembers();
  }
  isSeen = isSeenNow;
}

["focus", "blur", "pageshow", "pagehide", "online", "visibilitychange"].forEach((type) => addEventListener(type, onAttention));

// The keyboard of a phone covers the page in browsers that do not shrink it.
visualViewport?.addEventListener("resize", ({ target }) => {
  const { height, scale } = /** @type {VisualViewport} */ (target);
  find("room").style.height = `${height * scale}px`;
  scrollTo(0, 0);
});

addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target === nameField.form) {
    session.setPassword(passwordField.value);
    joinAs(nameField.value);
  } else {
    const text = field.value;
    setText("");
    onSend(text);
  }
});
people.ontoggle = askForMembers;
recipientButton.onclick = () => setRecipient("");
find("leave").onclick = session.quit;
alerts.value = session.load("localStorage", "alert") ?? "never";
alerts.onchange = () => {
  session.store("localStorage", "alert", alerts.value);
  if (alerts.value !== "never") {
    playSound();
    globalThis.Notification?.requestPermission();
  }
};
field.oninput = onInput;
addEventListener("keydown", (event) => {
  // Enter also ends the composition of a character.
  const isPlain = event.target === field && !event.isComposing && event.keyCode !== 229 && !event.shiftKey && !event.ctrlKey && !event.altKey;
  if (isPlain && event.key === "Enter") {
    event.preventDefault();
    field.form.requestSubmit();
  } else if (isPlain && event.key === "Tab" && candidates.length > 0) {
    event.preventDefault();
    complete(next);
  } else if (event.key === "Escape") {
    showCandidates([]);
  }
});
start();
