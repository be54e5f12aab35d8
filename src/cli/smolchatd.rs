//! The words of the server.

use super::{Block, Exit, Program, Row, Section, Value};

/// What `smolchatd` can be told, and what there is to know about it.
pub static SMOLCHATD: Program = Program {
    name: "smolchatd",
    summary: "a group-chat room",
    usage: "[OPTIONS]",
    rows: &[
        Row {
            name: "listen",
            value: Value::Text("ADDR"),
            default: "0.0.0.0:8080",
            help: "where clients connect: IP:PORT, [V6]:PORT or unix:PATH; may be given more \
                   than once",
            more: "A unix socket that a dead server left behind is replaced; one of a living \
                   server is an error.",
            ..Row::NEW
        },
        Row {
            name: "max-clients",
            value: Value::Text("N"),
            default: "1000",
            help: "connections at once",
            more: "One more is told `full` and closed.",
            ..Row::NEW
        },
        Row {
            name: "max-per-ip",
            value: Value::Text("N"),
            default: "64",
            help: "of them from one address; 0 is no limit",
            more: "Of IPv6, one /64 is one address.",
            ..Row::NEW
        },
        Row {
            name: "connect-rate",
            value: Value::Text("N[/BURST]"),
            default: "20/100",
            help: "new connections a second from one address, and at once; 0 is no limit",
            ..Row::NEW
        },
        Row {
            name: "max-line",
            value: Value::Text("BYTES"),
            default: "4096",
            help: "longest line from a client",
            more: "Its newline is not counted.",
            ..Row::NEW
        },
        Row {
            name: "outbox",
            value: Value::Text("SIZE"),
            default: "256K",
            help: "bytes that may wait for one member",
            more: "When there are more, the member is closed with `bye` `slow`.",
            ..Row::NEW
        },
        Row {
            name: "history",
            value: Value::Text("N"),
            default: "1000",
            help: "frames kept, for /history and for those who come back",
            ..Row::NEW
        },
        Row {
            name: "history-bytes",
            value: Value::Text("SIZE"),
            default: "1M",
            help: "bytes of them kept",
            ..Row::NEW
        },
        Row {
            name: "grace",
            value: Value::Text("SECS"),
            default: "60",
            help: "how long a dropped member's name is kept for it, if it asked for that; 0 is not",
            ..Row::NEW
        },
        Row {
            name: "history-file",
            value: Value::Path("PATH"),
            help: "keep the room in this file across restarts",
            ..Row::NEW
        },
        Row {
            name: "history-file-max",
            value: Value::Text("SIZE"),
            default: "8M",
            help: "at which the file becomes PATH.1",
            more: "A new one begins then.",
            ..Row::NEW
        },
        Row {
            name: "sync",
            value: Value::Text("SECS"),
            default: "1",
            help: "how long what was said may wait to be on the disk; 0 is not at all",
            ..Row::NEW
        },
        Row {
            name: "memory",
            value: Value::Text("SIZE"),
            help: "make do with so much: clients, outbox and history are made to fit",
            more: "What is given for them stays as it is. The sum is that of `--check`, socket buffers \
                   in the kernel included.",
            ..Row::NEW
        },
        Row {
            name: "check",
            help: "tell what each part may take at worst, and end",
            more: "Options that contradict each other are an error then.",
            ..Row::NEW
        },
        Row {
            name: "rate",
            value: Value::Text("N[/BURST]"),
            default: "10/40",
            help: "lines a second from one member, and at once; 0 is no limit",
            more: "Above it they are read more slowly.",
            ..Row::NEW
        },
        Row {
            name: "hello-wait",
            value: Value::Text("MS"),
            default: "250",
            help: "how long a silent client is waited for",
            ..Row::NEW
        },
        Row {
            name: "log",
            value: Value::Choice("LEVEL", &["error", "warn", "info", "debug"]),
            default: "info",
            help: "error, warn, info or debug",
            ..Row::NEW
        },
        Row::HELP,
        Row::VERSION,
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
