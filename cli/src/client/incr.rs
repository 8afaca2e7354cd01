//! Calls that count.

use super::kv::{Condition, Facts};
use super::{Call, Client, ClientError};
use crate::api::incr::{IncrAnswer, IncrRequest, PATH};
use crate::api::key;

/// A number that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The sum, and the version that it has.
    pub answer: IncrAnswer,
    /// Where the answer comes from.
    pub facts: Facts,
}

impl Client {
    /// Adds to the number under `key`.
    pub async fn increment(
        &self,
        key: &[u8],
        request: &IncrRequest,
        condition: &Condition,
    ) -> Result<Counted, ClientError> {
        let call = Call::post_json(key::target_at(PATH, key), request);
        let headers = [call.headers.clone(), condition.headers()].concat();
        let answer = self.send_about(key, Call { headers, ..call }).await?;
        Ok(Counted { answer: answer.json(true)?, facts: Facts::of(&answer.headers) })
    }
}
