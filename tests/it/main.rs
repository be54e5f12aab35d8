//! Integration tests, one binary: each module is one subject.
//!
//! All tests run in one process and at the same time, so a test sets no environment variable,
//! working directory, signal handler or umask of its own. These belong to the programs under
//! test, which are child processes. `cost.rs` is a binary of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is a failed test"
)]

mod common;
mod model;

mod address_limits;
mod bad_input;
mod bots;
#[cfg(feature = "web")]
mod browser;
mod client;
mod client_password;
mod clock;
#[cfg(feature = "cluster")]
mod cluster;
mod crowds;
mod fanout;
mod flooder;
mod footprint;
mod fuzz;
mod history;
#[cfg(feature = "irc")]
mod hostile_irc;
#[cfg(feature = "irc")]
mod hostile_irc_crowd;
mod hostile_server;
#[cfg(feature = "web")]
mod hostile_web;
#[cfg(feature = "irc")]
mod irc;
#[cfg(all(feature = "irc", feature = "web"))]
mod irc_clients;
mod lab_faults;
mod large_numbers;
mod lifecycle;
mod listeners;
mod long_lines;
mod memory;
mod moderation;
mod order;
#[cfg(feature = "web")]
mod page_picture;
mod password;
#[cfg(feature = "editor")]
mod picture;
mod protocol;
mod proxy;
mod resets;
mod resume;
mod resume_client;
mod room_example;
mod room_model;
mod scripts;
mod service;
mod service_files;
mod settings;
mod signals;
mod slow_members;
mod standard_files;
mod stats;
#[cfg(feature = "editor")]
mod terminal;
#[cfg(feature = "editor")]
mod terminal_commands;
#[cfg(feature = "editor")]
mod terminal_members;
#[cfg(feature = "editor")]
mod terminal_settings;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_client;
#[cfg(all(feature = "irc", feature = "tls", feature = "web"))]
mod tls_programs;
mod unicode_names;
#[cfg(feature = "web")]
mod web;
