//! How an event looks as JSON, where serde's own ways do not say what is meant.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::event::{Event, Function, Process, Term, Value};

/// The name of whoever breaks things.
const NEMESIS: &str = "nemesis";
/// The name of whoever looks at replicas.
const OBSERVER: &str = "observer";

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut event = Self::deserialize(input)?;
        event.value = by_function(event.function, event.value).map_err(D::Error::custom)?;
        Ok(event)
    }
}

/// Returns what a value means to this function.
fn by_function(function: Function, value: Value) -> Result<Value, String> {
    match (function, value) {
        (Function::Cas, Value::Many(list)) => match list[..] {
            [old, new] => Ok(Value::Pair(Some(old), new)),
            _ => Err(format!("a cas has a pair of values, not {}", list.len())),
        },
        (Function::Cas, Value::One(_)) => Err("a cas has a pair of values, not one".to_owned()),
        (Function::Cas, value) => Ok(value),
        (_, Value::Pair(..)) => Err("only a cas has a null in a list".to_owned()),
        (_, value) => Ok(value),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::One(value) => serializer.serialize_u64(*value),
            Self::Pair(old, new) => {
                let mut list = serializer.serialize_seq(Some(2))?;
                list.serialize_element(old)?;
                list.serialize_element(new)?;
                list.end()
            }
            Self::Many(values) => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a number, or a list of numbers")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::One(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::with_capacity(list.size_hint().unwrap_or_default());
        while let Some(value) = list.next_element::<Option<u64>>()? {
            let Some(value) = value else {
                let new = list.next_element::<u64>()?;
                let new = new.filter(|_| values.is_empty());
                let new = new.ok_or_else(|| A::Error::custom("a null is the first of a pair"))?;
                return match list.next_element::<u64>()? {
                    None => Ok(Value::Pair(None, new)),
                    Some(_) => Err(A::Error::custom("a null is the first of a pair")),
                };
            };
            values.push(value);
        }
        Ok(Value::Many(values))
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Client(number) => serializer.serialize_u64(*number),
            Self::Nemesis => serializer.serialize_str(NEMESIS),
            Self::Observer => serializer.serialize_str(OBSERVER),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ProcessVisitor)
    }
}

struct ProcessVisitor;

impl Visitor<'_> for ProcessVisitor {
    type Value = Process;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the number of a client, \"{NEMESIS}\" or \"{OBSERVER}\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Process, E> {
        Ok(Process::Client(number))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Process, E> {
        match name {
            NEMESIS => Ok(Process::Nemesis),
            OBSERVER => Ok(Process::Observer),
            _ => Err(E::invalid_value(Unexpected::Str(name), &self)),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "{number}"),
            Self::Nemesis => f.write_str(NEMESIS),
            Self::Observer => f.write_str(OBSERVER),
        }
    }
}

/// A term is not written as `term.node`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no term: it has the form 5.2, term and node")]
pub struct TermError(String);

impl FromStr for Term {
    type Err = TermError;

    fn from_str(text: &str) -> Result<Self, TermError> {
        let parts = text.split_once('.');
        let parsed = parts.and_then(|(number, node)| {
            Some(Self { number: number.parse().ok()?, node: node.parse().ok()? })
        });
        parsed.ok_or_else(|| TermError(text.to_owned()))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.node)
    }
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_str(TermVisitor)
    }
}

struct TermVisitor;

impl Visitor<'_> for TermVisitor {
    type Value = Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a term and a node, such as \"5.2\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Term, E> {
        text.parse().map_err(E::custom)
    }
}
