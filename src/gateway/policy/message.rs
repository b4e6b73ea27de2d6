//! Reading one message: its head without memory of its own, the whole of it when it has to be.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// What every command has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) id: i32,
    pub(super) method: Cow<'a, str>,
    pub(super) session: Option<Cow<'a, str>>,
}

/// Why a message is no command, and what is known of it all the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed<'a> {
    pub(super) why: &'static str,
    pub(super) id: Option<i32>,
    pub(super) session: Option<Cow<'a, str>>,
}

impl Malformed<'_> {
    pub(super) const fn new(why: &'static str) -> Self {
        Self {
            why,
            id: None,
            session: None,
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Read<'a> {
    id: Option<i32>,
    method: Option<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    params: bool,
}

/// Reads the head of a command: an object of `id`, a whole number of 32 bits, `method` and
/// `sessionId`, text, and `params`, anything; each at most once and nothing else. Chromium
/// (crdtp's `Dispatchable`) takes the same, and a few spellings more.
pub(super) fn head(message: &[u8]) -> Result<Head<'_>, Malformed<'_>> {
    // The parser below takes strings that it skips as they are.
    let Ok(text) = std::str::from_utf8(message) else {
        return Err(Malformed::new("is not UTF-8"));
    };
    let mut read = Read::default();
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = parser
        .deserialize_map(&mut read)
        .and_then(|()| parser.end());
    let Read {
        id,
        method,
        session,
        ..
    } = read;
    match (parsed, id, method) {
        (Ok(()), Some(id), Some(method)) => Ok(Head {
            id,
            method,
            session,
        }),
        (parsed, id, _) => Err(Malformed {
            why: match parsed {
                Err(error) if error.is_data() => {
                    "is no CDP command: id, method, sessionId and params, each at most once"
                }
                Err(_) => "is not JSON",
                Ok(()) => "has no id or no method",
            },
            id,
            session,
        }),
    }
}

impl<'de> Visitor<'de> for &mut Read<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CDP command")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let doubled = || de::Error::custom("a doubled key");
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "id" => {
                    let id = map.next_value()?;
                    if self.id.replace(id).is_some() {
                        return Err(doubled());
                    }
                }
                "method" => {
                    let Text(method) = map.next_value()?;
                    if self.method.replace(method).is_some() {
                        return Err(doubled());
                    }
                }
                "sessionId" => {
                    let Text(session) = map.next_value()?;
                    if self.session.replace(session).is_some() {
                        return Err(doubled());
                    }
                }
                "params" => {
                    let IgnoredAny = map.next_value()?;
                    if std::mem::replace(&mut self.params, true) {
                        return Err(doubled());
                    }
                }
                _ => return Err(de::Error::custom("an unknown key")),
            }
        }
        Ok(())
    }
}

/// Text that stays where it is unless it has escapes in it.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// Reads all of a message, in which no object may have a key twice.
pub(super) fn strict(message: &[u8]) -> Result<Map<String, Value>, Malformed<'static>> {
    let mut parser = serde_json::Deserializer::from_slice(message);
    let value = Strict.deserialize(&mut parser);
    match value.and_then(|value| parser.end().map(|()| value)) {
        Ok(Value::Object(whole)) => Ok(whole),
        Ok(_) => Err(Malformed::new("is no object")),
        Err(_) => Err(Malformed::new(
            "has a key twice, text that is not Unicode, or too much nesting",
        )),
    }
}

/// Any value, without doubled keys at any depth.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without doubled keys")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom("a doubled key"));
            }
        }
        Ok(object.into())
    }
}
