// The types of the page, for the type checker alone: the server does not send this file.

/** A line from the server: docs/protocol.md. */
interface Frame {
  data_source: string;
  data: string;
  kind: string;
  seq?: number;
  time?: number;
  id?: string;
  code?: string;
  names?: string[];
  quiet?: string[];
  more?: number;
  topic?: string;
  /** Names; in a gap, numbers. */
  from?: any;
  to?: any;
}

interface Welcome extends Frame {
  name: string;
  epoch: string;
  token: string;
  seq: number;
  resumed: boolean;
  limits: { max_line: number; stored: boolean };
}

/** What the next hello needs to resume. */
interface Identity {
  name: string;
  token?: string;
  epoch?: string;
  /** The last number that was shown. */
  last: number;
}

/** A line that the server has not answered. */
interface Line {
  id: string;
  data: string;
  /** The recipient of a private line. */
  to?: string;
  /** `unknown`: sent over an earlier connection. `stuck`: could be sent twice, so the user decides. */
  state: "new" | "sent" | "unknown" | "stuck";
}

interface Listener {
  /**
   * `line` is the line of this member that the frame answers. `isPast` is true if the frame was
   * received before, as in the answer to `/history`.
   */
  onFrame(frame: Frame, line?: Line, isPast?: boolean): void;
  /** `isNew` is true if the server cannot send the missed lines. */
  onWelcome(welcome: Welcome, isNew: boolean): void;
  onLive(): void;
  onAway(reason: string): void;
  onEnd(code: string, text: string): void;
}

/** A frame in the log. */
interface Entry {
  frame: Frame;
  /** A class of the row. */
  mark?: "past" | "own" | "mention" | "";
  isUnread?: boolean;
}

type Commands = Record<string, (rest: string) => void>;
type CreateElement = (tag: string, className: string, ...content: (string | Node)[]) => HTMLElement;

/** The stage of a connection. It is `replaying` while the missed lines arrive. */
type Stage = "connecting" | "replaying" | "live" | "waiting" | "ended";

/** `sessionStorage` is that of the tab, and survives a reload. */
type Area = "sessionStorage" | "localStorage";
