//! A reader for JSON objects that keeps only the keys its caller names.
//!
//! A caller passes the keys that it reads to [`JsonObject::parse`] and states the type of each
//! value when it reads the value. All other keys may have any value.
//!
//! serde_json checks the whole text and finds where each value ends, whatever its type. Types with
//! `#[derive(Deserialize)]` would make `smolchatd` larger: by more than 50 KB of 700 with the
//! profile `dist` on x86_64.

use std::borrow::Cow;
use std::iter;

use serde::de::IgnoredAny;
use serde_json::Deserializer;

/// The values that an object has for the keys that its caller named.
#[derive(Debug)]
pub struct JsonObject<'a> {
    keys: &'static [&'static str],
    /// Found keys only, each once, with the JSON of the value. A repeated key has `None`.
    entries: Vec<(&'static str, Option<&'a str>)>,
}

impl<'a> JsonObject<'a> {
    /// Parses `json`, which is one JSON object, and keeps the values of `keys`.
    ///
    /// `keys` holds for the objects inside of this one, too.
    ///
    /// # Errors
    ///
    /// Returns a message that says why `json` is not a JSON object.
    pub fn parse(json: &'a str, keys: &'static [&'static str]) -> Result<Self, String> {
        serde_json::from_str::<IgnoredAny>(json).map_err(|error| error.to_string())?;
        let mut rest = json.trim_start().strip_prefix('{').ok_or("it is not an object")?;
        let mut entries: Vec<(&str, Option<&str>)> = Vec::new();
        while let (Some(key), Some(value)) = (next_value(&mut rest), next_value(&mut rest)) {
            let key = parse_string(key);
            let Some(key) = keys.iter().find(|known| key.as_deref() == Some(known)) else {
                continue;
            };
            match entries.iter_mut().find(|(found, _)| found == key) {
                Some((_, value)) => *value = None,
                None if value == "null" => {}
                None => entries.push((key, Some(value))),
            }
        }
        Ok(JsonObject { keys, entries })
    }

    /// Returns the string of `key`, or `None` if the key is missing or `null`.
    ///
    /// # Errors
    ///
    /// Returns a message that names the key, if its value is not a string or the key is repeated.
    /// The other methods return the same for their types.
    pub fn string(&self, key: &str) -> Result<Option<Cow<'a, str>>, String> {
        self.value(key, "a Unicode string", parse_string)
    }

    /// Returns the number of `key`, an integer of at least 0.
    pub fn integer(&self, key: &str) -> Result<Option<u64>, String> {
        self.value(key, "an integer of at least 0", |json| json.parse().ok())
    }

    /// Returns the boolean of `key`; a missing one is `false`.
    pub fn boolean(&self, key: &str) -> Result<bool, String> {
        Ok(self.value(key, "true or false", |json| json.parse().ok())?.unwrap_or(false))
    }

    /// Returns the object of `key`.
    pub fn object(&self, key: &str) -> Result<Option<JsonObject<'a>>, String> {
        self.value(key, "an object", |json| JsonObject::parse(json, self.keys).ok())
    }

    /// Returns whether the value of `key` is a list of strings.
    pub fn has_string_list(&self, key: &str) -> bool {
        let Ok(Some(mut items)) = self.value(key, "a list", |json| json.strip_prefix('[')) else {
            return false;
        };
        iter::from_fn(|| next_value(&mut items)).all(|item| parse_string(item).is_some())
    }

    /// Returns the strings in the list of `key`, or none if the value is not a list. An item of
    /// another type is an empty string.
    #[cfg(feature = "irc")]
    #[inline(never)]
    pub fn strings(&self, key: &str) -> Vec<Cow<'a, str>> {
        let Ok(Some(mut items)) = self.value(key, "a list", |json| json.strip_prefix('[')) else {
            return Vec::new();
        };
        let mut strings = Vec::new();
        while let Some(item) = next_value(&mut items) {
            strings.push(parse_string(item).unwrap_or_default());
        }
        strings
    }

    /// Returns the value of `key`, parsed by `parse`.
    fn value<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        debug_assert!(self.keys.contains(&key), "{key} is not one of {:?}", self.keys);
        match self.entries.iter().find(|(found, _)| *found == key) {
            None => Ok(None),
            Some((_, None)) => Err(format!("{key} is repeated")),
            Some((_, Some(json))) => {
                parse(json).map(Some).ok_or_else(|| format!("{key} must be {expected}"))
            }
        }
    }
}

/// Removes the next key or value from the inside of a valid object or list, and returns it.
///
/// Returns `None` at the end of the object or list.
fn next_value<'a>(inside: &mut &'a str) -> Option<&'a str> {
    let json = inside.trim_start_matches([',', ':', ' ', '\t', '\r', '\n']);
    let mut values = Deserializer::from_str(json).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let (value, rest) = json.split_at_checked(values.byte_offset())?;
    *inside = rest;
    Some(value)
}

/// Returns the string of a valid value, or `None` if the value has another type or is not Unicode:
/// an escape can be half of a surrogate pair.
fn parse_string(json: &str) -> Option<Cow<'_, str>> {
    let string = json.strip_prefix('"')?.strip_suffix('"')?;
    if string.contains('\\') { unescape(string).map(Cow::Owned) } else { Some(string.into()) }
}

/// Replaces the escapes of a string, all of which have a valid form.
///
/// `serde_json::from_str::<String>` does the same and makes `smolchatd` 9 KB larger, because it
/// includes the parser of floating point numbers.
fn unescape(string: &str) -> Option<String> {
    // UTF-16, because two escapes can be one character.
    let mut units = Vec::with_capacity(string.len());
    let mut rest = string;
    while let Some((before, escape)) = rest.split_once('\\') {
        units.extend(before.encode_utf16());
        let (unit, length) = match escape.as_bytes().first()? {
            b'b' => (0x08, 1),
            b'f' => (0x0C, 1),
            b'n' => (0x0A, 1),
            b'r' => (0x0D, 1),
            b't' => (0x09, 1),
            b'u' => (u16::from_str_radix(escape.get(1..5)?, 16).ok()?, 5),
            byte => (u16::from(*byte), 1),
        };
        units.push(unit);
        rest = escape.get(length..)?;
    }
    units.extend(rest.encode_utf16());
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYS: &[&str] = &["data", "from", "hello", "id", "keep", "name", "names", "seq", "time"];

    #[test]
    fn known_keys_are_checked_and_others_ignored() {
        let text = r#"{"seq":1.5,"x":[{}],"data":"a\nb","time":7,"keep":true,"id":null,
            "names":["a",1],"hello":{"name":"alice","hello":{}},"from":"x","x":1,"from":"y"}"#;
        let object = JsonObject::parse(text, KEYS).unwrap();
        assert_eq!(object.string("data"), Ok(Some("a\nb".into())));
        assert_eq!(object.integer("time"), Ok(Some(7)));
        assert_eq!(object.boolean("keep"), Ok(true));
        assert_eq!((object.string("id"), object.boolean("name")), (Ok(None), Ok(false)));
        assert!(!object.has_string_list("names"));
        assert_eq!(object.integer("seq"), Err("seq must be an integer of at least 0".into()));
        assert_eq!(object.string("from"), Err("from is repeated".into()));
        let hello = object.object("hello").unwrap().unwrap();
        assert_eq!(hello.string("name"), Ok(Some("alice".into())));
        assert_eq!(hello.string("hello"), Err("hello must be a Unicode string".into()));
    }

    #[test]
    fn string_list_is_recognized() {
        for (names, expected) in [("[]", true), (r#"["a"]"#, true), (r#"[["a"]]"#, false)] {
            let text = format!(r#"{{"names":{names}}}"#);
            let object = JsonObject::parse(&text, KEYS).unwrap();
            assert_eq!(object.has_string_list("names"), expected, "{names}");
        }
    }

    #[test]
    fn null_before_value_is_missing() {
        let object = JsonObject::parse(r#"{"id":null,"id":"1","id":null}"#, KEYS).unwrap();
        assert_eq!(object.string("id"), Err("id is repeated".into()));
        let object = JsonObject::parse(r#"{"id":null,"id":"1"}"#, KEYS).unwrap();
        assert_eq!(object.string("id"), Ok(Some("1".into())));
    }

    #[test]
    fn invalid_object_is_rejected() {
        for text in ["", "[]", "7", "{", r#"{"id":"a"} x"#, r#"{"id" "a"}"#, r#"{"id":"\u"}"#] {
            assert!(JsonObject::parse(text, KEYS).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_value_is_skipped() {
        for (open, close) in [("[", "]"), (r#"{"data":"#, "}")] {
            let deep = open.repeat(200_000) + "1" + &close.repeat(200_000);
            let text = format!(r#"{{"x":{deep},"data":{deep},"id":"1"}}"#);
            let object = JsonObject::parse(&text, KEYS).unwrap();
            assert_eq!(object.string("id"), Ok(Some("1".into())));
            assert_eq!(object.string("data"), Err("data must be a Unicode string".into()));
        }
    }

    #[test]
    fn lone_surrogate_is_rejected() {
        let text = r#"{"data":"\ud83d\ude00","name":"\ude00\ud83d"}"#;
        let object = JsonObject::parse(text, KEYS).unwrap();
        assert_eq!(object.string("data"), Ok(Some("😀".into())));
        assert_eq!(object.string("name"), Err("name must be a Unicode string".into()));
    }

    proptest! {
        #[test]
        fn string_equals_that_of_serde_json(
            string in r#"(é|x|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud8[0-9a-f]{2}\\udc[0-9a-f]{2}){0,9}"#,
        ) {
            let json = format!("\"{string}\"");
            let expected = serde_json::from_str(&json).ok().map(Cow::Owned);
            prop_assert_eq!(parse_string(&json), expected);
        }
    }
}
