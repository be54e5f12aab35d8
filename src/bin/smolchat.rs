//! `smolchat`, the client.

fn main() {}
