//! Calls about many keys at once.

use super::kv::Level;
use super::{Call, Client, ClientError};
use crate::api::key::to_key64;
use crate::api::many::{BATCH_PATH, BatchRequest, MGET_PATH, ManyAnswer, MgetRequest};
use crate::api::ops::Op;

impl Client {
    /// Reads these keys: at most [`crate::api::many::ITEMS_MAX`]. The answer has an item for each, in
    /// order.
    pub async fn mget(&self, keys: &[Vec<u8>], level: Level) -> Result<ManyAnswer, ClientError> {
        let keys64 = Some(keys.iter().map(|key| to_key64(key)).collect());
        let mut target = MGET_PATH.to_owned();
        level.push_parameters(&mut target);
        let call = Call::post_json(target, &MgetRequest { keys: None, keys64 });
        self.send(Call { mutates: false, ..call }).await?.json(false)
    }

    /// Carries out these operations, those of one slot in order: at most
    /// [`crate::api::many::ITEMS_MAX`]. The answer has an item for each, in order.
    pub async fn batch(&self, ops: Vec<Op>) -> Result<ManyAnswer, ClientError> {
        let call = Call::post_json(BATCH_PATH.to_owned(), &BatchRequest { ops });
        self.send(call).await?.json(true)
    }
}
