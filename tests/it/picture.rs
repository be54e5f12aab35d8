//! Draws the picture of the README: the screen of a real client in a conversation.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::common::TestServer;
use crate::common::terminal::Terminal;

/// The size of a character cell, and the margin, in pixels.
const WIDTH: usize = 9;
const HEIGHT: usize = 20;
const MARGIN: usize = 14;

#[test]
#[ignore = "writes docs/conversation.svg, see `make picture`"]
fn conversation_is_drawn() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    bob.say("/me is early");
    bob.recv_kind("action");
    let mut alice = Terminal::start(server.address(0), "alice", &["--color", "always"]);
    alice.type_keys("good morning\r");
    alice.wait_for_text("alice> good");
    let mut carol = server.join("carol");
    carol.say("hi alice! the build is green, and the notes are at https://example.org/notes");
    carol.say("/msg alice lunch at noon?");
    carol.recv_kind("private");
    bob.say("早上好！ the new router is up: all tests passed last night, and it uses 2 MB");
    alice.wait_for_text("it uses 2 MB");
    alice.type_keys("/r yes, at noon\r");
    alice.wait_for_text("yes, at noon");
    carol.say("/quit");
    alice.wait_for_text("carol left");
    alice.type_keys("my unsent text stays here, bo\t");
    alice.wait_for_text("here, bob");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conversation.svg");
    alice.with_screen(|screen| fs::write(path, draw(screen)).unwrap());
}

/// Returns a screen as SVG, up to the last line that is not blank.
fn draw(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (usize::from(rows.get()), usize::from(columns.get()));
    let is_blank = |row: usize| {
        (0..columns).all(|column| {
            screen
                .cell(row as u16, column as u16)
                .is_none_or(|cell| cell.contents().trim().is_empty())
        })
    };
    let rows = (0..rows).rfind(|&row| !is_blank(row)).map_or(1, |last| last + 1);
    let (width, height) = (columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"15\" xml:space=\"preserve\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1d2021\"/>\n"
    );
    for row in 0..rows {
        for column in 0..columns {
            let Some(cell) = screen.cell(row as u16, column as u16) else { continue };
            if cell.contents().trim().is_empty() {
                continue;
            }
            let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
            let (x, y) = (MARGIN + column * WIDTH, MARGIN + row * HEIGHT + 15);
            let color = color(cell.fgcolor());
            let text = cell.contents().replace('&', "&amp;").replace('<', "&lt;");
            writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{color}\"{weight}>{text}</text>")
                .unwrap();
        }
    }
    let (row, column) = screen.cursor_position();
    let (x, y) = (MARGIN + usize::from(column) * WIDTH, MARGIN + usize::from(row) * HEIGHT);
    svg + &format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ebdbb2\" \
         opacity=\"0.7\"/>\n</svg>\n"
    )
}

/// Returns a colour of the terminal: one of 16 named ones, or of the cube and the greys of the 256.
fn color(color: vt100::Color) -> String {
    const NAMED: [&str; 16] = [
        "#282828", "#cc241d", "#98971a", "#d79921", "#458588", "#b16286", "#689d6a", "#a89984",
        "#928374", "#fb4934", "#b8bb26", "#fabd2f", "#83a598", "#d3869b", "#8ec07c", "#ebdbb2",
    ];
    match color {
        vt100::Color::Default => "#ebdbb2".into(),
        vt100::Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        vt100::Color::Idx(index @ 0..16) => NAMED[usize::from(index)].into(),
        vt100::Color::Idx(index @ 16..232) => {
            let level = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
            let [r, g, b] = [(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6].map(level);
            format!("#{r:02x}{g:02x}{b:02x}")
        }
        vt100::Color::Idx(index) => {
            let grey = 8 + 10 * (index - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}
