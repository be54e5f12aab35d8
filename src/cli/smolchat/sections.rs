//! The chapters of the manual page of the client.

use crate::cli::{Block, Section};

pub const SECTIONS: &[Section] = &[
    Section {
        title: "KEYS",
        blocks: &[
            Block::Item("Tab", "Completes names and commands; again: the next match."),
            Block::Item("Up, Down, Ctrl-P, Ctrl-N", "Earlier and later lines that you typed."),
            Block::Item(
                "Ctrl-R",
                "Searches in them; again: the next older match, and Ctrl-S the next newer. Enter \
                     accepts the match, and Enter again sends it; Ctrl-G returns to the line before.",
            ),
            Block::Item("Left, Right, Ctrl-B, Ctrl-F", "Move by a character."),
            Block::Item("Ctrl-Left, Ctrl-Right, Alt-B, Alt-F", "Move by a word."),
            Block::Item("Home, End, Ctrl-A, Ctrl-E", "Move to the start or the end."),
            Block::Item("Backspace, Delete, Ctrl-H, Ctrl-D", "Delete a character."),
            Block::Item("Ctrl-W, Alt-Backspace, Alt-D", "Delete a word."),
            Block::Item("Ctrl-U, Ctrl-K", "Delete to the start or the end."),
            Block::Item("Ctrl-Y", "Inserts the text that was deleted last."),
            Block::Item("Ctrl-_", "Undoes a change."),
            Block::Item("Ctrl-L", "Draws the screen again."),
            Block::Item(
                "Ctrl-C",
                "Clears the input line; on an empty line: leaves. Once more: does not wait for \
                     the server.",
            ),
            Block::Item("Ctrl-D", "On an empty line: leaves."),
            Block::Item("Ctrl-Z", "Stops the program; `fg` continues it."),
            Block::Item("Ctrl-\\", "Leaves, with exit code 131."),
            Block::Text(
                "Several lines that are pasted stay one block. After Enter the client asks, \
                     and `y` sends them as one message, with their empty lines.",
            ),
        ],
    },
    Section {
        title: "COMMANDS",
        blocks: &[
            Block::Text("These commands work in every client:"),
            Block::Item("/nick NAME", "Changes your name."),
            Block::Item("/me TEXT", "Sends an action: \"alice waves\"."),
            Block::Item("/msg NAME TEXT", "Sends a private message. `/w` is the same."),
            Block::Item("/who", "Lists the members. `/names`, and `/w` alone, are the same."),
            Block::Item("/history [N]", "Shows the last N lines, by default 50."),
            Block::Item("/stats", "Shows the figures of the server."),
            Block::Item("/topic", "Shows the topic."),
            Block::Item("/op SECRET", "Makes you an operator, who can moderate the room."),
            Block::Item("/help", "Lists the commands."),
            Block::Item("/quit", "Leaves. `/q` and `/exit` are the same."),
            Block::Text(
                "`//` at the start of a line sends a literal `/`. At a terminal there are \
                     also:",
            ),
            Block::Item("/r TEXT", "Answers the latest private message."),
            Block::Item("/last", "Shows that message again."),
            Block::Item(
                "/query [NAME]",
                "Starts a private conversation: lines are sent only to NAME. Without a name, \
                     lines are sent to all members again.",
            ),
            Block::Item(
                "/ignore [NAME]",
                "Hides the lines of a member, also after it has changed its name; without a \
                     name, lists the ignored members.",
            ),
            Block::Item("/ignore NAME forever", "Also adds the name to the config file."),
            Block::Item(
                "/unignore NAME",
                "Shows the lines again, and removes the name from the config file.",
            ),
            Block::Item("/time on|off", "Shows or hides the time of each line."),
            Block::Item("/clear", "Clears the screen."),
            Block::Item("/reconnect", "Makes a new connection in place of the present one."),
            Block::Item(
                "/connect ADDR",
                "Connects to another server, and then leaves; if that fails, you stay.",
            ),
        ],
    },
    Section {
        title: "CONNECTION",
        blocks: &[
            Block::Text(
                "When the connection is lost, `smolchat` prints a message and reconnects. It \
                     then shows the lines that were missed, names those that are no longer \
                     available, and sends the lines that were typed in the meantime, exactly \
                     once.",
            ),
            Block::Text(
                "A line that is longer than the server accepts is split between words and sent in \
                     several parts, after a notice. A JSON object is not split.",
            ),
            Block::Text(
                "If standard input is not a terminal, each of its lines is sent, and \
                     `smolchat` exits when the last line is answered. In this case, and with \
                     `--send`, it exits with an error after 60 seconds without a connection.",
            ),
        ],
    },
    Section {
        title: "ENCRYPTION",
        blocks: &[
            Block::Text(
                "With an address such as `tls:router:8080`, the connection is encrypted with TLS \
                     1.3, or there is none: `smolchat` never falls back to plain text. The key of \
                     the server is trusted if it is, in this order:",
            ),
            Block::Item("--tls-pin", "One of these keys; no other key is then trusted."),
            Block::Item(
                "known_servers",
                "One of the keys of this server in the file; no other key is then trusted.",
            ),
            Block::Item(
                "a CA",
                "That of a certificate for this host from a CA in the file `$SSL_CERT_FILE`, or \
                     else in that of the system.",
            ),
            Block::Text(
                "Otherwise `smolchat` shows the fingerprint of the key and asks, at a terminal, \
                     whether you trust it; compare it with the line `tls key` that `smolchatd` prints \
                     when it starts. After `yes` the key is added to `known_servers`. Without a \
                     terminal, and with `--send`, `--exec` and `--json`, it exits with code 1 and \
                     prints the `--tls-pin` to pass.",
            ),
            Block::Text(
                "If the key is another one than the pinned or known one, `smolchat` sends \
                     nothing, does not try again, and exits with code 1. It prints both fingerprints \
                     and the line of `known_servers` to delete if the new key is right.",
            ),
            Block::Text("This needs a build with the feature `tls`."),
        ],
    },
    Section {
        title: "SCRIPTS AND BOTS",
        blocks: &[
            Block::Text(
                "With `--json`, an input line that is a JSON object is sent unchanged, with \
                     its own `id`; without one it is given an `id`, so that it is answered. An \
                     object that the server could not answer is refused: one whose `id` is not a \
                     text of at most 64 bytes, or whose `data` is not a text.",
            ),
            Block::Text(
                "`--exec` runs the command once, with `sh -c`, for the whole session, so \
                     that it can keep state. It reads one line for each message that another \
                     member sends to all: the name, a tab and the text, with control characters \
                     shown as in `^J`. With `--json` it reads the server's lines unchanged. It \
                     does not get its own messages, nor messages from before it joined.",
            ),
            Block::Text(
                "Each line that the command prints is sent. A `/` at the start is sent \
                     literally, so that a bot that repeats the texts of members does not execute \
                     commands. To execute commands, print JSON objects, with `--json`.",
            ),
            Block::Text(
                "When the command has exited and its output is closed, `smolchat` waits until \
                     the last line is confirmed, and exits. When the session ends first, the \
                     input of the command is closed; two seconds later the command is killed. If \
                     the command does not read, lines are dropped and counted; the room is not \
                     delayed. With `--exec`, `smolchat` reconnects without a time limit.",
            ),
        ],
    },
    Section {
        title: "ENVIRONMENT",
        blocks: &[
            Block::Item("SMOLCHAT_NAME, USER", "The name, if no option sets it."),
            Block::Item(
                "SMOLCHAT_PASSWORD",
                "The password, if no `--password-file` is on the command line.",
            ),
            Block::Item("SSL_CERT_FILE", "The file with the certificates of CAs."),
            Block::Item("XDG_CONFIG_HOME", "The directory of the config file."),
            Block::Item(
                "XDG_STATE_HOME, STATE_DIRECTORY",
                "The directories of the files below; systemd sets the second.",
            ),
        ],
    },
    Section {
        title: "FILES",
        blocks: &[
            Block::Item(
                "~/.config/smolchat/config",
                "The config file, or `smolchat/config` below `$XDG_CONFIG_HOME`, if that is \
                     an absolute path. It has one `key = value` per line; a line that begins with \
                     `#` is a comment. The keys are `address`, `name`, `password-file`, \
                     `tls-pin`, `history`, `color`, \
                     `bell`, `time`, `ignore`, `highlight`, `presence`, `log`, `no-keep`, \
                     `no-reconnect` and `quiet`; the last three are `on` or `off`. Options on the \
                     command line take precedence and can turn a switch \
                     off, as in `--no-keep=off`. An invalid line gives one warning and is \
                     ignored.",
            ),
            Block::Code("address = router:8080\nname = alice"),
            Block::Item(
                "The file of --log",
                "The messages, one on each line, in a file that only you can read. It may be \
                     moved while the client runs; the next message creates it again.",
            ),
            Block::Item(
                "~/.local/state/smolchat/history",
                "The last lines that were typed at a terminal, or `smolchat/history` below \
                     `$XDG_STATE_HOME`, if that is an absolute path. Private messages and \
                     passwords are not stored.",
            ),
            Block::Item(
                "~/.local/state/smolchat/known_servers",
                "The keys that you have trusted: on each line `HOST:PORT` and `SHA256:…`.",
            ),
            Block::Item(
                "~/.local/state/smolchat/sessions",
                "One file for each server and name: a secret with which a client without a \
                     terminal that was killed gets its name back. It is removed when the client \
                     leaves the room. The directory is below `$STATE_DIRECTORY`, if it is set.",
            ),
        ],
    },
];
