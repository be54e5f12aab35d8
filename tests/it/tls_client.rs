//! The client over TLS: which keys it trusts, and servers that break off or cheat.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(feature = "editor")]
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use rustix::io::ioctl_fionread;
use rustix::process::Signal;
use serde_json::json;

use crate::common::client_process::ClientProcess;
use crate::common::scripted_server::{self, HEARTBEAT_ANSWER};
#[cfg(feature = "editor")]
use crate::common::scripted_server::{ScriptedServer, refusal};
use crate::common::scripted_tls_server::{
    CA_FILE, CA_FLAG, EXPIRED, Identity, OTHER, SELF_SIGNED, SERVER, ScriptedTlsServer,
    TlsConnection, VERSION_1,
};
#[cfg(feature = "editor")]
use crate::common::terminal::Terminal;
use crate::common::{ChildGuard, TempDir, TestServer, wait_until};

/// Starts a server that answers each line.
fn start_echo(identity: Identity) -> ScriptedTlsServer {
    ScriptedTlsServer::start(
        move |_| identity,
        |mut client| {
            client.welcome("alice");
            client.serve();
        },
    )
}

/// Returns the command of a client without known keys, and with the CA of the tests.
fn command(address: &str, options: &[&str]) -> Command {
    let mut command = ClientProcess::command();
    command.arg(address).args(["--name", "alice"]).args(options).env("SSL_CERT_FILE", CA_FILE);
    command.env_remove("SMOLCHAT_PASSWORD");
    command
}

/// Runs a client that sends one line. Returns the exit code, the output and the errors.
fn send_hello(address: &str, options: &[&str]) -> (i32, String, String) {
    let options = [&["--send", "hello"], options].concat();
    let (code, output, errors) = ClientProcess::run(command(address, &options)).finish();
    (code, output.join("\n"), errors)
}

fn pin(identity: Identity) -> String {
    identity.fingerprint().to_string()
}

#[test]
fn certificate_of_a_ca_is_trusted() {
    let server = start_echo(SERVER);
    let (code, output, errors) = send_hello(&server.address(), &[]);
    assert_eq!((code, &*errors), (0, ""));
    assert!(output.contains("echo hello"), "{output}");
    let by_name = server.address().replace("127.0.0.1", "localhost");
    assert_eq!(send_hello(&by_name, &[]).0, 0);
}

#[test]
fn invalid_certificate_is_refused_with_the_pin() {
    for (identity, reason) in [
        (OTHER, "is for another host"),
        (EXPIRED, "has expired"),
        (SELF_SIGNED, "of no CA"),
        (CA_FLAG, "is not that of a server"),
    ] {
        let server = start_echo(identity);
        let (code, _, errors) = send_hello(&server.address(), &[]);
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains(reason), "{errors}");
        assert!(errors.contains(&format!("pass --tls-pin {}", pin(identity))), "{errors}");
        assert_eq!(server.connection_count(), 1, "no retry");
        assert_eq!(send_hello(&server.address(), &["--tls-pin", &pin(identity)]).0, 0);
    }
}

#[test]
fn certificate_of_version_1_is_named() {
    let server = start_echo(VERSION_1);
    let (code, _, errors) = send_hello(&server.address(), &["--no-reconnect"]);
    assert!(code == 1 && errors.contains("expected X.509 version 3"), "{errors}");
}

#[test]
fn pipe_and_bot_refuse_an_unknown_key() {
    for options in [&[][..], &["--json"], &["--exec", "cat"]] {
        let server = start_echo(SELF_SIGNED);
        let mut client = ClientProcess::run(command(&server.address(), options));
        client.wait_for_stderr("--tls-pin SHA256:");
        assert_eq!(client.wait(), Some(1));
        assert_eq!(server.connection_count(), 1);
    }
}

#[test]
fn unreadable_ca_file_is_named() {
    let server = start_echo(SERVER);
    let mut command = command(&server.address(), &["--send", "hello"]);
    command.env("SSL_CERT_FILE", "/dev/null/none");
    let (code, _, errors) = ClientProcess::run(command).finish();
    assert!(code == 1 && errors.contains("cannot read /dev/null/none"), "{errors}");
}

#[test]
fn pin_is_the_only_trusted_key() {
    let server = start_echo(SERVER);
    // The certificate of the CA does not help.
    let (code, _, errors) = send_hello(&server.address(), &["--tls-pin", &pin(OTHER)]);
    assert_eq!(code, 1);
    assert!(errors.contains(&pin(OTHER)) && errors.contains(&pin(SERVER)), "{errors}");
    assert!(errors.contains("change --tls-pin"), "{errors}");
    assert_eq!(server.connection_count(), 1, "no retry");
    let pins = format!("{},{}", pin(OTHER), pin(SERVER));
    assert_eq!(send_hello(&server.address(), &["--tls-pin", &pins]).0, 0);
}

/// The directories of a client.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Home(TempDir::new());
        fs::create_dir_all(home.known_servers().parent().unwrap()).unwrap();
        home
    }

    fn known_servers(&self) -> PathBuf {
        self.0.path("state/smolchat/known_servers")
    }

    fn send_hello(&self, address: &str, options: &[&str]) -> (i32, String) {
        let mut command = command(address, &["--send", "hello"]);
        command.args(options).env("XDG_STATE_HOME", self.0.path("state"));
        command.env("XDG_CONFIG_HOME", self.0.path("config"));
        let (code, _, errors) = ClientProcess::run(command).finish();
        (code, errors)
    }
}

#[test]
fn known_key_is_trusted_and_a_changed_one_is_not() {
    let (server, home) = (start_echo(SELF_SIGNED), Home::new());
    let text = format!("# mine\n{} {}\n", server.plain_address(), pin(SELF_SIGNED));
    fs::write(home.known_servers(), text).unwrap();
    assert_eq!(home.send_hello(&server.address(), &[]), (0, String::new()));
    let text = format!("# mine\n{} {}\n", server.plain_address(), pin(OTHER));
    fs::write(home.known_servers(), text).unwrap();
    let (code, errors) = home.send_hello(&server.address(), &[]);
    assert_eq!((code, server.connection_count()), (1, 2), "no retry");
    assert!(errors.contains(&pin(OTHER)) && errors.contains(&pin(SELF_SIGNED)), "{errors}");
    let line = format!("delete line 2 of {}", home.known_servers().display());
    assert!(errors.contains(&line), "{errors}");
    // The option takes precedence over the file.
    assert_eq!(home.send_hello(&server.address(), &["--tls-pin", &pin(SELF_SIGNED)]).0, 0);
    fs::write(home.known_servers(), format!("{} SHA256:x\n", server.plain_address())).unwrap();
    let (code, errors) = home.send_hello(&server.address(), &[]);
    assert!(code == 1 && errors.contains("line 1: expected SHA256:"), "{errors}");
}

#[test]
fn config_file_has_address_and_pin() {
    let (server, home) = (start_echo(SELF_SIGNED), Home::new());
    let text = format!("address = {}\ntls-pin = {}\n", server.address(), pin(SELF_SIGNED));
    let config = home.0.path("config/smolchat/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, text).unwrap();
    let run = |options: &[&str]| {
        let mut command = ClientProcess::command();
        command.args(["--send", "hello"]).args(options);
        command.env("XDG_CONFIG_HOME", home.0.path("config")).env("SSL_CERT_FILE", CA_FILE);
        let (code, _, errors) = ClientProcess::run(command).finish();
        (code, errors)
    };
    assert_eq!(run(&[]), (0, String::new()));
    // The pin is not for another server.
    let other = start_echo(SERVER);
    assert_eq!(run(&[&other.address()]), (0, String::new()));
    assert_eq!(run(&["--tls-pin", &pin(OTHER)]).0, 1);
}

#[test]
fn invalid_pin_in_the_config_file_is_an_error() {
    let (server, home) = (start_echo(SERVER), Home::new());
    let config = home.0.path("config/smolchat/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(config, "tls-pin = SHA256:x\n").unwrap();
    let (code, errors) = home.send_hello(&server.address(), &[]);
    assert_eq!((code, server.connection_count()), (2, 0));
    assert!(errors.contains("tls-pin: ") && errors.contains("expected SHA256:"), "{errors}");
}

#[test]
fn key_that_changes_ends_a_session() {
    let (sender, second) = channel();
    let identity = |number| if number == 0 { SELF_SIGNED } else { OTHER };
    let server = ScriptedTlsServer::start(identity, move |mut client| {
        if client.number > 0 {
            return sender.send(()).unwrap();
        }
        client.welcome("alice");
        client.recv();
    });
    let options = ["--tls-pin", &pin(SELF_SIGNED)];
    let mut alice = ClientProcess::run(command(&server.address(), &options));
    alice.write_input("hello\n");
    alice.wait_for_stderr(&format!("found {}", pin(OTHER)));
    assert_eq!(alice.wait(), Some(1));
    assert_eq!(server.connection_count(), 2);
    assert!(second.try_recv().is_err(), "the second handshake was completed");
}

#[test]
fn truncated_stream_is_resumed() {
    let server = ScriptedTlsServer::start(
        |_| SELF_SIGNED,
        |mut client| {
            let hello = client.welcome("alice");
            if client.number > 0 {
                assert_eq!(hello["hello"]["token"], "token 0");
                client.send(r#"{"data_source":"server","data":"resumed","kind":"info"}"#);
                client.serve();
                return;
            }
            let line = r#"{"data_source":"bob","data":"one","kind":"chat","seq":1,"time":1}"#;
            client.send(line);
            let record = client.encrypt(format!("{line}\n").as_bytes());
            client.stream.write_all(&record[..record.len() - 1]).unwrap();
            client.stream.shutdown(Shutdown::Both).unwrap();
        },
    );
    let options = ["--json", "--tls-pin", &pin(SELF_SIGNED)];
    let mut alice = ClientProcess::run(command(&server.address(), &options));
    alice.wait_for_line("\"one\"");
    alice.wait_for_line("resumed");
    let (code, rest, errors) = alice.finish();
    assert_eq!(code, 0, "{errors}");
    assert!(!rest.iter().any(|line| line.contains("\"one\"")), "{rest:?}");
    assert!(errors.contains("the connection was cut off"), "{errors}");
}

#[test]
fn end_of_the_session_is_marked() {
    let (sender, end) = channel();
    let server = ScriptedTlsServer::start(
        |_| SELF_SIGNED,
        move |mut client| {
            client.welcome("alice");
            client.serve();
            sender.send(client.is_closed).unwrap();
        },
    );
    assert_eq!(send_hello(&server.address(), &["--tls-pin", &pin(SELF_SIGNED)]).0, 0);
    assert!(end.recv().unwrap(), "close_notify was received");
}

#[test]
fn keys_may_change_at_any_time() {
    let server = ScriptedTlsServer::start(
        |_| SELF_SIGNED,
        |mut client| {
            client.update_keys();
            client.welcome("alice");
            for number in 0..5 {
                client.update_keys();
                let info =
                    json!({"data_source":"server", "data": format!("<{number}>"), "kind":"info"});
                client.send(&info.to_string());
            }
            client.serve();
        },
    );
    let options = ["--json", "--tls-pin", &pin(SELF_SIGNED)];
    let mut alice = ClientProcess::run(command(&server.address(), &options));
    for number in 0..5 {
        alice.wait_for_line(&format!("<{number}>"));
    }
    alice.write_input("hello\n");
    alice.wait_for_line("echo hello");
    assert_eq!(alice.finish().0, 0);
}

#[test]
fn long_lines_take_many_records() {
    let server = start_echo(SELF_SIGNED);
    let options = ["--json", "--tls-pin", &pin(SELF_SIGNED)];
    let mut alice = ClientProcess::run(command(&server.address(), &options));
    alice.wait_for_line("welcome");
    for number in 0..20 {
        let line = json!({"data": "x".repeat(50_000), "id": format!("n{number}")});
        alice.write_input(&format!("{line}\n"));
    }
    alice.wait_for_line("n19");
    assert_eq!(alice.finish().0, 0);
}

#[test]
fn plain_server_gets_nothing_but_a_handshake() {
    let server = TestServer::start(&[]);
    let address = format!("tls:{}", server.address(0));
    let options = ["--no-reconnect", "--tls-pin", &pin(SELF_SIGNED)];
    let (code, _, errors) = send_hello(&address, &options);
    assert_eq!(code, 1);
    assert!(errors.contains("the server does not speak TLS 1.3"), "{errors}");
    assert_eq!(server.join("bob").members(), ["bob"]);
}

#[test]
fn invalid_records_end_the_connection() {
    let attacks: [fn(&mut TlsConnection); 6] = [
        // A record that is encrypted with other keys.
        |client| client.stream.write_all(&[&[0x17, 3, 3, 0, 32][..], &[7; 32]].concat()).unwrap(),
        // A record over the longest length.
        |client| client.stream.write_all(&[0x17, 3, 3, 0xff, 0xff]).unwrap(),
        // Plain text.
        |client| client.stream.write_all(b"{\"data_source\":\"server\"}\n").unwrap(),
        // A plain alert and a plain handshake after the encryption has begun.
        |client| client.stream.write_all(&[0x15, 3, 3, 0, 2, 1, 0]).unwrap(),
        |client| client.stream.write_all(&[0x16, 3, 3, 0, 4, 0, 0, 0, 0]).unwrap(),
        // A record that is sent twice.
        |client| {
            let record = client.encrypt(b"x");
            client.stream.write_all(&[&record[..], &record].concat()).unwrap();
        },
    ];
    let server = ScriptedTlsServer::start(
        |_| SELF_SIGNED,
        move |mut client| {
            client.welcome("alice");
            attacks[client.number](&mut client);
            client.serve();
        },
    );
    for number in 0..attacks.len() {
        let options = ["--no-reconnect", "--tls-pin", &pin(SELF_SIGNED)];
        let mut alice = ClientProcess::run(command(&server.address(), &options));
        alice.wait();
        let (code, _, errors) = alice.finish();
        assert_eq!(code, 1, "attack {number}");
        assert!(errors.contains("lost the connection to the server: TLS: "), "{number}: {errors}");
    }
    assert_eq!(server.connection_count(), attacks.len());
}

#[test]
fn broken_handshake_is_a_failed_connection() {
    let answers: [&[u8]; 8] = [
        // A ServerHello that is cut off, empty, of a wrong length, or too long.
        &[0x16, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3, 1, 2, 3],
        &[0x16, 3, 3, 0, 4, 2, 0, 0, 0],
        &[0x16, 3, 3, 0xff, 0xff],
        &[0x16, 3, 3, 0, 5, 2, 0xff, 0xff, 0xff, 0],
        // The alert that this version is not supported.
        &[0x15, 3, 3, 0, 2, 2, 70],
        &[0x14, 3, 3, 0, 1, 1, 0x14, 3, 3, 0, 1, 1, 0x14, 3, 3, 0, 1, 1],
        b"SSH-2.0-OpenSSH\r\n",
        &[],
    ];
    let server = ScriptedTlsServer::start_raw(move |number, mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(answers[number]);
    });
    for answer in answers {
        let options = ["--no-reconnect", "--tls-pin", &pin(SELF_SIGNED)];
        let (code, _, errors) = send_hello(&server.address(), &options);
        assert_eq!(code, 1, "{answer:?}: {errors}");
        assert!(errors.contains("cannot connect to tls:"), "{answer:?}: {errors}");
    }
    assert_eq!(server.connection_count(), answers.len());
}

#[test]
fn handshake_that_is_never_finished_times_out() {
    let (sender, streams) = channel::<TcpStream>();
    let server = ScriptedTlsServer::start_raw(move |_, stream| sender.send(stream).unwrap());
    let options = ["--no-reconnect", "--send", "hello", "--tls-pin", &pin(SELF_SIGNED)];
    let mut client = ClientProcess::run(command(&server.address(), &options));
    client.wait_for_stderr("cannot connect to tls:127.0.0.1");
    assert_eq!(client.wait(), Some(1));
    let mut sent = Vec::new();
    streams.recv().unwrap().read_to_end(&mut sent).unwrap();
    assert_eq!(sent[0], 0x16);
    assert!(!sent.windows(5).any(|part| part == b"hello"));
}

/// An `openssl s_server` whose standard input and output are the data of its connection.
struct OpenSsl {
    process: ChildGuard,
    output: BufReader<std::process::ChildStdout>,
    address: String,
    fingerprint: String,
}

impl OpenSsl {
    /// Starts a server with a new key. Returns nothing if there is no `openssl`.
    fn start(dir: &TempDir, key: &[&str]) -> Option<Self> {
        let (key_file, certificate) = (dir.path("key.pem"), dir.path("certificate.pem"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-subj", "/CN=x", "-newkey"]).args(key);
        command.arg("-keyout").arg(&key_file).arg("-out").arg(&certificate);
        command.stderr(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            println!("skipped: there is no openssl");
            return None;
        }
        let der = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der \
                   | openssl sha256 -binary | base64";
        let hash = Command::new("sh").args(["-c", der]).arg(&certificate).output().unwrap();
        let fingerprint = format!("SHA256:{}", String::from_utf8(hash.stdout).unwrap().trim());
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-naccept", "1", "-cert"]);
        command.arg(certificate).arg("-key").arg(key_file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = ChildGuard(command.spawn().unwrap());
        let mut output = BufReader::new(process.0.stdout.take().unwrap());
        let line = read_until(&mut output, "ACCEPT ");
        let port = line.trim().rsplit_once(':').unwrap().1.to_owned();
        let address = format!("tls:127.0.0.1:{port}");
        Some(OpenSsl { process, output, address, fingerprint })
    }

    fn write(&mut self, text: &str) {
        self.process.0.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

fn read_until(output: &mut impl BufRead, part: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "no line with {part:?}");
        if line.contains(part) {
            return line;
        }
    }
}

#[test]
fn openssl_converses_with_the_client() {
    for key in [
        &["rsa:2048"][..],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["ed25519"],
    ] {
        let dir = TempDir::new();
        let Some(mut server) = OpenSsl::start(&dir, key) else { return };
        let options = ["--json", "--tls-pin", &server.fingerprint];
        let mut alice = ClientProcess::run(command(&server.address, &options));
        read_until(&mut server.output, "{\"hello\":{\"name\":\"alice\"");
        server.write(&format!("{}\n{HEARTBEAT_ANSWER}\n", scripted_server::welcome("alice", 0)));
        alice.wait_for_line("welcome");
        alice.write_input("hello\n");
        read_until(&mut server.output, "\"data\":\"hello\"");
        // A change of the keys, which the client has to answer.
        server.write("K\n");
        // It ignores the rest of what it reads at once.
        let stdin = server.process.0.stdin.as_ref().unwrap();
        wait_until("the command is read", || ioctl_fionread(stdin) == Ok(0));
        server.write("{\"data_source\":\"server\",\"data\":\"new keys\",\"kind\":\"info\"}\n");
        alice.wait_for_line("new keys");
        alice.write_input("again\n");
        read_until(&mut server.output, "\"data\":\"again\"");
    }
}

/// Starts a server that closes its connection after a line, and then each new one.
fn start_mortal() -> ScriptedTlsServer {
    ScriptedTlsServer::start(
        |_| SELF_SIGNED,
        |mut client| {
            if client.number == 0 {
                client.welcome("alice");
                client.recv();
            }
        },
    )
}

#[test]
fn other_server_with_an_unknown_key_is_named_once() {
    for options in [&[][..], &["--json"], &["--exec", "echo hello; cat"]] {
        let (first, second, home) = (start_mortal(), start_echo(OTHER), Home::new());
        let line = format!("{} {}\n", first.plain_address(), pin(SELF_SIGNED));
        fs::write(home.known_servers(), line).unwrap();
        let addresses = format!("{},{}", first.address(), second.address());
        let mut command = command(&addresses, options);
        command.env("XDG_STATE_HOME", home.0.path("state"));
        let mut alice = ClientProcess::run(command);
        if options.len() < 2 {
            alice.write_input("hello\n");
        }
        wait_until("two attempts", || second.connection_count() >= 2);
        alice.signal(Signal::TERM);
        let (_, output, errors) = alice.finish();
        let text = output.join("\n") + &errors;
        let expected = format!("pass --tls-pin {}", pin(OTHER));
        assert_eq!(text.matches(&expected).count(), 1, "{text}");
        assert!(text.contains(&format!("the key of {} is not known", second.address())), "{text}");
    }
}

#[test]
#[cfg(feature = "editor")]
fn key_of_another_server_is_asked_for() {
    let (first, second, home) = (start_mortal(), start_echo(OTHER), Home::new());
    let line = format!("{} {}\n", first.plain_address(), pin(SELF_SIGNED));
    fs::write(home.known_servers(), &line).unwrap();
    let addresses = format!("{},{}", first.address(), second.address());
    let mut terminal = Terminal::prepare(&addresses, "alice", &[]);
    terminal.command.env("SSL_CERT_FILE", CA_FILE);
    terminal.command.env("XDG_STATE_HOME", home.0.path("state"));
    // The first server ends the connection after the `/who` of the client itself.
    let mut alice = terminal.start_without_prompt();
    alice.wait_for_text("trust this key from now on? yes or no:");
    alice.wait_for_text(&pin(OTHER));
    assert_eq!(fs::read_to_string(home.known_servers()).unwrap(), line);
    alice.type_keys("yes\r");
    alice.wait_for_text("up to date again");
    alice.type_keys("one\r");
    alice.wait_for_text("echo one");
    let line = format!("{line}{} {}\n", second.plain_address(), pin(OTHER));
    assert_eq!(fs::read_to_string(home.known_servers()).unwrap(), line);
}

#[test]
#[cfg(feature = "editor")]
fn unknown_key_is_asked_for_once() {
    let server = start_echo(SELF_SIGNED);
    let mut terminal = Terminal::prepare(&server.address(), "alice", &[]);
    terminal.command.env("SSL_CERT_FILE", CA_FILE);
    let mut alice = terminal.start_without_prompt();
    alice.wait_for_text("yes or no:");
    alice.type_keys("y\n");
    alice.wait_for_text("please type yes or no:");
    alice.type_keys("yes\n");
    alice.wait_for_input(">", 2);
    assert_eq!(server.connection_count(), 2);
    let path = alice.input_history_path().with_file_name("known_servers");
    let line = format!("{} {}\n", server.plain_address(), pin(SELF_SIGNED));
    assert_eq!(fs::read_to_string(&path).unwrap(), line);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    alice.type_keys("/quit\n");
    assert!(alice.wait().success());

    let home = Home::new();
    fs::write(home.known_servers(), line).unwrap();
    let mut terminal = Terminal::prepare(&server.address(), "alice", &[]);
    terminal.command.env("XDG_STATE_HOME", home.0.path("state"));
    drop(terminal.start());
}

#[test]
#[cfg(feature = "editor")]
fn refused_key_ends_the_client() {
    for (keys, screen) in [("no\n", "is not known"), ("\u{4}", "cancelled")] {
        let server = start_echo(SELF_SIGNED);
        let mut terminal = Terminal::prepare(&server.address(), "alice", &[]);
        terminal.command.env("SSL_CERT_FILE", CA_FILE);
        let mut alice = terminal.start_without_prompt();
        alice.wait_for_text("yes or no:");
        alice.type_keys(keys);
        assert_eq!(alice.wait().code(), Some(1));
        alice.wait_for_text(screen);
        assert_eq!(server.connection_count(), 1);
        assert!(!alice.input_history_path().with_file_name("known_servers").exists());
    }
}

#[test]
#[cfg(feature = "editor")]
fn password_is_asked_for_without_echo() {
    const PASSWORD: &str = "sesame";
    let server = ScriptedServer::start(|connection| connection.serve_with_password(PASSWORD));
    let mut alice = Terminal::prepare(server.address(), "alice", &[]).start_without_prompt();
    alice.wait_for_text("the server needs a password");
    alice.wait_for_text("password:");
    alice.type_keys("wrong\r");
    alice.wait_for_text("does not accept the password");
    alice.type_keys("sesamx\u{7f}e\r");
    alice.wait_for_input(">", 2);
    assert_eq!(server.connection_count(), 3);
    alice.type_keys("/op 0123456789abcdef\rhi\r");
    alice.wait_for_text("hi");
    alice.type_keys("/quit\r");
    assert!(alice.wait().success());
    let history = fs::read_to_string(alice.input_history_path()).unwrap();
    assert_eq!(history, "hi\n/quit\n");
    let raw = alice.raw_output();
    assert!(!raw.contains(PASSWORD) && !raw.contains("wrong"), "{raw}");

    let mut alice = Terminal::prepare(server.address(), "alice", &[]).start_without_prompt();
    alice.wait_for_text("password:");
    alice.type_keys("se\u{3}");
    assert_eq!(alice.wait().code(), Some(1));
    assert!(alice.has_original_modes());
}

#[test]
#[cfg(feature = "editor")]
fn connect_command_asks_for_key_and_password() {
    let server = ScriptedTlsServer::start(
        |_| SELF_SIGNED,
        |mut client| {
            let hello = client.recv().unwrap();
            client.recv();
            if hello["hello"]["password"] != "sesame" {
                client.send(&refusal("password-required"));
                while client.recv().is_some() {}
                return;
            }
            client.accept(&hello, "alice");
            client.serve();
        },
    );
    let (_first, _bob, mut alice) = Terminal::start_with_bob(&[]);
    let address = server.address();
    alice.type_keys("a draft");
    alice.type_keys("\u{15}");
    alice.type_keys(&format!("/connect {address}\r"));
    alice.wait_for_text("trust this key from now on? yes or no:");
    alice.type_keys("no\r");
    alice.wait_for_text("not connected; you stay at");
    alice.type_keys(&format!("/connect {address}\r"));
    alice.wait_for_screen("a second question", |screen| {
        screen.contents().matches("yes or no:").count() == 1
    });
    alice.type_keys("yes\r");
    alice.wait_for_text("password:");
    alice.type_keys("sesame\r");
    alice.wait_for_screen("the welcome", |screen| {
        screen.contents().trim_end().ends_with("welcome\nalice>")
    });
    alice.type_keys("over TLS\r");
    alice.wait_for_text("echo over TLS");
    let history = fs::read_to_string(alice.input_history_path()).unwrap();
    assert!(!history.contains("sesame") && !history.contains("yes"), "{history}");
    assert!(!alice.raw_output().contains("sesame"));
}
