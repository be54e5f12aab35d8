//! The systems whose members speak TLS 1.3 with AES-128-GCM. They have one certificate.

use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use smolchat::server::edge::tls::Certificate;

use crate::harness::clients::Tls;
use crate::harness::server::{Server, free_port};
use crate::peers;
use crate::system::{System, unlimited};

/// A server whose members speak TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SecureSystem {
    /// smolchatd.
    Smolchat,
    /// smolchatd behind stunnel. Both processes are measured as one.
    Stunnel,
    /// ngIRCd, with GnuTLS.
    Ngircd,
    /// NATS.
    Nats,
}

impl SecureSystem {
    /// Returns the name on the command line and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smolchat => "tls",
            Self::Stunnel => "stunnel",
            Self::Ngircd => "ngircd-tls",
            Self::Nats => "nats-tls",
        }
    }

    /// Returns the system with the same protocol inside of TLS.
    pub fn plain(self) -> System {
        match self {
            Self::Smolchat | Self::Stunnel => System::Smolchat,
            Self::Ngircd => System::Ngircd,
            Self::Nats => System::Nats,
        }
    }

    /// Returns how clients begin TLS.
    pub fn tls(self) -> io::Result<Tls> {
        let certificate = fs::read(certificate_path())?;
        Ok(Tls { certificate, is_after_greeting: self == Self::Nats })
    }

    /// Returns the path of the program, if it is on this machine, with stunnel if that is needed.
    pub fn program(self, smolchatd: Option<&Path>) -> Option<PathBuf> {
        if self == Self::Stunnel {
            peers::find("stunnel4")?;
        }
        self.plain().program(smolchatd)
    }

    /// Returns the largest room that is filled in acceptable time.
    pub fn max_members(self) -> usize {
        match self {
            // Each member has a thread.
            Self::Stunnel => 1_000,
            _ => self.plain().max_members(),
        }
    }

    /// Starts the server on a free port of the loopback address.
    pub fn start(self, program: &Path) -> io::Result<Server> {
        let path = certificate_path();
        if !path.exists() {
            Certificate::open(&path, None).map_err(io::Error::other)?;
            // ngIRCd changes its user before it reads the file.
            fs::set_permissions(&path, Permissions::from_mode(0o644))?;
        }
        let path = path.display();
        match self {
            Self::Smolchat => {
                let mut command = unlimited(program);
                command.args(["--plain", "never", "--tls", &path.to_string()]);
                Server::spawn(command)
            }
            Self::Stunnel => {
                let server = Server::spawn(unlimited(program))?;
                let addr = server.addr;
                let front =
                    peers::spawn_with_config(Path::new("stunnel4"), "stunnel", &[], |port| {
                        format!(
                            "foreground = yes\n\
                         debug = err\n\
                         pid =\n\
                         [chat]\n\
                         accept = 127.0.0.1:{port}\n\
                         connect = {addr}\n\
                         cert = {path}\n"
                        )
                    })?;
                Ok(front.in_front_of(server))
            }
            Self::Ngircd => {
                let plain_port = free_port()?;
                peers::ngircd(program, |port| {
                    (
                        plain_port,
                        format!("[SSL]\nCertFile = {path}\nKeyFile = {path}\nPorts = {port}\n"),
                    )
                })
            }
            Self::Nats => peers::nats(
                program,
                &format!("tls {{ cert_file: \"{path}\", key_file: \"{path}\", timeout: 30 }}\n"),
            ),
        }
    }
}

/// Returns the path of the certificate.
fn certificate_path() -> PathBuf {
    env::temp_dir().join(format!("smolchat-bench-{}.pem", std::process::id()))
}

/// Removes the certificate.
pub fn remove_certificate() {
    // Ignored: there is none if no system with TLS was measured.
    fs::remove_file(certificate_path()).ok();
}
