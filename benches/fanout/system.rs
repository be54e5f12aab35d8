//! The systems: how each one starts, how a member joins, and how a payload is framed. The load
//! generator uses nothing else of a system.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::harness::clients::SMOLCHAT_WELCOME;
use crate::harness::server::{Server, smolchatd};
use crate::{floor, naive, peers};

/// First argument with which this program runs the floor.
const SERVE_FLOOR: &str = "--serve-floor";
/// First argument with which this program runs the naive room.
const SERVE_NAIVE: &str = "--serve-naive";

/// A server that is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// smolchatd.
    Smolchat,
    /// The cheapest possible room.
    Floor,
    /// A room like smol's chat example.
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
    /// The systems of `make bench`. Smolchat is first: the floor uses the length of its frames.
    pub const OWN: [Self; 3] = [Self::Smolchat, Self::Floor, Self::Naive];
    /// The systems that `--peers` adds.
    pub const PEERS: [Self; 4] = [Self::Redis, Self::Ngircd, Self::Mosquitto, Self::Nats];

    /// Returns the name on the command line and in the report.
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

    /// Returns the path of the program, if it is on this machine.
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

    /// Starts the server on a free port of the loopback address.
    pub fn start(self, program: &Path) -> io::Result<Server> {
        match self {
            Self::Smolchat => {
                let mut command = smolchatd(program);
                command.args(["--rate", "0", "--max-clients", "20000", "--log", "error"]);
                Server::spawn(command)
            }
            Self::Floor | Self::Naive => {
                let mut command = Command::new(program);
                command.arg(if self == Self::Floor { SERVE_FLOOR } else { SERVE_NAIVE });
                Server::spawn(command)
            }
            Self::Redis => peers::redis(program),
            Self::Ngircd => peers::ngircd(program),
            Self::Mosquitto => peers::mosquitto(program),
            Self::Nats => peers::nats(program),
        }
    }

    /// Returns the bytes that a member sends to join. `history` is the number of earlier lines that
    /// it requests, if the system has any.
    pub fn join_request(self, member: usize, history: usize) -> Vec<u8> {
        match self {
            Self::Smolchat => {
                format!("{{\"hello\":{{\"name\":\"m{member}\",\"history\":{history}}}}}\n")
                    .into_bytes()
            }
            Self::Floor | Self::Naive => Vec::new(),
            // Version 3 of the protocol: before it, a subscriber must not publish.
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

    /// Returns the part of the server's answer that means that a member has joined.
    pub fn join_reply(self) -> &'static [u8] {
        match self {
            Self::Smolchat => SMOLCHAT_WELCOME,
            Self::Floor | Self::Naive => b"+\n",
            Self::Redis => b"room\r\n:1\r\n",
            Self::Ngircd => b" 366 ",
            Self::Mosquitto => b"\x90\x03\x00\x01\x00",
            Self::Nats => b"PONG\r\n",
        }
    }

    /// Returns how many members may join at the same time, limited by the listen backlog.
    pub fn join_window(self) -> usize {
        match self {
            Self::Ngircd => 8,
            Self::Mosquitto => 64,
            _ => 256,
        }
    }

    /// Returns the largest room that is filled in acceptable time.
    pub fn max_members(self) -> usize {
        match self {
            // Each new member receives the names of all members.
            Self::Ngircd => 2_000,
            _ => usize::MAX,
        }
    }

    /// Appends a payload in the framing in which a member sends it.
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

    /// Returns whether a sender receives its own lines.
    pub fn echoes_to_sender(self) -> bool {
        self != Self::Ngircd
    }
}

/// Runs a baseline server if `argument` asks for one. Returns only if it does not, or after an
/// error.
pub fn run_baseline(argument: &str) -> io::Result<()> {
    let serve = match argument {
        SERVE_FLOOR => floor::serve,
        SERVE_NAIVE => naive::serve,
        _ => return Ok(()),
    };
    // Without it, this process would outlive a bench that is killed.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    serve()
}

/// Returns the length of smolchat's frame for a payload, newline included. The floor uses it if no
/// frame was measured.
pub fn smolchat_frame_len(payload: usize) -> usize {
    let around = "{'data_source':'m17','data':'','kind':'chat','seq':12345,'time':1790000000000}\n";
    around.len() + payload
}

/// Returns CONNECT of MQTT 3.1.1, with a clean session and no keep-alive, and SUBSCRIBE with
/// quality of service 0.
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
