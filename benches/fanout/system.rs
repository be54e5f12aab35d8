//! Each system: how it is started, what a member sends to join and what tells that it is in, and
//! what goes around a payload. The load generator knows nothing else about any of them.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::harness::server::Server;
use crate::{floor, naive, peers};

/// First argument that makes this program the floor.
const SERVE_FLOOR: &str = "--serve-floor";
/// First argument that makes this program the naive room.
const SERVE_NAIVE: &str = "--serve-naive";

/// One of the systems that the work is done on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Ours.
    Smolchat,
    /// The yardstick below everything.
    Floor,
    /// smol's own example.
    Naive,
    /// Redis, publish and subscribe.
    Redis,
    /// ngIRCd, one channel.
    Ngircd,
    /// Mosquitto, one topic, quality of service 0.
    Mosquitto,
    /// NATS, one subject.
    Nats,
}

impl System {
    /// What `make bench` compares. Smolchat goes first: the floor sends lines of the same length.
    pub const OWN: [Self; 3] = [Self::Smolchat, Self::Floor, Self::Naive];
    /// What `--peers` adds.
    pub const PEERS: [Self; 4] = [Self::Redis, Self::Ngircd, Self::Mosquitto, Self::Nats];

    /// Its name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smolchat => "smolchat",
            Self::Floor => "floor",
            Self::Naive => "naive",
            Self::Redis => "redis",
            Self::Ngircd => "ngircd",
            Self::Mosquitto => "mosquitto",
            Self::Nats => "nats",
        }
    }

    /// The program that is it, if this machine has one.
    pub fn program(self, smolchatd: Option<&Path>) -> Option<PathBuf> {
        match self {
            Self::Smolchat => smolchatd.filter(|path| path.is_file()).map(Path::to_owned),
            Self::Floor | Self::Naive => env::current_exe().ok(),
            Self::Redis => peers::find("redis-server"),
            Self::Ngircd => peers::find("ngircd"),
            Self::Mosquitto => peers::find("mosquitto"),
            Self::Nats => peers::find("nats-server"),
        }
    }

    /// Starts it on a free port of the loopback address.
    pub fn start(self, program: &Path) -> io::Result<Server> {
        match self {
            Self::Smolchat => Server::announced(smolchatd(program)?),
            Self::Floor | Self::Naive => {
                let mut command = Command::new(program);
                command.arg(if self == Self::Floor { SERVE_FLOOR } else { SERVE_NAIVE });
                Server::announced(command)
            }
            Self::Redis => peers::redis(program),
            Self::Ngircd => peers::ngircd(program),
            Self::Mosquitto => peers::mosquitto(program),
            Self::Nats => peers::nats(program),
        }
    }

    /// What member number `member` sends as soon as it is connected.
    pub fn join_request(self, member: usize) -> Vec<u8> {
        match self {
            Self::Smolchat => format!("{{\"hello\":{{\"name\":\"m{member}\"}}}}\n").into_bytes(),
            Self::Floor | Self::Naive => Vec::new(),
            // Only in the third version of its protocol may one who subscribes also publish.
            Self::Redis => b"HELLO 3\r\nSUBSCRIBE room\r\n".to_vec(),
            Self::Ngircd => {
                format!("NICK m{member}\r\nUSER m 0 * :m\r\nJOIN #room\r\n").into_bytes()
            }
            Self::Mosquitto => mqtt_join_request(&format!("m{member}")),
            Self::Nats => {
                b"CONNECT {\"verbose\":false,\"echo\":true}\r\nSUB room 1\r\nPING\r\n".to_vec()
            }
        }
    }

    /// What in the server's answer to that says that the member is in.
    pub fn join_reply(self) -> &'static [u8] {
        match self {
            Self::Smolchat => b"\"kind\":\"welcome\"",
            Self::Floor | Self::Naive => b"+\n",
            Self::Redis => b"room\r\n:1\r\n",
            Self::Ngircd => b" 366 ",
            Self::Mosquitto => b"\x90\x03\x00\x01\x00",
            Self::Nats => b"PONG\r\n",
        }
    }

    /// How many may be on their way in at once: as many as the system's listen backlog bears.
    pub fn join_window(self) -> usize {
        match self {
            Self::Ngircd => 8,
            Self::Mosquitto => 64,
            _ => 256,
        }
    }

    /// The largest room that it lets everybody into within a bearable time.
    pub fn max_members(self) -> usize {
        match self {
            // Each who joins is told the names of all who are there.
            Self::Ngircd => 2_000,
            _ => usize::MAX,
        }
    }

    /// Appends a payload as a member says it.
    pub fn encode(self, payload: &[u8], out: &mut Vec<u8>) {
        let length = payload.len();
        match self {
            Self::Smolchat | Self::Floor | Self::Naive => {}
            Self::Redis => {
                out.extend(b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n");
                out.extend(format!("${length}\r\n").as_bytes());
            }
            Self::Ngircd => out.extend(b"PRIVMSG #room :"),
            Self::Mosquitto => {
                out.push(0x30);
                mqtt_length(out, length + 6);
                mqtt_text(out, "room");
            }
            Self::Nats => out.extend(format!("PUB room {length}\r\n").as_bytes()),
        }
        out.extend(payload);
        match self {
            Self::Smolchat | Self::Floor | Self::Naive => out.push(b'\n'),
            Self::Redis | Self::Ngircd | Self::Nats => out.extend(b"\r\n"),
            Self::Mosquitto => {}
        }
    }

    /// Whether a talker gets its own lines too.
    pub fn echoes_to_sender(self) -> bool {
        self != Self::Ngircd
    }
}

/// Does the work of a yardstick if `argument` asks for one; returns only if it does not, or if
/// that failed.
pub fn run_baseline(argument: &str) -> io::Result<()> {
    let serve = match argument {
        SERVE_FLOOR => floor::serve,
        SERVE_NAIVE => naive::serve,
        _ => return Ok(()),
    };
    // Should the bench be killed, nobody else would end this process.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    serve()
}

/// Length of the frame in which smolchat passes on a payload, newline included: what the floor's
/// lines are padded to as long as nothing was measured.
pub fn smolchat_frame_len(payload: usize) -> usize {
    let around = "{'data_source':'m17','data':'','kind':'chat','seq':12345,'time':1790000000000}\n";
    around.len() + payload
}

/// Our server, with every limit off that guards against what the bench does.
fn smolchatd(program: &Path) -> io::Result<Command> {
    let mut command = Command::new(program);
    command
        .args(["--listen", "127.0.0.1:0", "--log", "error"])
        .args(["--rate", "0", "--max-per-ip", "0"])
        .args(["--max-clients", "20000"]);
    let help = Command::new(program).arg("--help").output()?;
    if String::from_utf8_lossy(&help.stdout).contains("--connect-rate") {
        command.args(["--connect-rate", "0"]);
    }
    Ok(command)
}

/// MQTT 3.1.1: CONNECT with a clean session and no keep-alive, then SUBSCRIBE at quality 0.
fn mqtt_join_request(client: &str) -> Vec<u8> {
    let mut out = vec![0x10];
    mqtt_length(&mut out, 12 + client.len());
    mqtt_text(&mut out, "MQTT");
    out.extend([4, 2, 0, 0]);
    mqtt_text(&mut out, client);
    out.push(0x82);
    mqtt_length(&mut out, 9);
    out.extend([0, 1]);
    mqtt_text(&mut out, "room");
    out.push(0);
    out
}

fn mqtt_text(out: &mut Vec<u8>, text: &str) {
    out.extend([0, text.len() as u8]);
    out.extend(text.as_bytes());
}

fn mqtt_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}
