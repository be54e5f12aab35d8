//! The words of the server.

use super::{Block, Exit, OptionSpec, Program, Section, Value};

/// What `smolchatd` can be told, and what there is to know about it.
pub static SMOLCHATD: Program = Program {
    name: "smolchatd",
    summary: "a group-chat room",
    usage: "[OPTIONS]",
    options: &[
        OptionSpec {
            name: "listen",
            value: Value::Text("ADDR"),
            default: "0.0.0.0:8080",
            help: "where clients connect: IP:PORT, [V6]:PORT or unix:PATH; may be given more \
                   than once",
            more: "A unix socket that a dead server left behind is replaced; one of a living \
                   server is an error.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "max-clients",
            value: Value::Text("N"),
            default: "1000",
            help: "connections at once",
            more: "One more is told `full` and closed.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "max-per-ip",
            value: Value::Text("N"),
            default: "64",
            help: "of them from one address; 0 is no limit",
            more: "Of IPv6, one /64 is one address.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "connect-rate",
            value: Value::Text("N[/BURST]"),
            default: "20/100",
            help: "new connections a second from one address, and at once; 0 is no limit",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "max-line",
            value: Value::Text("BYTES"),
            default: "4096",
            help: "longest line from a client",
            more: "Its newline is not counted.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "outbox",
            value: Value::Text("SIZE"),
            default: "256K",
            help: "bytes that may wait for one member",
            more: "When there are more, the member is closed with `bye` `slow`.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "history",
            value: Value::Text("N"),
            default: "1000",
            help: "frames kept, for /history and for those who come back",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "history-bytes",
            value: Value::Text("SIZE"),
            default: "1M",
            help: "bytes of them kept",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "grace",
            value: Value::Text("SECS"),
            default: "60",
            help: "how long a dropped member's name is kept for it, if it asked for that; 0 is not",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "history-file",
            value: Value::Path("PATH"),
            help: "keep the room in this file across restarts",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "history-file-max",
            value: Value::Text("SIZE"),
            default: "8M",
            help: "at which the file becomes PATH.1",
            more: "A new one begins then.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "sync",
            value: Value::Text("SECS"),
            default: "1",
            help: "how long what was said may wait to be on the disk; 0 is not at all",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "memory",
            value: Value::Text("SIZE"),
            help: "make do with so much: clients, outbox and history are made to fit",
            more: "What is given for them stays as it is. The sum is that of `--check`, socket buffers \
                   in the kernel included.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "check",
            help: "tell what each part may take at worst, and end",
            more: "Options that contradict each other are an error then.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "rate",
            value: Value::Text("N[/BURST]"),
            default: "10/40",
            help: "lines a second from one member, and at once; 0 is no limit",
            more: "Above it they are read more slowly.",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "hello-wait",
            value: Value::Text("MS"),
            default: "250",
            help: "how long a silent client is waited for",
            ..OptionSpec::NEW
        },
        OptionSpec {
            name: "log",
            value: Value::Choice("LEVEL", &["error", "warn", "info", "debug"]),
            default: "info",
            help: "error, warn, info or debug",
            ..OptionSpec::NEW
        },
        OptionSpec::HELP,
        OptionSpec::VERSION,
    ],
    notes: &[
        "A SIZE may end in K, M or G. Each address is told as `listening on ADDR` on standard \
         output; the log goes to standard error. SIGINT or SIGTERM ends it in good order, a second \
         one at once; SIGUSR1 writes the figures of /stats to the log, as JSON.",
    ],
    sections: &[Section {
        title: "FROM ANYWHERE",
        blocks: &[
            Block::Text(
                "Anything that can open a TCP socket and read a line is a client. Every member may \
                 ask for the figures of the server, with `/stats`:",
            ),
            Block::Code("printf '/stats\\n' | nc -N 127.0.0.1 8080"),
        ],
    }],
    examples: &[],
    exits: &[
        Exit { code: 0, brief: "after a signal", meaning: "A signal ended it in good order." },
        Exit {
            code: 1,
            brief: "something failed",
            meaning: "It could not listen or could not go on, or a second signal ended it at once.",
        },
        Exit { code: 2, brief: "wrong options", meaning: "The options are wrong." },
    ],
    see_also: "smolchat",
    dated: "2026-11-22",
};
