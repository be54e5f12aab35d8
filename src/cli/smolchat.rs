//! The words of the client.

use super::{Block, Example, Exit, OptionSpec, Program, Section, Shell, ValueKind};

/// What `smolchat` can be told, and what there is to know about it.
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
            details: "In the file of settings this is `address`.",
            is_setting: true,
        },
        OptionSpec {
            name: "name",
            value: ValueKind::Text("NAME"),
            default: "$SMOLCHAT_NAME, else $USER",
            help: "who to be",
            details: "A name in the file of settings counts less than `$SMOLCHAT_NAME` and more than \
                   `$USER`.",
            is_setting: true,
        },
        OptionSpec {
            name: "history",
            value: ValueKind::Text("N"),
            default: "20 on a terminal, else 0",
            help: "past lines to show on arrival",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "color",
            value: ValueKind::Choice("WHEN", &["never", "auto", "always"]),
            default: "auto",
            help: "use colours: never, auto or always",
            details: "With `auto` it does so on a terminal.",
            is_setting: true,
        },
        OptionSpec {
            name: "bell",
            value: ValueKind::Choice("WHEN", &["never", "mention", "always"]),
            default: "mention",
            help: "ring: never, mention or always",
            details: "With `mention` it rings when somebody says your name or something to you \
                   alone, with `always` whenever somebody else speaks.",
            is_setting: true,
        },
        OptionSpec {
            name: "time",
            value: ValueKind::Choice("on|off", &["on", "off"]),
            default: "on",
            help: "show when things were said",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "no-keep",
            help: "leave the name free for others while the link is lost",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "no-reconnect",
            help: "end when the link is lost, instead of coming back",
            is_setting: true,
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "send",
            value: ValueKind::Text("TEXT"),
            help: "say this, wait until it is confirmed, and end",
            details: "May be given more than once; each line of each text is said, in this order. An \
                   answer to a command is printed, such as `/who`. Standard input is not read.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "exec",
            value: ValueKind::Command("COMMAND"),
            help: "feed what others say to a command, say what it prints",
            details: "See SCRIPTS AND BOTS. Standard input is not read.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "json",
            help: "JSON both ways: print the server's lines, send objects",
            details: "The server's lines are printed as they are, and what is read as a JSON object \
                   is sent as it is; anything else is sent as text. With `--send` the answers are \
                   printed so, and with `--exec` the command is fed so.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "completions",
            value: ValueKind::Choice("SHELL", Shell::NAMES),
            details: "Prints what this shell, bash, zsh or fish, needs to complete the options of \
                   `smolchat`.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "manual",
            value: ValueKind::Choice("PROGRAM", &["smolchat", "smolchatd"]),
            details: "Prints the manual page of this program as it is installed, for `man -l -` to \
                   show. (The server leaves that to the client, to be small.)",
            ..OptionSpec::DEFAULT
        },
        OptionSpec::HELP,
        OptionSpec::VERSION,
    ],
    notes: &["What you type is said to all; `/help` lists the commands, `/quit` leaves."],
    sections: &[
        Section {
            title: "CONVERSATION",
            blocks: &[
                Block::Text(
                    "When the link is lost, `smolchat` says so and comes back by itself. It shows \
                     what was missed, names what is gone for good, and says what was typed in the \
                     meantime, once.",
                ),
                Block::Text(
                    "Where standard input is no terminal, each of its lines is said, and \
                     `smolchat` ends when the last one was answered. There, and with `--send`, it \
                     gives up when there was no link for 60 seconds at a stretch.",
                ),
            ],
        },
        Section {
            title: "SCRIPTS AND BOTS",
            blocks: &[
                Block::Text(
                    "With `--json`, a line of input that is a JSON object goes out as it is, with \
                     its own `id`, or else with one that it is given, so that it is answered. An \
                     object that the server could not answer is refused: one that has an `id` \
                     that is no word of at most 64 bytes, or `data` that is no text.",
                ),
                Block::Text(
                    "`--exec` runs the command once, by `sh -c`, and not once for each line, so \
                     that it can remember what was said. Of what others say to all, each line is \
                     fed to it as the name, a tab and the text, in which control characters are \
                     shown as in `^J`. With `--json` it is fed each line of the server as it is. \
                     It is not fed what it said itself, nor what was said before it came.",
                ),
                Block::Text(
                    "Each line that the command prints is said. In text, a `/` at its start is \
                     said too, so that nobody can command a bot that repeats what it hears; to \
                     give commands, print JSON objects, with `--json`.",
                ),
                Block::Text(
                    "When the command has ended, and its output with it, `smolchat` waits for the \
                     last line to be confirmed, and ends. When the conversation ends first, the \
                     input of the command ends; two seconds later the command is killed. A \
                     command that does not read misses lines, which are counted, and delays \
                     nobody. It comes back when the link is lost, however long that takes.",
                ),
            ],
        },
        Section {
            title: "ENVIRONMENT",
            blocks: &[
                Block::Item("SMOLCHAT_NAME, USER", "Who to be, where no option says so."),
                Block::Item("XDG_CONFIG_HOME", "Where the file of settings is looked for."),
            ],
        },
        Section {
            title: "FILES",
            blocks: &[
                Block::Item(
                    "~/.config/smolchat/config",
                    "Settings, one `key = value` a line; below `$XDG_CONFIG_HOME`, if that is an \
                     absolute path. What begins with `#` is a comment. The keys are `address`, \
                     `name`, `history`, `color`, `bell`, `time`, `no-keep` and `no-reconnect`; \
                     the last two are `on` or `off`. What is given on the command line counts \
                     more; there a switch may be turned off, as in `--no-keep=off`. A bad line is \
                     one warning, and is passed over.",
                ),
                Block::Code("address = router:8080\nname = alice"),
            ],
        },
    ],
    examples: &[
        Example { purpose: "Talk in the room:", command: "smolchat router --name alice" },
        Example {
            purpose: "Say one line, from a timer or a script:",
            command: "smolchat router --name cron --send 'backup done'",
        },
        Example { purpose: "Run a bot:", command: "smolchat router --name bot --exec ./bot.sh" },
        Example {
            purpose: "Take out of it what a program wants:",
            command: "smolchat router --json | jq -r 'select(.kind == \"chat\") | .data'",
        },
    ],
    exits: &[
        Exit {
            code: 0,
            brief: "all was said",
            meaning: "All that was to be said was confirmed, and the conversation ended in good \
                      order.",
        },
        Exit {
            code: 1,
            brief: "something failed or was refused",
            meaning: "The server could not be reached or went away for good; or a line was not \
                      accepted or not confirmed (but where a person types at a terminal, and not with \
                      `--json`, they see it and it is no failure); or the command of `--exec` failed.",
        },
        Exit { code: 2, brief: "wrong options", meaning: "The options are wrong." },
    ],
    see_also: "smolchatd",
    date: "2026-11-22",
};
