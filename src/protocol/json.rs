//! A JSON object by its keys, for the few keys that this program reads.
//!
//! It stands in for a derived type for each kind of object. Those would check all of an object
//! while reading it; here whoever wants a key says what it has to be, and the rest may be anything.
//! One reader for all of them takes a third of the code, which counts on a small machine.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// All keys that anybody asks for.
const KEYS: [&str; 20] = [
    "after",
    "before",
    "boot",
    "data",
    "data_source",
    "epoch",
    "from",
    "hello",
    "history",
    "id",
    "keep",
    "kind",
    "name",
    "names",
    "seq",
    "smolchat",
    "time",
    "to",
    "token",
    "version",
];

/// The values that an object has for the keys that anybody asks for.
#[derive(Debug)]
pub struct JsonObject<'a> {
    values: [Value<'a>; KEYS.len()],
}

#[derive(Debug)]
enum Value<'a> {
    /// The key is not there, or has nothing to say: `null`.
    Missing,
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    /// A list; are all of it texts?
    List(bool),
    Object(Box<JsonObject<'a>>),
    /// Nothing that anybody asks for.
    Other,
    /// The key is there more than once.
    Repeated,
}

impl<'a> JsonObject<'a> {
    /// Reads an object, and nothing behind it.
    ///
    /// # Errors
    ///
    /// Why not, when the text is not JSON, or not an object.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(*fields),
            Ok(_) => Err("it is not an object".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn take(&mut self, key: &str) -> Value<'a> {
        let place = KEYS.iter().position(|known| *known == key);
        debug_assert!(place.is_some(), "{key} is not among the keys");
        let value = place.and_then(|place| self.values.get_mut(place));
        value.map_or(Value::Missing, |value| std::mem::replace(value, Value::Missing))
    }

    /// The text that a key has, if it is there.
    ///
    /// # Errors
    ///
    /// What is wrong, when it has something else; so with the others.
    pub fn text(&mut self, key: &str) -> Result<Option<Cow<'a, str>>, String> {
        match self.take(key) {
            Value::Missing => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(other.is_not("a text", key)),
        }
    }

    /// The number, not negative and whole.
    pub fn number(&mut self, key: &str) -> Result<Option<u64>, String> {
        match self.take(key) {
            Value::Missing => Ok(None),
            Value::Number(number) => Ok(Some(number)),
            other => Err(other.is_not("a whole number from 0 on", key)),
        }
    }

    /// Whether a key is `true`.
    pub fn flag(&mut self, key: &str) -> Result<bool, String> {
        match self.take(key) {
            Value::Missing => Ok(false),
            Value::Flag(flag) => Ok(flag),
            other => Err(other.is_not("true or false", key)),
        }
    }

    /// Whether a key has a list of texts.
    pub fn has_texts(&mut self, key: &str) -> bool {
        matches!(self.take(key), Value::List(true))
    }

    /// The object inside this one.
    pub fn object(&mut self, key: &str) -> Result<Option<Box<JsonObject<'a>>>, String> {
        match self.take(key) {
            Value::Missing => Ok(None),
            Value::Object(object) => Ok(Some(object)),
            other => Err(other.is_not("an object", key)),
        }
    }
}

impl Value<'_> {
    fn is_not(&self, wanted: &str, key: &str) -> String {
        match self {
            Value::Repeated => format!("{key} is there more than once"),
            _ => format!("{key} is not {wanted}"),
        }
    }
}

impl<'de> JsonObject<'de> {
    /// Reads the entries of an object that stands inside so many others.
    fn read<A: MapAccess<'de>>(mut map: A, depth: u8) -> Result<Self, A::Error> {
        let mut fields = JsonObject { values: [const { Value::Missing }; KEYS.len()] };
        while let Some(Place(place)) = map.next_key()? {
            match place.and_then(|place| fields.values.get_mut(place)) {
                Some(value @ Value::Missing) => {
                    *value = map.next_value_seed(ValueVisitor { depth: depth + 1 })?;
                }
                Some(value) => {
                    map.next_value::<IgnoredAny>()?;
                    *value = Value::Repeated;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// The place of a key among the [`KEYS`].
struct Place(Option<usize>);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(PlaceVisitor)
    }
}

struct PlaceVisitor;

impl Visitor<'_> for PlaceVisitor {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Place, E> {
        Ok(Place(KEYS.iter().position(|known| *known == key)))
    }
}

/// Takes a value of whatever kind: one visitor that minds nothing needs no code to complain.
struct ValueVisitor {
    /// How many lists and objects it is inside of. What is [`DEEP`] is not looked into, so that no
    /// depth takes any memory.
    depth: u8,
}

/// An object, one in that, and what is in there.
const DEEP: u8 = 2;

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValueVisitor { depth: 0 }.deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Missing)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if self.depth >= DEEP {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Other);
        }
        let mut all_texts = true;
        while let Some(value) = list.next_element_seed(ValueVisitor { depth: DEEP })? {
            all_texts &= matches!(value, Value::Text(_));
        }
        Ok(Value::List(all_texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.depth >= DEEP {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Other);
        }
        Ok(Value::Object(Box::new(JsonObject::read(map, self.depth)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_may_be_anything_and_what_is_asked_for_may_not() {
        let text = r#"{"seq":1.5,"x":[{}],"data":"a\nb","time":7,"keep":true,"id":null,"to":["a"],
            "names":["a",1],"hello":{"name":"alice","hello":{}},"from":"x","x":1,"from":"y"}"#;
        let mut fields = JsonObject::parse(text).unwrap();
        assert_eq!(fields.text("data"), Ok(Some("a\nb".into())));
        assert_eq!(fields.number("time"), Ok(Some(7)));
        assert_eq!(fields.flag("keep"), Ok(true));
        assert_eq!((fields.text("id"), fields.flag("version")), (Ok(None), Ok(false)));
        assert!(fields.has_texts("to") && !fields.has_texts("names"));
        assert_eq!(fields.number("seq"), Err("seq is not a whole number from 0 on".into()));
        assert_eq!(fields.text("from"), Err("from is there more than once".into()));
        let mut hello = fields.object("hello").unwrap().unwrap();
        assert_eq!(hello.text("name"), Ok(Some("alice".into())));
        assert_eq!(hello.text("hello"), Err("hello is not a text".into()));
        for text in ["", "[]", "7", "{", r#"{"data":"a"} x"#, r#"{"data" "a"}"#, r#"{"data":"\u"}"#]
        {
            assert!(JsonObject::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_key_has_a_place() {
        for key in KEYS {
            let text = format!(r#"{{"{key}":"{key}"}}"#);
            assert_eq!(JsonObject::parse(&text).unwrap().text(key), Ok(Some(key.into())));
        }
    }
}
