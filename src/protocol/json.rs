//! A reader for JSON objects that keeps only the keys its caller names.
//!
//! A caller passes the keys that it reads to [`JsonObject::parse`] and states the type of each
//! value when it takes the value. All other keys may have any value.
//!
//! Types with `#[derive(Deserialize)]` would check each object while they read it, and make
//! `smolchatd` larger: by 52 KB of 702 with the profile `dist` on x86_64.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The depth at which lists and objects are skipped: below an object in the outermost object.
const MAX_DEPTH: u8 = 2;

/// The values that an object has for the keys that its caller named.
#[derive(Debug)]
pub struct JsonObject<'a> {
    keys: &'static [&'static str],
    /// Found keys only, each once.
    entries: Vec<(&'static str, JsonValue<'a>)>,
}

#[derive(Debug)]
enum JsonValue<'a> {
    Null,
    String(Cow<'a, str>),
    Integer(u64),
    Bool(bool),
    /// A list that has only strings.
    StringList,
    Object(JsonObject<'a>),
    /// A value of a type that no method of [`JsonObject`] returns.
    Other,
    /// The key is in the object more than once.
    Repeated,
}

impl<'a> JsonObject<'a> {
    /// Parses `text`, which is one JSON object, and keeps the values of `keys`.
    ///
    /// `keys` holds for the objects inside of this one, too.
    ///
    /// # Errors
    ///
    /// A message that says why `text` is not a JSON object.
    pub fn parse(text: &'a str, keys: &'static [&'static str]) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = ValueVisitor { keys, depth: 0 }.deserialize(&mut json);
        match value.and_then(|value| json.end().map(|()| value)) {
            Ok(JsonValue::Object(object)) => Ok(object),
            Ok(_) => Err("it is not an object".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Removes the string of `key` and returns it, or `None` if the key is missing or `null`.
    ///
    /// # Errors
    ///
    /// A message that names the key, if its value is not a string or the key is repeated. The
    /// other methods return the same for their types.
    pub fn take_string(&mut self, key: &str) -> Result<Option<Cow<'a, str>>, String> {
        match self.take(key) {
            JsonValue::Null => Ok(None),
            JsonValue::String(string) => Ok(Some(string)),
            other => Err(other.error(key, "a string")),
        }
    }

    /// Removes the number of `key`, an integer of at least 0, and returns it.
    pub fn take_integer(&mut self, key: &str) -> Result<Option<u64>, String> {
        match self.take(key) {
            JsonValue::Null => Ok(None),
            JsonValue::Integer(number) => Ok(Some(number)),
            other => Err(other.error(key, "an integer of at least 0")),
        }
    }

    /// Removes the boolean of `key` and returns it; a missing one is `false`.
    pub fn take_bool(&mut self, key: &str) -> Result<bool, String> {
        match self.take(key) {
            JsonValue::Null => Ok(false),
            JsonValue::Bool(value) => Ok(value),
            other => Err(other.error(key, "true or false")),
        }
    }

    /// Removes the object of `key` and returns it.
    pub fn take_object(&mut self, key: &str) -> Result<Option<JsonObject<'a>>, String> {
        match self.take(key) {
            JsonValue::Null => Ok(None),
            JsonValue::Object(object) => Ok(Some(object)),
            other => Err(other.error(key, "an object")),
        }
    }

    /// Removes the value of `key` and returns whether it is a list of strings.
    pub fn take_string_list(&mut self, key: &str) -> bool {
        matches!(self.take(key), JsonValue::StringList)
    }

    fn take(&mut self, key: &str) -> JsonValue<'a> {
        debug_assert!(self.keys.contains(&key), "{key} is not one of {:?}", self.keys);
        let entry = self.entries.iter_mut().find(|(found, _)| *found == key);
        entry.map_or(JsonValue::Null, |(_, value)| std::mem::replace(value, JsonValue::Null))
    }
}

impl JsonValue<'_> {
    fn error(&self, key: &str, expected: &str) -> String {
        match self {
            JsonValue::Repeated => format!("{key} is repeated"),
            _ => format!("{key} must be {expected}"),
        }
    }
}

/// Reads a key, and returns the equal one of the keys in it.
struct KeyVisitor(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KeyVisitor {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyVisitor {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| *known == key))
    }
}

/// Reads a value of any type.
#[derive(Clone, Copy)]
struct ValueVisitor {
    keys: &'static [&'static str],
    /// How many lists and objects the value is in. Bounded by [`MAX_DEPTH`], so that deep input
    /// takes no memory.
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for ValueVisitor {
    type Value = JsonValue<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = JsonValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(JsonValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(JsonValue::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(JsonValue::Integer(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(JsonValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(JsonValue::Other)
    }

    fn visit_borrowed_str<E>(self, string: &'de str) -> Result<Self::Value, E> {
        Ok(JsonValue::String(string.into()))
    }

    fn visit_str<E>(self, string: &str) -> Result<Self::Value, E> {
        Ok(JsonValue::String(string.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if self.depth >= MAX_DEPTH {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(JsonValue::Other);
        }
        let mut has_only_strings = true;
        let item = ValueVisitor { depth: MAX_DEPTH, ..self };
        while let Some(value) = list.next_element_seed(item)? {
            has_only_strings &= matches!(value, JsonValue::String(_));
        }
        Ok(if has_only_strings { JsonValue::StringList } else { JsonValue::Other })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.depth >= MAX_DEPTH {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(JsonValue::Other);
        }
        let mut entries: Vec<(&'static str, JsonValue<'de>)> = Vec::new();
        while let Some(key) = map.next_key_seed(KeyVisitor(self.keys))? {
            let Some(key) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if let Some((_, value)) = entries.iter_mut().find(|(found, _)| *found == key) {
                map.next_value::<IgnoredAny>()?;
                *value = JsonValue::Repeated;
                continue;
            }
            match map.next_value_seed(ValueVisitor { depth: self.depth + 1, ..self })? {
                JsonValue::Null => {}
                value => entries.push((key, value)),
            }
        }
        Ok(JsonValue::Object(JsonObject { keys: self.keys, entries }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["data", "from", "hello", "id", "keep", "name", "names", "seq", "time"];

    #[test]
    fn known_keys_are_checked_and_others_ignored() {
        let text = r#"{"seq":1.5,"x":[{}],"data":"a\nb","time":7,"keep":true,"id":null,
            "names":["a",1],"hello":{"name":"alice","hello":{}},"from":"x","x":1,"from":"y"}"#;
        let mut object = JsonObject::parse(text, KEYS).unwrap();
        assert_eq!(object.take_string("data"), Ok(Some("a\nb".into())));
        assert_eq!(object.take_integer("time"), Ok(Some(7)));
        assert_eq!(object.take_bool("keep"), Ok(true));
        assert_eq!((object.take_string("id"), object.take_bool("name")), (Ok(None), Ok(false)));
        assert!(!object.take_string_list("names"));
        assert_eq!(object.take_integer("seq"), Err("seq must be an integer of at least 0".into()));
        assert_eq!(object.take_string("from"), Err("from is repeated".into()));
        let mut hello = object.take_object("hello").unwrap().unwrap();
        assert_eq!(hello.take_string("name"), Ok(Some("alice".into())));
        assert_eq!(hello.take_string("hello"), Err("hello must be a string".into()));
    }

    #[test]
    fn string_list_is_recognized() {
        for (names, expected) in [("[]", true), (r#"["a"]"#, true), (r#"[["a"]]"#, false)] {
            let text = format!(r#"{{"names":{names}}}"#);
            let mut object = JsonObject::parse(&text, KEYS).unwrap();
            assert_eq!(object.take_string_list("names"), expected, "{names}");
        }
    }

    #[test]
    fn null_before_value_is_missing() {
        let mut object = JsonObject::parse(r#"{"id":null,"id":"1","id":null}"#, KEYS).unwrap();
        assert_eq!(object.take_string("id"), Err("id is repeated".into()));
        let mut object = JsonObject::parse(r#"{"id":null,"id":"1"}"#, KEYS).unwrap();
        assert_eq!(object.take_string("id"), Ok(Some("1".into())));
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
            let mut object = JsonObject::parse(&text, KEYS).unwrap();
            assert_eq!(object.take_string("id"), Ok(Some("1".into())));
            assert_eq!(object.take_string("data"), Err("data must be a string".into()));
        }
    }
}
