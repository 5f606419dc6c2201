//! JSON bodies under a budget: depth by the parser, the number of values by this file. A small body
//! must not become a large tree.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a body is not usable JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonFault {
    /// Not JSON, or JSON that cannot be represented: with the position in characters.
    Syntax { at: usize, reason: String },
    /// More values than the limit.
    TooMany,
}

/// Parses a body of at most `limit` values. A member given twice is a fault: readers differ on
/// which one counts.
pub(crate) fn parse(body: &[u8], limit: usize) -> Result<Value, JsonFault> {
    let mut left = limit;
    let mut parser = serde_json::Deserializer::from_slice(body);
    let parsed = Budgeted { left: &mut left }
        .deserialize(&mut parser)
        .and_then(|value| parser.end().map(|()| value));
    parsed.map_err(|fault| match fault.classify() {
        serde_json::error::Category::Data if left == 0 => JsonFault::TooMany,
        _ => JsonFault::Syntax { at: position(body, &fault), reason: reason(&fault) },
    })
}

fn position(body: &[u8], fault: &serde_json::Error) -> usize {
    let lines = body.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines.take(fault.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let bytes = before.saturating_add(fault.column().saturating_sub(1)).min(body.len());
    String::from_utf8_lossy(body.get(..bytes).unwrap_or_default()).chars().count()
}

fn reason(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

struct Budgeted<'a> {
    left: &'a mut usize,
}

impl Budgeted<'_> {
    fn spend<E: de::Error>(&mut self) -> Result<(), E> {
        *self.left = self.left.saturating_sub(1);
        if *self.left == 0 { Err(E::custom("too many values")) } else { Ok(()) }
    }

    fn again(&mut self) -> Budgeted<'_> {
        Budgeted { left: self.left }
    }
}

impl<'de> DeserializeSeed<'de> for Budgeted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Value, D::Error> {
        self.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Budgeted<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.again())? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.spend()?;
            let value = members.next_value_seed(self.again())?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("an object has the same member twice"));
            }
        }
        Ok(Value::Object(object))
    }
}
