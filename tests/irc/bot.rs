//! An IRC client with the crate `irc`. Arguments, input and output are those of bot.py.

use std::env;

use futures::StreamExt;
use irc::client::Client;
use irc::client::data::Config;
use irc::proto::{Capability, Command, Message, Response};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

const CHANNEL: &str = "#smol";

/// Returns a line for a message, if it is one of those that are shown.
fn describe(message: &Message) -> Option<String> {
    let name = message.source_nickname().unwrap_or_default();
    let text = match &message.command {
        Command::PRIVMSG(_, text) => match text.strip_prefix("\u{1}ACTION ") {
            Some(text) => format!("* {name} {}", text.trim_end_matches('\u{1}')),
            None => format!("<{name}> {text}"),
        },
        Command::NICK(to) => format!("{name} is now known as {to}"),
        Command::JOIN(..) => format!("{name} has joined"),
        Command::QUIT(_) => format!("{name} has quit"),
        _ => return None,
    };
    let mut tags = message.tags.iter().flatten();
    let time = tags.find(|tag| tag.0 == "time").and_then(|tag| tag.1.clone());
    Some(format!("{} {text}", time.unwrap_or_default().replace('T', " ")))
}

/// Sends what a command says.
fn run(client: &Client, line: &str) -> irc::error::Result<()> {
    let (command, text) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "/me" => client.send_action(CHANNEL, text),
        "/msg" => {
            let (name, text) = text.split_once(' ').unwrap_or((text, ""));
            client.send_privmsg(name, text)
        }
        "/nick" => client.send(Command::NICK(text.to_owned())),
        "/quit" => client.send_quit(text),
        _ => client.send_privmsg(CHANNEL, line),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> irc::error::Result<()> {
    let mut arguments = env::args().skip(1);
    let server = arguments.next();
    let port = arguments.next().and_then(|port| port.parse().ok());
    let (nickname, password) = (arguments.next(), arguments.next());
    let config = Config { server, port, nickname, password, ..Config::default() };
    let mut client = Client::from_config(config).await?;
    client.send_cap_req(&[Capability::ServerTime])?;
    client.identify()?;
    let mut messages = client.stream()?;
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return Ok(()) };
                let message = message?;
                if matches!(message.command, Command::Response(Response::RPL_WELCOME, _)) {
                    client.send_join(CHANNEL)?;
                }
                if let Some(line) = describe(&message) {
                    println!("{line}");
                }
            }
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                run(&client, &line)?;
            }
        }
    }
}
