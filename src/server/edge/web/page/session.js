// The connection to the server, over all its interruptions: docs/protocol.md.

const HISTORY = 200;
// Times in milliseconds.
const ANSWER_TIME = 5_000;
const SILENCE = 30_000;
const LINE_OVERHEAD = 200;
const HEARTBEAT = '{"data":"","id":"heartbeat"}';

/** @type {Stage} */
let stage = "ended";
/** @type {Identity} */
export let identity = { name: "", last: 0 };
/** @type {Listener} */
let listener;
// The address of the page, and behind it those of the other servers of the room.
const ownHost = `${location.hostname}:${location.port || (location.protocol === "http:" ? 80 : 443)}`;
let hosts = [ownHost];
let host = ownHost;
/** @type {WebSocket | undefined} */
let socket;
/** @type {WebSocket | undefined} */
let oldSocket;
let timer = 0;
let attempts = 0;
let isConfirmed = false;
let isComplete = false;
let welcomeSeq = 0;
let lastBeforeReload = 0;
export let maxLine = 4096;
// Not stored.
let password = "";

export function setPassword(/** @type {string} */ value) {
  password = value;
}

// Storage throws in some private windows.
export function load(/** @type {Area} */ area, /** @type {string} */ key) {
  try {
    return JSON.parse(self[area].getItem(key) ?? "null");
  } catch {
    return null;
  }
}

export function store(/** @type {Area} */ area, /** @type {string} */ key, /** @type {unknown} */ value) {
  try {
    self[area].setItem(key, JSON.stringify(value));
  } catch {}
}

export function storeIdentity() {
  if (stage !== "ended") {
    store("sessionStorage", "identity", identity);
    store("localStorage", "identity", identity);
  }
}

const tabs = new BroadcastChannel("smolchat");
let onOtherTab = (/** @type {Identity} */ _other) => {};

tabs.onmessage = ({ data }) => {
  if (data.identity) {
    onOtherTab(data.identity);
  } else if (stage !== "ended" && isSameName(data.name, identity.name)) {
    tabs.postMessage({ identity });
  }
};

/** @returns {Promise<Identity | undefined>} */
export function findOtherTab(/** @type {string} */ name) {
  return new Promise((resolve) => {
    onOtherTab = (other) => isSameName(name, other.name) && resolve(other);
    tabs.postMessage({ name });
    setTimeout(resolve, 150);
  });
}

export function isSameName(/** @type {string} */ a, /** @type {string} */ b) {
  return a.toLowerCase() === b.toLowerCase();
}

/** @type {Line[]} */
export let pending = load("sessionStorage", "pending") ?? [];

// Splits between lines, else between words. Each part repeats /me or /msg NAME.
export function splitText(/** @type {string} */ text) {
  const [, command = "", rest = ""] = /^(\/me\s+|\/msg\s+\S+\s+|(?!\/[^/]))([^]*)/i.exec(text) ?? [];
  const parts = [];
  let start = command;
  for (let left = rest; left; ) {
    const length = findEnd(left, maxLine - LINE_OVERHEAD - command.length);
    parts.push(start + left.slice(0, length).trimEnd());
    left = left.slice(length).trimStart();
    // A part does not become a command.
    start = command || (left.startsWith("/") ? "/" : "");
  }
  return parts.length > 0 ? parts : [text];
}

function findEnd(/** @type {string} */ text, /** @type {number} */ maxBytes) {
  let end = 0;
  for (const char of text) {
    maxBytes -= new TextEncoder().encode(JSON.stringify(char)).length - 2;
    if (maxBytes < 0 && end > 0) {
      const head = text.slice(0, end + 1);
      return head.lastIndexOf("\n") + 1 || head.search(/\s\S*$/) + 1 || end;
    }
    end += char.length;
  }
  return end;
}

export function say(/** @type {string} */ data, /** @type {string | undefined} */ to) {
  // An id that no other member can guess.
  const id = crypto.getRandomValues(new Uint32Array(4)).join("-");
  setPending([...pending, { id, data, to, state: "new" }]);
  sendPending();
}

export function removePending(/** @type {Line} */ line) {
  setPending(pending.filter((other) => other !== line));
}

function setPending(/** @type {Line[]} */ lines) {
  pending = lines;
  store("sessionStorage", "pending", lines);
}

function sendPending() {
  for (const line of pending) {
    if (stage === "live" && line.state === "new") {
      const { id, data, to } = line;
      line.state = "sent";
      send(JSON.stringify({ data, to, id }));
    }
  }
  setPending(pending);
}

function repeatPending() {
  for (const line of pending) {
    if (line.state === "sent") {
      const isPrivate = line.to || /^\/msg\s/i.test(line.data);
      line.state = isComplete && !isPrivate ? "new" : "stuck";
    }
  }
  sendPending();
}

// After a reload, the last lines are received again.
export function enter(/** @type {Identity} */ newIdentity, /** @type {Listener} */ newListener) {
  identity = newIdentity;
  lastBeforeReload = identity.last;
  identity.last = Math.max(0, lastBeforeReload - HISTORY);
  listener = newListener;
  connect();
}

// An open connection is closed when the new one has taken over from it.
export function connect() {
  const replaced = socket;
  socket = undefined;
  leave("connecting", "");
  oldSocket = replaced;
  const { name, token, epoch, last } = identity;
  const hello = { name, token, password: password || undefined, epoch, after: epoch && last, history: HISTORY, keep: true };
  // Before the socket, whose constructor throws if the address is invalid.
  wait(2 * ANSWER_TIME, () => retry(""));
  const current = new WebSocket(`${location.protocol.replace("http", "ws")}//${host}/ws`);
  socket = current;
  current.onopen = () => current.send(`${JSON.stringify({ hello })}\n${HEARTBEAT}`);
  current.onmessage = ({ data }) => current === socket && onLines(data);
  current.onclose = () => current === socket && retry("");
}

function connectToNext() {
  host = hosts[(hosts.indexOf(host) + 1) % hosts.length];
  connect();
}

// Behind a proxy the page stays there: its address is not that of a server.
function setHosts(/** @type {string[]} */ nodes) {
  const others = nodes.map((node) => node.toLowerCase());
  if (hosts.length > 1 || others.includes(ownHost)) {
    hosts = [...new Set([ownHost, ...others])];
  }
}

export function probe() {
  if (stage === "waiting") {
    attempts = 0;
    connectToNext();
  } else if (stage === "live") {
    send(HEARTBEAT);
    wait(ANSWER_TIME, connectToNext);
  }
}

export function send(/** @type {string} */ line) {
  if (stage === "live") {
    socket?.send(line);
  }
}

export function quit() {
  send("/quit");
  setPending([]);
  end("quit", "");
}

function onLines(/** @type {string} */ text) {
  if (stage === "live") {
    wait(SILENCE, probe);
  }
  for (const line of text.split("\n")) {
    if (line && socket) {
      onFrame(JSON.parse(line));
    }
  }
}

function onFrame(/** @type {Frame} */ frame) {
  const { kind, id, code = "", data, seq = 0, from, to } = frame;
  if (kind === "welcome") {
    onWelcome(/** @type {Welcome} */ (frame));
  } else if (kind === "bye") {
    if (["slow", "shutdown", "unreachable", "full", "too-fast", "quit"].includes(code)) {
      retry(data);
    } else {
      end(code, data);
    }
  } else if (kind === "error" && stage === "connecting" && code !== "too-fast") {
    end(code, data);
  } else if (kind === "gap") {
    skipTo(to);
  } else if (id === "heartbeat") {
    isConfirmed = true;
  } else {
    const isPast = stage === "live" && seq > 0 && seq <= identity.last;
    skipTo(seq - 1);
    identity.last = Math.max(identity.last, seq);
    // A missed change of the name is older than the welcome.
    if (kind === "name" && from === identity.name && seq > welcomeSeq) {
      identity.name = to;
    }
    const line = pending.find((line) => line.id === id && code !== "too-fast");
    if (line) {
      removePending(line);
    }
    listener.onFrame(frame, line, isPast);
  }
  if (stage === "replaying" && isConfirmed && identity.last >= welcomeSeq) {
    stage = "live";
    attempts = 0;
    wait(SILENCE, probe);
    repeatPending();
    listener.onLive();
  }
}

function onWelcome(/** @type {Welcome} */ welcome) {
  const { name, epoch, token, seq, resumed, limits, nodes = [] } = welcome;
  const isNew = identity.epoch !== epoch;
  oldSocket?.close();
  stage = "replaying";
  isComplete = resumed;
  welcomeSeq = seq;
  maxLine = limits.max_line;
  setHosts(nodes);
  if (!resumed) {
    identity.last = seq;
    lastBeforeReload = 0;
  }
  Object.assign(identity, { name, epoch, token });
  storeIdentity();
  listener.onWelcome(welcome, isNew);
}

function skipTo(/** @type {number} */ seq) {
  const count = seq - Math.max(identity.last, lastBeforeReload);
  identity.last = Math.max(identity.last, seq);
  if (count > 0) {
    isComplete = false;
    listener.onFrame({ kind: "gap", data_source: "", data: `lines that are lost: ${count}` });
  }
}

function retry(/** @type {string} */ reason) {
  leave("waiting", reason);
  attempts += 1;
  wait(250 + Math.random() * Math.min(14_750, 125 * 2 ** attempts), connectToNext);
}

function end(/** @type {string} */ code, /** @type {string} */ text) {
  clearTimeout(timer);
  leave("ended", text);
  listener.onEnd(code, text);
}

function leave(/** @type {Stage} */ newStage, /** @type {string} */ reason) {
  socket?.close();
  oldSocket?.close();
  socket = oldSocket = undefined;
  stage = newStage;
  isConfirmed = false;
  listener.onAway(reason);
}

function wait(/** @type {number} */ time, /** @type {() => void} */ action) {
  clearTimeout(timer);
  timer = setTimeout(action, time);
}
