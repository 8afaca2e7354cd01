//! Numbers of 64 bits in JSON.
//!
//! Many readers of JSON take every number for a double and lose digits beyond 2^53. So they are
//! written as strings, and read as either.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

/// A whole number that keeps all its digits: `"7"` in JSON, also read from `7`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exact<T>(pub T);

impl<T: Display> Serialize for Exact<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr + TryFrom<i64> + TryFrom<u64>> Deserialize<'de> for Exact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl JsonSchema for Exact<i64> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Signed".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": "int64",
            "minimum": i64::MIN,
            "maximum": i64::MAX,
            "pattern": "^-?0*[0-9]{1,19}$",
        })
    }
}

impl JsonSchema for Exact<u64> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Unsigned".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": "uint64",
            "minimum": 0,
            "maximum": u64::MAX,
            "pattern": "^0*[0-9]{1,20}$",
        })
    }
}

/// Reads a number or its text.
struct Either<T>(PhantomData<T>);

impl<T: FromStr + TryFrom<i64> + TryFrom<u64>> Visitor<'_> for Either<T> {
    type Value = Exact<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of 64 bits, or its digits in a string")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Exact<T>, E> {
        let fits = T::try_from(number).ok().map(Exact);
        fits.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Exact<T>, E> {
        let fits = T::try_from(number).ok().map(Exact);
        fits.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Exact<T>, E> {
        let read = text.parse().ok().map(Exact);
        read.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digit_is_lost() {
        for number in [i64::MIN, -1, 0, i64::MAX] {
            let text = serde_json::to_string(&Exact(number)).expect("a number");
            assert_eq!(text, format!("\"{number}\""));
            assert_eq!(serde_json::from_str::<Exact<i64>>(&text).ok(), Some(Exact(number)));
            let bare = number.to_string();
            assert_eq!(serde_json::from_str::<Exact<i64>>(&bare).ok(), Some(Exact(number)));
        }
    }

    #[test]
    fn what_is_no_such_number_is_refused() {
        for text in ["1.5", "true", "null", "\"x\"", "\"\"", "[]", "9223372036854775808"] {
            assert!(serde_json::from_str::<Exact<i64>>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Exact<u64>>("-1").is_err());
    }
}
