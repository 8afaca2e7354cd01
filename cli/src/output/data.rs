//! Results of commands about keys, beyond one value read, stored or deleted.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Style, json_facts, put_bytes};
use crate::client::incr::Counted;
use crate::exit::Exit;

/// The result of a command about keys.
#[derive(Clone, Debug)]
pub enum Data {
    /// A number was counted.
    Counted {
        /// Under which key.
        key: Vec<u8>,
        /// The sum.
        counted: Counted,
    },
}

impl Data {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Counted { .. } => Exit::Done,
        }
    }

    pub(super) fn talk(&self) -> Option<String> {
        match self {
            Self::Counted { .. } => None,
        }
    }

    pub(super) fn write_table(&self, _style: Style, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Counted { counted, .. } => writeln!(out, "{}", counted.answer.value.0),
        }
    }

    pub(super) fn raw(&self) -> Vec<u8> {
        match self {
            Self::Counted { counted, .. } => counted.answer.value.0.to_string().into_bytes(),
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Counted { key, counted } => {
                let mut object = json!(counted.answer);
                object["facts"] = json_facts(&counted.facts);
                put_bytes(&mut object, "key", key);
                object
            }
        }
    }
}
