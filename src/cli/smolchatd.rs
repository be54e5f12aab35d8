//! The option table of the server.

use super::{Block, Exit, OptionSpec, Program, Section, ValueKind};

/// The options and the manual page of the server `smolchatd`.
pub static SMOLCHATD: Program = Program {
    name: "smolchatd",
    summary: "a group-chat server",
    usage: "[OPTIONS]",
    options: &[
        OptionSpec {
            name: "listen",
            value: ValueKind::Text("ADDR"),
            default: "8080",
            help: "address to listen on: PORT, IP:PORT, [V6]:PORT or unix:PATH; may be given more \
                   than once",
            details: "A PORT alone is for all addresses of the machine, IPv6 and IPv4. So is \
                      `[::]:PORT`, unless an IPv4 address with the same port is given, too. The \
                      file of a unix socket gets the permissions and the group of \
                      `unix:PATH,mode=0660,group=NAME`; by default the umask determines them. The \
                      unix socket of a server that has ended is replaced; the socket of a running \
                      server is an error.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "max-clients",
            value: ValueKind::Text("N"),
            default: "1000",
            help: "connections at the same time",
            details: "A further connection is sent a `bye` with the code `full` and closed.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "max-per-ip",
            value: ValueKind::Text("N"),
            default: "64",
            help: "connections from one address; 0 = no limit",
            details: "For IPv6, a /64 network counts as one address.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "connect-rate",
            value: ValueKind::Text("N[/BURST]"),
            default: "20/100",
            help: "new connections per second from one address, and at once; 0 = no limit",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "proxy-from",
            value: ValueKind::Text("ADDR[/BITS]"),
            help: "address of a proxy that sends a PROXY header; may be given more than once",
            details: "Connections from it must begin with a header of the PROXY protocol, version \
                      1 or 2. The address in the header is used for the limits and the log; the \
                      address of the proxy itself is not limited. `unix` stands for all \
                      connections over unix sockets. Headers from other addresses are not trusted.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "web")]
        OptionSpec {
            name: "web-host",
            value: ValueKind::Text("NAME"),
            help: "further name by which browsers reach the server; may be given more than once",
            details: "Not needed for addresses, names without a dot, and local names such as \
                      chat.lan.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "irc")]
        OptionSpec {
            name: "irc",
            value: ValueKind::Text("ADDR"),
            help: "address to listen on for IRC clients, as for --listen; may be given more than \
                   once",
            details: "The usual port is 6667.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "irc")]
        OptionSpec {
            name: "irc-channel",
            value: ValueKind::Text("NAME"),
            default: "#smol",
            help: "name of the room for IRC clients",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "irc")]
        OptionSpec {
            name: "irc-name",
            value: ValueKind::Text("NAME"),
            default: "smolchat.local",
            help: "name of the server for IRC clients, with a dot",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "irc")]
        OptionSpec {
            name: "irc-playback",
            value: ValueKind::Text("N"),
            default: "20",
            help: "earlier messages for an IRC client that joins the channel",
            details: "Only for clients with `server-time`.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "motd",
            value: ValueKind::Path("FILE"),
            help: "message of the day: new members are shown the text of this file",
            details: "The file has at most 4096 bytes of UTF-8, and is read at the start.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "tls")]
        OptionSpec {
            name: "tls",
            value: ValueKind::Path("FILE"),
            help: "certificate and key for TLS, on the same ports; created if there is no such file",
            details: "A PEM file with the certificate, those that signed it, and the private key: \
                      ECDSA (P-256 or P-384) or Ed25519. A new file has a certificate that is \
                      signed with its own key. At the start, `tls key SHA256:…` is printed: the \
                      fingerprint of the public key. The file is read again on SIGHUP, and within a \
                      minute after it has changed.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "tls")]
        OptionSpec {
            name: "tls-key",
            value: ValueKind::Path("FILE"),
            help: "private key, if it is not in the file of --tls",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "max-line",
            value: ValueKind::Text("BYTES"),
            default: "4096",
            help: "longest line from a client",
            details: "The newline is not counted.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "outbox",
            value: ValueKind::Text("SIZE"),
            default: "256K",
            help: "bytes that may wait for one member",
            details: "Above it, the member is sent a `bye` with the code `slow` and disconnected.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "history",
            value: ValueKind::Text("N"),
            default: "1000",
            help: "lines kept, for /history and for clients that resume",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "history-bytes",
            value: ValueKind::Text("SIZE"),
            default: "1M",
            help: "bytes of these lines kept",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "grace",
            value: ValueKind::Text("SECS"),
            default: "60",
            help: "seconds to reserve a name after its connection is lost, if the client asked \
                   for it; 0 = not reserved",
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
            help: "size at which the file becomes PATH.1",
            details: "A new file begins then.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "sync",
            value: ValueKind::Text("SECS"),
            default: "1",
            help: "seconds between syncs to disk; 0 = sync before every delivery",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "cluster",
            value: ValueKind::Text("URL[,URL]"),
            help: "NATS servers with the log of a room on several servers",
            details: "Addresses such as nats://10.0.0.1:4222, separated by commas. All servers with \
                      the same `--room` have one room. Not with `--history-file`.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "room",
            value: ValueKind::Text("NAME"),
            help: "name of the room in the cluster; default: smolchat",
            details: "The name of the NATS stream: letters, digits, - and _.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "node",
            value: ValueKind::Text("NAME"),
            help: "name of this server in the cluster, different for each",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "advertise",
            value: ValueKind::Text("HOST:PORT"),
            help: "address of this server for clients, which they try when they lose another one",
            details: "Default: the first address of `--listen`, if it has a host.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "max-members",
            value: ValueKind::Text("N"),
            help: "members of the room on all servers; default: 8 times --max-clients",
            details: "Each server keeps all of them in memory.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "cluster-replicas",
            value: ValueKind::Text("N"),
            help: "copies of the log that the NATS servers keep: 1, 3 or 5",
            details: "Default: 3 with at least three addresses in `--cluster`, or else 1.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "cluster-creds",
            value: ValueKind::Path("FILE"),
            help: "file with the credentials for NATS",
            details: "One line with USER:PASSWORD, or a user JWT with its seed. Without this \
                      option: those in the addresses of `--cluster`.",
            ..OptionSpec::DEFAULT
        },
        #[cfg(feature = "cluster")]
        OptionSpec {
            name: "cluster-ca",
            value: ValueKind::Path("FILE"),
            help: "file with the certificates that the NATS servers are checked against",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "password-file",
            value: ValueKind::Path("PATH"),
            help: "clients have to send the password on the first line of this file",
            details: "The file must not be readable by others. It is read again on SIGHUP. A \
                      client sends `/pass PASSWORD` as its first line, or `password` in its hello.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "operators",
            value: ValueKind::Path("FILE"),
            help: "operators: a label and a secret of 16 or more characters on each line",
            details: "A member becomes an operator with `/op SECRET`. Root and the server's own \
                      user are operators on a unix socket. The file has the mode 0600, and is \
                      read again on SIGHUP: a member whose line has changed is no operator then.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "ban-file",
            value: ValueKind::Path("PATH"),
            help: "keep the bans, the mutes, the lock and the topic in this file",
            details: "It is rewritten when an operator changes something, and read again on \
                      SIGHUP.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "plain",
            value: ValueKind::Choice("PEERS", &["never", "local", "all"]),
            help: "peers that may use plain text, without TLS: never, local or all",
            details: "`local` is the machine of the server: loopback addresses and unix sockets. \
                      Others are sent a `bye` with the code `tls-required`. The default is `local` \
                      with TLS; otherwise all may, but passwords are accepted as with `local`.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "memory",
            value: ValueKind::Text("SIZE"),
            help: "memory budget: limits are scaled to fit, except those set explicitly",
            details: "Scaled are `--max-clients`, `--outbox`, `--history` and `--history-bytes`. \
                      The budget covers the sum that `--check` prints, with the socket buffers in \
                      the kernel.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "check",
            help: "print the largest memory use of each part, and exit",
            details: "Options that contradict each other are then an error.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "rate",
            value: ValueKind::Text("N[/BURST]"),
            default: "10/40",
            help: "lines per second from one member, and at once; 0 = no limit",
            details: "Further lines are read more slowly; none is lost.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "address-rate",
            value: ValueKind::Text("N[/BURST]"),
            default: "40/160",
            help: "lines per second from one address, and at once; 0 = no limit",
            details: "Further lines are read more slowly; none is lost. All connections of an \
                      address, and all of one user of a unix socket, count together. Without this \
                      option it is four times `--rate`.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "address-bytes",
            value: ValueKind::Text("SIZE[/BURST]"),
            default: "32K/128K",
            help: "bytes per second that lines from one address become, and at once; 0 = no limit",
            details: "Bytes are counted as members receive them, once for each line. A burst is at \
                      most half of `--outbox`. Answers to requests such as `/history` have eight \
                      times as much. Without this option there is no limit if `--rate` is 0.",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "hello-wait",
            value: ValueKind::Text("MS"),
            default: "250",
            help: "milliseconds after which a silent client joins as a guest",
            ..OptionSpec::DEFAULT
        },
        OptionSpec {
            name: "log",
            value: ValueKind::Choice("LEVEL", &["error", "warn", "info", "debug"]),
            default: "info",
            help: "log level: error, warn, info or debug",
            ..OptionSpec::DEFAULT
        },
        OptionSpec::HELP,
        OptionSpec::VERSION,
    ],
    notes: &[
        "Each line that a member sends reaches all members, in the same order.",
        "A SIZE may end in K, M or G. For each address, `listening on ADDR` is printed on \
         standard output, and then `chat at URL` for browsers; the log goes to standard error. \
         SIGINT or SIGTERM shuts the server down, a second one more than a second later stops it \
         at once. SIGHUP does the same as SIGTERM if the server was started in a terminal; otherwise \
         the certificate and the files of the password, the operators and the bans are read again. \
         SIGUSR1 writes the statistics of /stats to the log, as JSON.",
    ],
    sections: &[
        Section {
            title: "OTHER CLIENTS",
            blocks: &[
                Block::Text(
                    "Every program that can open a TCP connection and read lines is a client; \
                     `/help` lists the commands. Every member can ask for the statistics of the \
                     server, with `/stats`:",
                ),
                Block::Code("printf '/stats\\n' | nc -N 127.0.0.1 8080"),
            ],
        },
        Section {
            title: "FILES",
            blocks: &[Block::Item(
                "PATH, PATH.1",
                "The newer and the older part of the history, with `--history-file PATH`. Without \
                 this option, `--ban-file` and `--tls` the server writes no file.",
            )],
        },
    ],
    examples: &[],
    exits: &[
        Exit { code: 0, brief: "stopped by a signal", meaning: "A signal shut the server down." },
        Exit {
            code: 1,
            brief: "failure",
            meaning: "The server could not listen or could not continue, or a second signal, \
                      more than a second after the first, stopped it at once.",
        },
        Exit { code: 2, brief: "wrong options", meaning: "The options are wrong." },
    ],
    see_also: "smolchat",
    date: "2026-11-26",
};
