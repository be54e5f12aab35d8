//! The systems: how each one starts, how a member joins, and how a payload is framed. The load
//! generator uses nothing else of a system.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::harness::clients::SMOLCHAT_WELCOME;
use crate::harness::server::{Server, smolchatd};
use crate::harness::websocket;
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
    /// smolchatd, whose members are connected over WebSocket.
    SmolchatWebSocket,
    /// smolchatd, whose members are IRC clients.
    SmolchatIrc,
    /// smolchatd, whose members speak TLS.
    #[cfg(feature = "tls")]
    SmolchatTls,
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
    /// A room on `ws`, the WebSocket library of Node.
    NodeWs,
    /// Mosquitto, one topic, whose members are connected over WebSocket.
    MosquittoWebSocket,
}

impl System {
    /// The systems of `make bench`. Smolchat is first: the floor uses the length of its frames.
    pub const OWN: &[Self] = &[
        Self::Smolchat,
        Self::SmolchatWebSocket,
        Self::SmolchatIrc,
        #[cfg(feature = "tls")]
        Self::SmolchatTls,
        Self::Floor,
        Self::Naive,
    ];
    /// The systems that `--peers` adds.
    pub const PEERS: &[Self] = &[
        Self::Redis,
        Self::Ngircd,
        Self::Mosquitto,
        Self::Nats,
        Self::NodeWs,
        Self::MosquittoWebSocket,
    ];

    /// Returns the name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smolchat => "smolchat",
            Self::SmolchatWebSocket => "smolchat-ws",
            Self::SmolchatIrc => "smolchat-irc",
            #[cfg(feature = "tls")]
            Self::SmolchatTls => "tls",
            Self::Floor => "floor",
            Self::Naive => "naive",
            Self::Redis => "redis",
            Self::Ngircd => "ngircd",
            Self::Mosquitto => "mosquitto",
            Self::Nats => "nats",
            Self::NodeWs => "node-ws",
            Self::MosquittoWebSocket => "mosquitto-ws",
        }
    }

    /// Returns whether the server of this build has the system.
    pub fn is_built(self) -> bool {
        let is_web = self == Self::SmolchatWebSocket;
        let is_irc = self == Self::SmolchatIrc;
        (cfg!(feature = "web") || !is_web) && (cfg!(feature = "irc") || !is_irc)
    }

    /// Returns whether this is smolchatd.
    pub fn is_smolchat(self) -> bool {
        match self {
            Self::Smolchat | Self::SmolchatWebSocket | Self::SmolchatIrc => true,
            #[cfg(feature = "tls")]
            Self::SmolchatTls => true,
            _ => false,
        }
    }

    /// Returns whether a member can request lines that were sent before it joined.
    pub fn has_history(self) -> bool {
        self.is_smolchat() && !matches!(self, Self::SmolchatIrc)
    }

    /// Returns the certificate of the server in PEM, if its members speak TLS.
    #[cfg(feature = "tls")]
    pub fn certificate(self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::SmolchatTls => std::fs::read(certificate_path()).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns the highest CPU time of a delivery, as a multiple of that of a plain one, for the
    /// systems that are measured in turn with it.
    pub fn max_ratio(self) -> Option<f64> {
        match self {
            Self::SmolchatWebSocket => Some(1.05),
            Self::SmolchatIrc => Some(1.1),
            _ => None,
        }
    }

    /// Returns the path of the program, if it is on this machine.
    pub fn program(self, smolchatd: Option<&Path>) -> Option<PathBuf> {
        match self {
            Self::Smolchat | Self::SmolchatWebSocket | Self::SmolchatIrc => {
                smolchatd.filter(|path| path.is_file()).map(Path::to_owned)
            }
            #[cfg(feature = "tls")]
            Self::SmolchatTls => Self::Smolchat.program(smolchatd),
            Self::Floor | Self::Naive => env::current_exe().ok(),
            Self::Redis => peers::find("redis-server"),
            Self::Ngircd => peers::find("ngircd"),
            Self::Mosquitto | Self::MosquittoWebSocket => peers::find("mosquitto"),
            Self::Nats => peers::find("nats-server"),
            Self::NodeWs => peers::find("node").filter(|_| peers::has_node_package("ws")),
        }
    }

    /// Starts the server on a free port of the loopback address.
    pub fn start(self, program: &Path) -> io::Result<Server> {
        match self {
            Self::Smolchat | Self::SmolchatWebSocket => Server::spawn(unlimited(program)),
            Self::SmolchatIrc => {
                let mut command = unlimited(program);
                command.args(["--irc", "127.0.0.1:0"]);
                Server::spawn_and_find(command, "listening for IRC on ")
            }
            #[cfg(feature = "tls")]
            Self::SmolchatTls => {
                let mut command = unlimited(program);
                command.args(["--plain", "never", "--tls", &certificate_path()]);
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
            Self::MosquittoWebSocket => peers::mosquitto_websockets(program),
            Self::Nats => peers::nats(program),
            Self::NodeWs => peers::node_ws(program),
        }
    }

    /// Returns the bytes that a member sends to join. `history` is the number of earlier lines that
    /// it requests, if the system has any.
    pub fn join_request(self, member: usize, history: usize) -> Vec<u8> {
        match self {
            Self::Smolchat => smolchat_join_request(member, history),
            #[cfg(feature = "tls")]
            Self::SmolchatTls => smolchat_join_request(member, history),
            Self::SmolchatWebSocket => {
                let mut out = websocket::handshake("/ws", "");
                let hello = smolchat_join_request(member, history);
                websocket::write_message(&mut out, websocket::TEXT, &hello);
                out
            }
            Self::Floor | Self::Naive => Vec::new(),
            // Version 3 of the protocol: before it, a subscriber must not publish.
            Self::Redis => b"HELLO 3\r\nSUBSCRIBE room\r\n".to_vec(),
            Self::Ngircd => irc_join_request(member, "#room"),
            Self::SmolchatIrc => irc_join_request(member, "#smol"),
            Self::Mosquitto => mqtt_join_request(&format!("m{member}")),
            Self::Nats => {
                b"CONNECT {\"verbose\":false,\"echo\":true}\r\nSUB room 1\r\nPING\r\n".to_vec()
            }
            Self::NodeWs => websocket::handshake("/", ""),
            Self::MosquittoWebSocket => {
                let mut out = websocket::handshake("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n");
                let request = mqtt_join_request(&format!("m{member}"));
                websocket::write_message(&mut out, websocket::BINARY, &request);
                out
            }
        }
    }

    /// Returns the part of the server's answer that means that a member has joined.
    pub fn join_reply(self) -> &'static [u8] {
        match self {
            Self::Smolchat | Self::SmolchatWebSocket => SMOLCHAT_WELCOME,
            #[cfg(feature = "tls")]
            Self::SmolchatTls => SMOLCHAT_WELCOME,
            Self::Floor | Self::Naive => b"+\n",
            Self::Redis => b"room\r\n:1\r\n",
            Self::Ngircd | Self::SmolchatIrc => b" 366 ",
            Self::Mosquitto | Self::MosquittoWebSocket => b"\x90\x03\x00\x01\x00",
            Self::Nats => b"PONG\r\n",
            Self::NodeWs => b"\x81\x01+",
        }
    }

    /// Returns how many members may join at the same time, limited by the listen backlog.
    pub fn join_window(self) -> usize {
        match self {
            Self::Ngircd => 8,
            Self::Mosquitto | Self::MosquittoWebSocket => 64,
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
            Self::Smolchat | Self::Floor | Self::Naive => {
                out.extend(payload);
                out.push(b'\n');
            }
            #[cfg(feature = "tls")]
            Self::SmolchatTls => Self::Smolchat.encode(payload, out),
            Self::SmolchatWebSocket | Self::NodeWs => {
                websocket::write_message(out, websocket::TEXT, payload);
            }
            Self::Redis => {
                out.extend(b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n");
                out.extend(format!("${length}\r\n").as_bytes());
                out.extend(payload);
                out.extend(b"\r\n");
            }
            Self::Ngircd => irc_message("#room", payload, out),
            Self::SmolchatIrc => irc_message("#smol", payload, out),
            Self::Mosquitto => mqtt_publish(payload, out),
            Self::MosquittoWebSocket => {
                let mut packet = Vec::new();
                mqtt_publish(payload, &mut packet);
                websocket::write_message(out, websocket::BINARY, &packet);
            }
            Self::Nats => {
                out.extend(format!("PUB room {length}\r\n").as_bytes());
                out.extend(payload);
                out.extend(b"\r\n");
            }
        }
    }

    /// Returns whether a sender receives its own lines.
    pub fn echoes_to_sender(self) -> bool {
        !matches!(self, Self::Ngircd | Self::SmolchatIrc)
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

/// Returns a command that starts smolchatd for large rooms and fast senders.
fn unlimited(program: &Path) -> Command {
    let mut command = smolchatd(program);
    command.args(["--rate", "0", "--max-clients", "20000", "--log", "error"]);
    command
}

/// Returns the path of the certificate that smolchatd creates.
#[cfg(feature = "tls")]
fn certificate_path() -> String {
    let name = format!("smolchat-bench-{}.pem", std::process::id());
    env::temp_dir().join(name).display().to_string()
}

fn smolchat_join_request(member: usize, history: usize) -> Vec<u8> {
    format!("{{\"hello\":{{\"name\":\"m{member}\",\"history\":{history}}}}}\n").into_bytes()
}

/// Returns the registration of an IRC client without capabilities, and the join of a channel.
fn irc_join_request(member: usize, channel: &str) -> Vec<u8> {
    format!("NICK m{member}\r\nUSER m 0 * :m\r\nJOIN {channel}\r\n").into_bytes()
}

/// Appends a message of an IRC client.
fn irc_message(channel: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("PRIVMSG {channel} :").as_bytes());
    out.extend(payload);
    out.extend(b"\r\n");
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

/// Appends PUBLISH of MQTT, with quality of service 0.
fn mqtt_publish(payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x30);
    mqtt_length(out, payload.len() + 6);
    mqtt_text(out, "room");
    out.extend(payload);
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
