//! The values of options.

#[cfg(any(feature = "web", feature = "irc"))]
use std::ffi::OsString;

#[cfg(any(feature = "web", feature = "irc"))]
use lexopt::ValueExt;
use log::LevelFilter;

/// Parses a name. `expected` is the text of the error.
#[cfg(any(feature = "web", feature = "irc"))]
pub fn parse_name(
    value: OsString,
    is_valid: fn(&str) -> bool,
    expected: &'static str,
) -> Result<String, lexopt::Error> {
    value.parse_with(|name| if is_valid(name) { Ok(name.into()) } else { Err(expected) })
}

pub fn parse_max_line(text: &str) -> Result<u32, &'static str> {
    match text.parse() {
        // One line is held in memory.
        Ok(bytes @ 1..=1_048_576) => Ok(bytes),
        _ => Err("expected bytes from 1 to 1048576"),
    }
}

/// Parses a size such as `4096`, `256K`, `1M` or `1G`.
pub fn parse_size(text: &str) -> Result<usize, &'static str> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1 << 20),
            None => match text.strip_suffix(['G', 'g']) {
                Some(digits) => (digits, 1 << 30),
                None => (text, 1),
            },
        },
    };
    let number: Option<usize> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or("expected a size such as 4096, 256K or 1M")
}

/// Parses a size of at most 1 GiB: the offsets in it fit in 32 bits.
pub fn parse_history_bytes(text: &str) -> Result<usize, &'static str> {
    match parse_size(text)? {
        bytes if bytes <= 1 << 30 => Ok(bytes),
        _ => Err("expected a size of at most 1G"),
    }
}

/// Parses a rate such as `10/40`; the default burst is that of four seconds.
pub fn parse_rate(text: &str) -> Result<(u32, u32), &'static str> {
    parse_rate_and_burst(text, 4, parse_count)
        .ok_or("expected lines per second, optionally with lines at once, such as 10/40")
}

/// Parses a rate such as `20/100`; the default burst is that of five seconds.
pub fn parse_connect_rate(text: &str) -> Result<(u32, u32), &'static str> {
    parse_rate_and_burst(text, 5, parse_count).ok_or(
        "expected connections per second, optionally with connections at once, such as 20/100",
    )
}

/// Parses bytes per second such as `32K/128K`; the default burst is that of four seconds.
pub fn parse_byte_rate(text: &str) -> Result<(u32, u32), &'static str> {
    let parse_bytes = |text: &str| parse_size(text).ok()?.try_into().ok();
    parse_rate_and_burst(text, 4, parse_bytes)
        .ok_or("expected bytes per second, optionally with bytes at once, such as 32K/128K")
}

fn parse_count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|count| *count <= 4_000_000)
}

/// Parses `RATE` or `RATE/BURST`; the default burst is that of `seconds`.
fn parse_rate_and_burst(
    text: &str,
    seconds: u32,
    parse: fn(&str) -> Option<u32>,
) -> Option<(u32, u32)> {
    let Some((rate, burst)) = text.split_once('/') else {
        let rate = parse(text)?;
        return Some((rate, rate.saturating_mul(seconds)));
    };
    Some((parse(rate)?, parse(burst).filter(|burst| *burst > 0)?))
}

pub fn parse_level(text: &str) -> Result<LevelFilter, &'static str> {
    match text {
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        _ => Err("expected error, warn, info or debug"),
    }
}
