//! Transactions.

use super::kv::Facts;
use super::{Call, Client, ClientError};
use crate::api::txn::{PATH, TxnAnswer, TxnRequest};

/// A transaction that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transacted {
    /// What came of it.
    pub answer: TxnAnswer,
    /// Where the answer comes from.
    pub facts: Facts,
}

impl Client {
    /// Carries out all operations of a list, or none. The keys must be in one slot.
    pub async fn transact(&self, request: &TxnRequest) -> Result<Transacted, ClientError> {
        let answer = self.send(Call::post_json(PATH.to_owned(), request)).await?;
        Ok(Transacted { answer: answer.json(true)?, facts: Facts::of(&answer.headers) })
    }
}
