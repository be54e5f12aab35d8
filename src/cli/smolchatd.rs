//! The words of the server.

use super::{Block, Exit, OptionSpec, Program, Section, ValueKind};

/// What `smolchatd` can be told, and what there is to know about it.
pub static SMOLCHATD: Program = Program {
    name: "smolchatd",
    summary: "a group-chat room",
    usage: "[OPTIONS]",
    options: &[
        OptionSpec {
            name: "listen",
            value: ValueKind::Text("ADDR"),
            default: "0.0.0.0:8080",
            help: "where clients connect: IP:PORT, [V6]:PORT or unix:PATH; may be given more \
                   than once",
            details: "A unix socket that a dead server left behind is replaced; one of a living \
                   server is an error.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "max-clients",
            value: ValueKind::Text("N"),
            default: "1000",
            help: "connections at once",
            details: "One more is told `full` and closed.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "max-per-ip",
            value: ValueKind::Text("N"),
            default: "64",
            help: "of them from one address; 0 is no limit",
            details: "Of IPv6, one /64 is one address.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "connect-rate",
            value: ValueKind::Text("N[/BURST]"),
            default: "20/100",
            help: "new connections a second from one address, and at once; 0 is no limit",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "max-line",
            value: ValueKind::Text("BYTES"),
            default: "4096",
            help: "longest line from a client",
            details: "Its newline is not counted.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "outbox",
            value: ValueKind::Text("SIZE"),
            default: "256K",
            help: "bytes that may wait for one member",
            details: "When there are more, the member is closed with `bye` `slow`.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "history",
            value: ValueKind::Text("N"),
            default: "1000",
            help: "frames kept, for /history and for those who come back",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "history-bytes",
            value: ValueKind::Text("SIZE"),
            default: "1M",
            help: "bytes of them kept",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "grace",
            value: ValueKind::Text("SECS"),
            default: "60",
            help: "how long a dropped member's name is kept for it, if it asked for that; 0 is not",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "history-file",
            value: ValueKind::Path("PATH"),
            help: "keep the room in this file across restarts",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "history-file-max",
            value: ValueKind::Text("SIZE"),
            default: "8M",
            help: "at which the file becomes PATH.1",
            details: "A new one begins then.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "sync",
            value: ValueKind::Text("SECS"),
            default: "1",
            help: "how long what was said may wait to be on the disk; 0 is not at all",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "memory",
            value: ValueKind::Text("SIZE"),
            help: "make do with so much: clients, outbox and history are made to fit",
            details: "What is given for them stays as it is. The sum is that of `--check`, socket buffers \
                   in the kernel included.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "check",
            help: "tell what each part may take at worst, and end",
            details: "Options that contradict each other are an error then.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "rate",
            value: ValueKind::Text("N[/BURST]"),
            default: "10/40",
            help: "lines a second from one member, and at once; 0 is no limit",
            details: "Above it they are read more slowly.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "hello-wait",
            value: ValueKind::Text("MS"),
            default: "250",
            help: "how long a silent client is waited for",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "log",
            value: ValueKind::Choice("LEVEL", &["error", "warn", "info", "debug"]),
            default: "info",
            help: "error, warn, info or debug",
            ..OptionSpec::DEFAULT
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
    date: "2026-11-22",
};
