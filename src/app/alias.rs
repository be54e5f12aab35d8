//! Other names of commands, which users know from other chat programs.

use std::borrow::Cow;

/// Returns a line with its command under the name that the server knows.
///
/// `/q` and `/exit` are `/quit`, `/names` is `/who`, `/w NAME TEXT` is `/msg NAME TEXT`, and `/w`
/// alone is `/who`.
pub fn expand_alias(line: &str) -> Cow<'_, str> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let command = match word.to_ascii_lowercase().as_str() {
        "/q" | "/exit" => "/quit",
        "/names" => "/who",
        "/w" if rest.trim().is_empty() => "/who",
        "/w" => "/msg",
        _ => return line.into(),
    };
    format!("{command} {rest}").trim_end().to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_become_commands_of_the_server() {
        for (line, expanded) in [
            ("/q", "/quit"),
            ("/EXIT now", "/quit now"),
            ("/names", "/who"),
            ("/w", "/who"),
            ("/w ", "/who"),
            ("/w bob hello there", "/msg bob hello there"),
            ("/who", "/who"),
            ("/query bob", "/query bob"),
            ("//q", "//q"),
            ("q", "q"),
        ] {
            assert_eq!(expand_alias(line), expanded);
        }
    }
}
