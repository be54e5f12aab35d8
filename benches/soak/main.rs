//! The soak: hundreds of scripted members who come, go, talk, stall, are cut off and come back,
//! against one real server, and every promise checked at each of them.
//!
//! # Layout
//!
//! - [`options`] reads the command line; [`script`] draws what each member does from a seed;
//! - [`shared`] is what all share, and in it [`sequence`] is the room's sequence as all members
//!   together saw it: who is here, and which lines were said, follows from that alone;
//! - [`connection`] is one connection, and [`check`] what must be true of each line that comes over it;
//!   [`member`] is who uses one link after the other, [`comeback`] how it finds out what it missed
//!   and what it has to say again; [`execute`] is what members do, and [`visitor`] what those do
//!   who are none;
//! - [`watch`] starts and kills the server, and samples what it takes;
//! - [`run`] has all of that happen, with a quiet point now and then at which the tables of
//!   everybody are compared, and with a `kill -9` in between.
//!
//! A seed repeats the script, not the timing: what the kernel and the server make of it differs
//! from run to run, and that is the point.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a soak that is wrong about its own tables is to stop at once, not to go on"
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
mod shared;

use std::process::ExitCode;

use crate::options::{HELP, Options};

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("soak: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if options.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if !options.bench {
        println!("soak: nothing to test; `cargo bench` runs it");
        return ExitCode::SUCCESS;
    }
    println!("soak: seed {}, {} members, {:?}", options.seed, options.members, options.time);
    match run::run(&options) {
        Ok(totals) => {
            println!("{totals}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("soak: FAILED, seed {}: {error}", options.seed);
            ExitCode::FAILURE
        }
    }
}
