//! Writes the pictures of the page in `docs/`.

use std::path::Path;

use serde_json::json;

use crate::common::browser::{Chromium, ChromiumTab, Tab, start_server};

#[test]
#[ignore = "writes docs/page-*.png, see `make picture`"]
fn page_is_drawn_at_both_sizes() {
    let server = start_server(&[]);
    let tab = Chromium::start().open();
    tab.call("Emulation.setLocaleOverride", json!({ "locale": "en-GB" }));
    tab.call("Emulation.setTimezoneOverride", json!({ "timezoneId": "UTC" }));
    let mut bob = server.join("bob");
    bob.say("/me is early");
    tab.join(&server, "alice");
    tab.say("good morning");
    let mut carol = server.join("carol");
    carol.say("hi alice! the build is green, and the notes are at https://example.org/notes");
    carol.say("/msg alice lunch at noon?");
    tab.wait_for_text("lunch at noon?");
    tab.say("/r yes, at noon");
    tab.wait_for_text("yes, at noon");
    bob.say("the new router is up: all tests passed last night, and it uses 2 MB");
    let mut dana = server.join("דנה");
    dana.say("בוקר טוב");
    tab.wait_for_text("בוקר טוב");
    tab.say("2 MB? Then it fits into the old one, too");
    tab.wait_for_text("2 MB? Then it fits into the old one, too");
    tab.focus("message");
    tab.type_text("my unsent text");
    draw(&tab, "desktop", 960, 600);
    draw(&tab, "phone", 360, 640);
}

/// Writes pictures in light and dark.
fn draw(tab: &ChromiumTab, device: &str, width: u32, height: u32) {
    for (is_dark, colors) in [(false, "light"), (true, "dark")] {
        tab.set_size(width, height, device == "phone");
        tab.set_dark(is_dark);
        let file = format!("docs/page-{device}-{colors}.png");
        tab.write_picture(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    }
}
