//! The soak: hundreds of scripted members join, chat, stall, disconnect and resume against one real
//! server or the nodes of a cluster, and each of them checks every line that it receives.
//!
//! # Layout
//!
//! - [`options`] parses the command line, and [`script`] draws the actions of a client from a seed;
//! - [`shared`] is the state that all clients share. Part of it is the [`sequence`], put together
//!   from what all members received: the present members and the delivered lines follow from it;
//! - [`connection`] is one connection, and [`check`] checks each line that it receives;
//! - [`member`] is a member over several connections, and [`reconnect`] joins and resumes;
//! - [`actions`] has the actions of scripted members, [`special_members`] the scripts of the other
//!   members, and [`bad_client`] the clients that do not use the protocol;
//! - [`monitor`] starts and kills a server and measures what it uses;
//! - [`servers`] are one such server, or the nodes of a cluster;
//! - [`run`] runs everything. At a checkpoint, all members are idle and their views are compared.
//!   Between checkpoints, a server may be killed;
//! - [`harness`] is shared with the other benches.
//!
//! A seed repeats the script but not the timing, so that each run finds other interleavings.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a soak with an error in its own tables must stop at once"
)]

mod actions;
mod bad_client;
mod check;
mod connection;
#[path = "../harness/mod.rs"]
mod harness;
mod member;
mod monitor;
mod options;
mod reconnect;
mod run;
mod script;
mod sequence;
mod servers;
mod shared;
mod special_members;

use std::process::ExitCode;

use crate::harness::cli;
use crate::options::{HELP, Options};

fn main() -> ExitCode {
    cli::run("soak", HELP, Options::parse(), |options| {
        println!(
            "soak: seed {}, {} members, {} servers, {:?}",
            options.seed, options.members, options.nodes, options.duration
        );
        let summary = run::run(&options)
            .map_err(|error| format!("FAILED, seed {}: {error}", options.seed))?;
        println!("{summary}");
        Ok::<(), String>(())
    })
}
