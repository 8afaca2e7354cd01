//! Calls about many keys at once.

use serde::Serialize;

use super::kv::Level;
use super::spread::Way;
use super::{Call, Client, ClientError};
use crate::api::key::to_key64;
use crate::api::many::{BATCH_PATH, MGET_PATH, ManyAnswer, MgetRequest};
use crate::api::ops::Op;
use crate::api::slot;

/// A [`BatchRequest`](crate::api::many::BatchRequest) of operations that are kept.
#[derive(Serialize)]
struct Borrowed<'a> {
    ops: Vec<&'a Op>,
}

impl Client {
    /// Reads these keys: at most [`crate::api::many::ITEMS_MAX`]. The answer has an item for each, in
    /// order. A routed client asks each leader for its keys, all at the same time; where one does not
    /// answer, its items say so.
    pub async fn mget(&self, keys: &[Vec<u8>], level: Level) -> Result<ManyAnswer, ClientError> {
        let mut target = MGET_PATH.to_owned();
        level.push_parameters(&mut target);
        let way = |key: &Vec<u8>| Way { slot: Some(slot::of(key)), reads: true };
        let ways: Vec<_> = keys.iter().map(way).collect();
        self.send_many(&ways, |places| {
            let keys64 = Some(places.iter().map(|place| to_key64(&keys[*place])).collect());
            let call = Call::post_json(target.clone(), &MgetRequest { keys: None, keys64 });
            Call { mutates: false, ..call }
        })
        .await
    }

    /// Carries out these operations, those of one slot in order: at most
    /// [`crate::api::many::ITEMS_MAX`]. The answer has an item for each, in order. A routed client sends
    /// each leader its part, all at the same time; where one does not answer, its items say what that
    /// leaves of them.
    pub async fn batch(&self, ops: Vec<Op>) -> Result<ManyAnswer, ClientError> {
        let way = |op: &Op| Way {
            slot: op.key().map(|key| slot::of(&key)),
            reads: matches!(op, Op::Get(_)),
        };
        let ways: Vec<_> = ops.iter().map(way).collect();
        self.send_many(&ways, |places| {
            let ops = places.iter().map(|place| &ops[*place]).collect();
            Call::post_json(BATCH_PATH.to_owned(), &Borrowed { ops })
        })
        .await
    }
}
