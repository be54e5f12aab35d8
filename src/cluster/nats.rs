//! The calls of NATS JetStream that the engine needs.
//!
//! The snapshots are in a stream of their own. So the numbers in the stream of the log are
//! consecutive, and a hole in them is a loss.

mod creation;
mod stream_settings;

use std::error::Error;
use std::fmt::Display;
use std::future::IntoFuture as _;
use std::io;
use std::time::Duration;

use async_channel::Sender;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{Config, DiscardPolicy, LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr, connection};
use futures_lite::StreamExt as _;
use tokio::time::timeout;

use super::config::ClusterConfig;
use super::engine::{EngineEvent, read_file};
use super::entry::MAX_ENTRY;
use super::epoch::StreamInfo;
use super::login::Login;
use super::replica::LogMessage;
use super::snapshot::{Assembler, EncodedSnapshot, Manifest, PART};
use stream_settings::setting_differences;

/// The wait for an answer of a NATS server.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The wait for the acknowledgement of an entry. A server without a leader gives none, so this adds to
/// the pause after an election.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);
/// The time between two pings on a silent connection. After two without answer, it is closed.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// The waits between two attempts to connect.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);
/// The time after which a NATS server removes a reader that is gone.
const READER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most messages on the way from a NATS server: 4 MiB.
const READ_AHEAD: usize = 64;

/// The reason why a call failed, for the log.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// A connection to NATS, with the names of the streams of one room.
#[derive(Clone, Debug)]
pub(super) struct Nats {
    context: Context,
    client: Client,
    config: ClusterConfig,
}

/// The messages of the log from some position on.
pub(super) struct LogReader {
    messages: pull::Stream,
}

/// Returns whether a text is the address of a server.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<ServerAddr>().is_ok()
}

/// Checks that a text is a file with credentials.
pub(super) fn check_credentials(text: &str) -> io::Result<()> {
    Login::from_file(text).and_then(|login| log_in(ConnectOptions::new(), login)).map(drop)
}

/// Checks that a text is a file with certificates.
pub(super) fn check_certificates(text: &str) -> io::Result<()> {
    let is_certificate = text.contains("-----BEGIN CERTIFICATE-----");
    is_certificate.then_some(()).ok_or_else(|| io::Error::other("no certificate in PEM form"))
}

impl Nats {
    /// Connects to one of the servers. Sends each change of the connection from then on.
    pub(super) async fn connect(
        config: ClusterConfig,
        changes: Sender<EngineEvent>,
    ) -> Result<Self, Failure> {
        let mut options = ConnectOptions::new()
            .name(format!("smolchatd {}", config.node))
            .connection_timeout(TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| {
                let factor = 1 << attempts.saturating_sub(1).min(8);
                (RECONNECT_MIN * factor).min(RECONNECT_MAX)
            })
            // Only the servers that the settings name: others may not be reachable from here.
            .ignore_discovered_servers()
            .event_callback(move |event| on_connection_event(event, changes.clone()));
        let servers: Vec<ServerAddr> =
            config.servers.iter().map(|server| server.parse()).collect::<Result<_, _>>()?;
        if let Some(file) = &config.credentials {
            let login = read_file(file).and_then(|text| Login::from_file(&text));
            options = login.and_then(|login| log_in(options, login)).map_err(|error| {
                format!("cannot read the credentials in {}: {error}", file.display())
            })?;
        } else if let Some(login) = servers.iter().find_map(login_of) {
            // `async_nats` ignores the credentials in an address.
            options = log_in(options, login)?;
        }
        if let Some(file) = &config.tls_ca {
            options = options.add_root_certificates(file.clone()).require_tls(true);
        }
        let client = options.connect(servers.as_slice()).await?;
        let context =
            ContextBuilder::new().timeout(TIMEOUT).ack_timeout(TIMEOUT).build(client.clone());
        Ok(Nats { context, client, config })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == connection::State::Connected
    }

    /// Returns whether several servers have the log.
    pub(super) fn is_replicated(&self) -> bool {
        self.config.replicas > 1
    }

    /// Returns whether the streams can be on several servers.
    fn is_clustered(&self) -> bool {
        self.is_replicated() || !self.client.server_info().connect_urls.is_empty()
    }

    async fn has_streams(&self) -> Result<bool, Failure> {
        let snapshots = self.stream_info(self.snapshot_stream()).await?;
        Ok(snapshots.is_some() && self.log_info().await?.is_some())
    }

    /// Returns the stream of the log, and its state. The stream is created if there is none.
    async fn open_log(&self) -> Result<StreamInfo, Failure> {
        self.open_stream(&self.snapshot_stream(), self.snapshot_subject(">"), PART).await?;
        self.open_stream(&self.config.room, self.log_subject(), MAX_ENTRY).await?;
        // Nodes that create the stream at the same time can get different answers.
        self.log_info().await?.ok_or_else(|| "the stream is gone".into())
    }

    /// Returns the state of the stream of the log, or `None` if there is no such stream.
    pub(super) async fn log_info(&self) -> Result<Option<StreamInfo>, Failure> {
        self.stream_info(self.config.room.clone()).await
    }

    async fn stream_info(&self, name: String) -> Result<Option<StreamInfo>, Failure> {
        use jetstream::context::GetStreamErrorKind::JetStream;
        match self.context.get_stream(name).await {
            Ok(stream) => Ok(Some(stream_info(stream.cached_info()))),
            Err(error) => match error.kind() {
                JetStream(inner)
                    if inner.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Publishes an entry, and returns its number. An entry that failed may be in the log.
    pub(super) async fn publish(&self, bytes: &[u8]) -> Result<u64, Failure> {
        if !self.is_connected() {
            // `async_nats` would keep the entry, and send it late.
            return Err("no connection".into());
        }
        let answer = self.context.publish(self.log_subject(), bytes.to_vec().into()).await?;
        Ok(timeout(ACK_TIMEOUT, answer.into_future()).await??.sequence)
    }

    /// Reads the log from a number on.
    pub(super) async fn read(&self, from: u64) -> Result<LogReader, Failure> {
        let stream = self.context.get_stream_no_info(&self.config.room).await?;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            inactive_threshold: READER_TIMEOUT,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = stream.create_consumer(config).await?;
        let messages = consumer.stream().max_messages_per_batch(READ_AHEAD).messages().await?;
        Ok(LogReader { messages })
    }

    /// Writes a snapshot, its manifest last, and deletes entries and snapshots that are no longer
    /// needed.
    pub(super) async fn write_snapshot(
        &self,
        snapshot: &EncodedSnapshot,
        log: StreamInfo,
    ) -> Result<(), Failure> {
        let stream = self.context.get_stream_no_info(self.snapshot_stream()).await?;
        let before = self.last_manifest(&stream, log.created).await?;
        let mut first = None;
        for (index, part) in snapshot.parts().enumerate() {
            let subject = self.snapshot_subject(format!("part.{}.{index}", snapshot.id));
            let answer = self.context.publish(subject, part.to_vec().into()).await?.await?;
            first.get_or_insert(answer.sequence);
        }
        let manifest = snapshot.manifest(log.created, first.unwrap_or_default(), before);
        let bytes = serde_json::to_vec(&manifest)?;
        self.context.publish(self.snapshot_subject("manifest"), bytes.into()).await?.await?;
        // Not an error: the snapshot is stored, and the next one deletes the rest.
        if let Err(error) = self.purge(&stream, &manifest).await {
            log::warn!("cluster: cannot delete old entries: {error}");
        }
        Ok(())
    }

    /// Deletes the part of the log that is in the previous snapshot, and all older snapshots.
    async fn purge(&self, snapshots: &Stream<()>, manifest: &Manifest) -> Result<(), Failure> {
        let Some(previous) = &manifest.previous else { return Ok(()) };
        let log = self.context.get_stream_no_info(&self.config.room).await?;
        let after = previous.position.saturating_add(1);
        for (stream, first) in [(&log, after), (snapshots, previous.first)] {
            // NATS takes 1 for all messages, also those after it.
            if first > 1 {
                stream.purge().sequence(first).await?;
            }
        }
        Ok(())
    }

    /// Reads the last snapshot of a log, or the one before if the last is damaged.
    pub(super) async fn read_snapshot(&self, log: StreamInfo) -> Result<Option<Vec<u8>>, Failure> {
        let stream = self.context.get_stream_no_info(self.snapshot_stream()).await?;
        let Some((_, manifest)) = self.last_manifest(&stream, log.created).await? else {
            return Ok(None);
        };
        match self.read_parts(&stream, &manifest).await {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) => log::warn!("cluster: snapshot {} is not readable: {error}", manifest.id),
        }
        let Some(previous) = manifest.previous else { return Ok(None) };
        let message = stream.get_raw_message(previous.manifest).await?;
        let manifest = Manifest::decode(&message.payload, log.created)?;
        self.read_parts(&stream, &manifest).await.map(Some)
    }

    /// Returns the last manifest of the log that was created at `created`, with its number.
    async fn last_manifest(
        &self,
        stream: &Stream<()>,
        created: i64,
    ) -> Result<Option<(u64, Manifest)>, Failure> {
        let subject = self.snapshot_subject("manifest");
        let message = match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        match Manifest::decode(&message.payload, created) {
            Ok(manifest) => Ok(Some((message.sequence, manifest))),
            Err(error) => {
                log::warn!("cluster: the last snapshot cannot be used: {error}");
                Ok(None)
            }
        }
    }

    async fn read_parts(
        &self,
        stream: &Stream<()>,
        manifest: &Manifest,
    ) -> Result<Vec<u8>, Failure> {
        let mut assembler = Assembler::new(manifest.clone());
        for index in 0..manifest.parts {
            let subject = self.snapshot_subject(format!("part.{}.{index}", manifest.id));
            let part = stream.get_last_raw_message_by_subject(&subject).await?;
            assembler.push(&part.payload)?;
        }
        Ok(assembler.finish()?)
    }

    async fn open_stream(
        &self,
        name: &str,
        subject: String,
        max_message: usize,
    ) -> Result<Stream, Failure> {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subject],
            num_replicas: self.config.replicas,
            max_message_size: i32::try_from(max_message).unwrap_or(i32::MAX),
            // A full stream refuses entries. The default deletes the oldest.
            discard: DiscardPolicy::New,
            deny_delete: true,
            ..Config::default()
        };
        let stream = self.context.get_or_create_stream(config.clone()).await?;
        let found = &stream.cached_info().config;
        let differences = setting_differences(found, &config).join(", ");
        if !differences.is_empty() {
            return Err(format!("the stream {name} has other settings: {differences}").into());
        }
        if found.num_replicas < config.num_replicas {
            log::warn!(
                "cluster: the servers keep {} copies of the stream {name} instead of {}",
                found.num_replicas,
                config.num_replicas
            );
        }
        Ok(stream)
    }

    fn log_subject(&self) -> String {
        format!("smolchat.{}.log", self.config.room)
    }

    fn snapshot_stream(&self) -> String {
        format!("{}_SNAPSHOTS", self.config.room)
    }

    fn snapshot_subject(&self, rest: impl Display) -> String {
        format!("smolchat.{}.snapshot.{rest}", self.config.room)
    }
}

impl LogReader {
    /// Waits for the next message.
    pub(super) async fn next(&mut self) -> Result<LogMessage, Failure> {
        let message = self.messages.next().await.ok_or("NATS closed the reader")??;
        let info = message.info()?;
        let nanos = info.published.unix_timestamp_nanos();
        Ok(LogMessage {
            seq: info.stream_sequence,
            unix_ms: u64::try_from(nanos / 1_000_000).unwrap_or(0),
            bytes: message.payload.to_vec().into(),
        })
    }
}

fn login_of(server: &ServerAddr) -> Option<Login> {
    Some(Login::from_address(server.username()?, server.password()))
}

fn log_in(options: ConnectOptions, login: Login) -> io::Result<ConnectOptions> {
    match login {
        Login::UserAndPassword(user, password) => Ok(options.user_and_password(user, password)),
        Login::Token(token) => Ok(options.token(token)),
        Login::Jwt(text) => options.credentials(&text),
    }
}

async fn on_connection_event(event: async_nats::Event, changes: Sender<EngineEvent>) {
    let is_connected = match event {
        async_nats::Event::Connected => true,
        async_nats::Event::Disconnected => false,
        other => return log::debug!("cluster: {other}"),
    };
    // Fails only if the server ends.
    let _ = changes.send(EngineEvent::Connection(is_connected)).await;
}

fn stream_info(info: &jetstream::stream::Info) -> StreamInfo {
    let nanos = info.created.unix_timestamp_nanos();
    StreamInfo {
        created: i64::try_from(nanos).unwrap_or(0),
        first: info.state.first_sequence,
        last: info.state.last_sequence,
    }
}
