//! The option table of the client.

use super::{Block, Example, Exit, OptionSpec, Program, Section, Shell, ValueKind};

/// The options and the manual page of the client `smolchat`.
pub static SMOLCHAT: Program = Program {
    name: "smolchat",
    summary: "a terminal client for smolchatd",
    usage: "[OPTIONS] [ADDR]",
    options: &[
        OptionSpec {
            name: "address",
            value: ValueKind::Positional("ADDR"),
            default: "127.0.0.1:8080",
            help: "HOST, HOST:PORT, [V6]:PORT or unix:PATH",
            details: "Several servers of one room are separated by commas: when one is lost, the next \
                      is tried. Without a port, the port is 8080. The key in the config file is `address`.",
            is_setting: true,
        },
        OptionSpec {
            name: "name",
            value: ValueKind::Text("NAME"),
            default: "$SMOLCHAT_NAME, else $USER",
            help: "your name in the room",
            details: "A `name` in the config file takes precedence over `$USER`, and \
                      `$SMOLCHAT_NAME` over both. If the name is taken, the server assigns a free \
                      one.",
            is_setting: true,
        },
        OptionSpec {
            name: "name-must-match",
            help: "exit if your name is not free",
            details: "The exit code is 1, and nothing is sent. Without this option, `smolchat` joins \
                      under the name that the server assigns, and takes its own as soon as it is \
                      free.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "history",
            value: ValueKind::Text("N"),
            default: "20 on a terminal, else 0",
            help: "earlier lines to show",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "color",
            value: ValueKind::Choice("WHEN", &["never", "auto", "always"]),
            default: "auto",
            help: "use colours: never, auto or always",
            details: "With `auto`, colours are used unless `$NO_COLOR` is set. This option, `--bell`, \
                      `--time`, `--ignore` and `--highlight` have an effect only with the line \
                      editor.",
            is_setting: true,
        },
        OptionSpec {
            name: "bell",
            value: ValueKind::Choice("WHEN", &["never", "mention", "always"]),
            default: "mention",
            help: "ring the bell: never, mention or always",
            details: "With `mention` it rings when another member writes your name, a word of \
                      `--highlight` or a private message to you, with `always` for each message \
                      of another member.",
            is_setting: true,
        },
        OptionSpec {
            name: "time",
            value: ValueKind::Choice("on|off", &["on", "off"]),
            default: "on",
            details: "Shows or hides the time of each line.",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "ignore",
            value: ValueKind::Text("NAMES"),
            details: "Hides the lines of these members, as `/ignore` does. The names are separated \
                      by commas. `/ignore NAME forever` adds a name to the config file.",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "highlight",
            value: ValueKind::Text("WORDS"),
            details: "Words that count as a mention of you, separated by commas, as in `deploy, on \
                      fire`. Upper and lower case are the same, and a part of a longer word does \
                      not count.",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "presence",
            value: ValueKind::Choice("on|off", &["on", "off"]),
            default: "on",
            details: "Shows or hides the notices that members join and leave.",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "quiet",
            details: "The others get no notice that you join and leave. They still see your \
                      lines, and `/who` lists you as quiet. The default with `--send`; \
                      `--quiet=off` turns it off.",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "log",
            value: ValueKind::Path("PATH"),
            details: "Appends each message to this file, as one line with date, time and offset \
                      from UTC; a private message has both names. A file that is moved or removed \
                      is created again. `~/` is your home directory, and an empty PATH turns the \
                      log off. It has no effect with `--send`, `--exec` and `--json`.",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "no-keep",
            help: "do not reserve your name while the connection is lost",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "no-reconnect",
            help: "exit when the connection is lost, instead of reconnecting",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "send",
            value: ValueKind::Text("TEXT"),
            help: "send this text, wait until it is confirmed, and exit",
            details: "May be given more than once; each line of each text is sent, in this order. \
                      The answer to a command such as `/who` is printed. Standard input is not \
                      read.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "exec",
            value: ValueKind::Command("COMMAND"),
            help: "run a bot: pass messages to a command, send its output",
            details: "See SCRIPTS AND BOTS. Standard input is not read.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "json",
            help: "print the server's lines and send JSON objects, unchanged",
            details: "An input line that is a JSON object is sent unchanged; any other line is \
                      sent as text. With `--send` the answers are printed as JSON, and with \
                      `--exec` the command reads the server's lines.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "completions",
            value: ValueKind::Choice("SHELL", Shell::NAMES),
            details: "Prints the completions of `smolchat` for bash, zsh or fish.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "manual",
            value: ValueKind::Choice("PROGRAM", &["smolchat", "smolchatd"]),
            details: "Prints the manual page of `smolchat` or `smolchatd`, for `man -l -`.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec::HELP,
        OptionSpec::VERSION,
    ],
    notes: &["A line that you type is sent to all members; `/help` lists all commands."],
    sections: &[
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
                     `#` is a comment. The keys are `address`, `name`, `history`, `color`, \
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
                     `$XDG_STATE_HOME`, if that is an absolute path. Private messages are not \
                     stored.",
                ),
                Block::Item(
                    "~/.local/state/smolchat/sessions",
                    "One file for each server and name: a secret with which a client without a \
                     terminal that was killed gets its name back. It is removed when the client \
                     leaves the room. The directory is below `$STATE_DIRECTORY`, if it is set.",
                ),
            ],
        },
    ],
    examples: &[
        Example {
            purpose: "Send one line, from a timer or a script:",
            command: "smolchat router --name cron --send 'backup done'",
        },
        Example { purpose: "Run a bot:", command: "smolchat router --name bot --exec ./bot.sh" },
        Example {
            purpose: "Print only the texts of chat messages:",
            command: "smolchat router --json | jq -r 'select(.kind == \"chat\") | .data'",
        },
    ],
    exits: &[
        Exit {
            code: 0,
            brief: "all lines confirmed",
            meaning: "All lines were confirmed, and the session ended without an error.",
        },
        Exit {
            code: 1,
            brief: "failure or refused line",
            meaning: "The server could not be reached, at the start or after the connection was \
                      lost; or a line was refused or not confirmed; or standard output could not \
                      be written; or the command of `--exec` failed. At a terminal, without `--json`, a refused line is no failure.",
        },
        Exit { code: 2, brief: "wrong options", meaning: "The options are wrong." },
    ],
    see_also: "smolchatd",
    date: "2026-11-25",
};
