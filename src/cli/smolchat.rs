//! The option table of the client.

mod sections;

use self::sections::SECTIONS;
use super::{Example, Exit, OptionSpec, Program, Shell, ValueKind};

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
            help: "HOST[:PORT], tls:HOST[:PORT] or unix:PATH",
            details: "Several servers of one room are separated by commas, all of them with `tls:` or \
                      none: when one is lost, the next is tried. \
                      Without a port, the port is 8080; an IPv6 address with a port is in brackets. \
                      With `tls:` the connection is encrypted; \
                      see ENCRYPTION. The key in the config file is `address`.",
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
            name: "password-file",
            value: ValueKind::Path("PATH"),
            details: "The first line of this file is the password of the server. Only you may be \
                      able to read the file. Without it, the password is `$SMOLCHAT_PASSWORD`; \
                      without both, `smolchat` asks at a terminal if the server needs one.",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "tls-pin",
            value: ValueKind::Text("KEYS"),
            details: "The keys that the server of a `tls:` address may have, each as `SHA256:…`, \
                      separated by commas; see ENCRYPTION.",
            is_setting: true,
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
            details: "The server does not reserve your name while the connection is lost.",
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
    sections: SECTIONS,
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
