//! The prompt of the input line, which shows where the line goes.

use super::wrap::width;
use crate::client::sanitize;

/// Returns the prompt for a terminal of this width: the name of the user, in a private conversation
/// with that of the other member, so far as they fit into half of it.
pub fn format_prompt(own_name: &str, query: Option<&str>, columns: usize) -> String {
    let own_name = sanitize(own_name);
    let query = query.map(|name| format!("> {}", sanitize(name)));
    let prompts = match query {
        Some(query) => [format!("{own_name} {query}> "), format!("{query}> ")],
        None => [format!("{own_name}> "), "> ".into()],
    };
    prompts.into_iter().find(|prompt| width(prompt) * 2 <= columns).unwrap_or("> ".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_has_the_names_that_fit() {
        assert_eq!(format_prompt("alice", None, 72), "alice> ");
        assert_eq!(format_prompt("alice", None, 10), "> ");
        assert_eq!(format_prompt("alice", Some("bob"), 72), "alice > bob> ");
        assert_eq!(format_prompt("alice", Some("bob"), 20), "> bob> ");
        assert_eq!(format_prompt("小明", Some("b\u{1b}[2J"), 72), "小明 > b^[[2J> ");
        assert_eq!(format_prompt("x", Some(&"y".repeat(32)), 40), "> ");
    }
}
