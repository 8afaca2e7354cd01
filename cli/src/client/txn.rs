//! Transactions.

use super::kv::Facts;
use super::{Call, Client, ClientError};
use crate::api::ops::{Op, named};
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
        let call = Call::post_json(PATH.to_owned(), request);
        // All keys are in one slot, so any of them shows the way.
        let answer = match first_key(request) {
            Some(key) => self.send_about(&key, call).await?,
            None => self.send(call).await?,
        };
        Ok(Transacted { answer: answer.json(true)?, facts: Facts::of(&answer.headers) })
    }
}

/// Returns the first key that a transaction names, if it can be read.
fn first_key(request: &TxnRequest) -> Option<Vec<u8>> {
    let conditions = request.conditions.iter().map(|it| (&it.key, &it.key64));
    let mut conditions = conditions.filter_map(|(key, key64)| named(key.as_ref(), key64.as_ref()));
    let operations = || request.then.iter().chain(&request.otherwise);
    conditions.next().or_else(|| operations().find_map(Op::key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ops::{GetOp, PutOp};
    use crate::api::txn::TxnCondition;

    #[test]
    fn any_key_shows_the_way() {
        let get = |key: Option<&str>, key64: Option<&str>| {
            Op::Get(GetOp { key: key.map(str::to_owned), key64: key64.map(str::to_owned) })
        };
        let of = |then, otherwise| TxnRequest { conditions: vec![], then, otherwise };
        assert_eq!(first_key(&of(vec![], vec![])), None);
        assert_eq!(first_key(&of(vec![get(None, Some("_w"))], vec![])), Some(vec![0xff]));
        let put = Op::Put(PutOp { key: Some("b".to_owned()), ..PutOp::default() });
        assert_eq!(first_key(&of(vec![], vec![put])), Some(b"b".to_vec()));
        let condition = TxnCondition { key: Some("a".to_owned()), ..TxnCondition::default() };
        let request =
            TxnRequest { conditions: vec![condition], ..of(vec![get(Some("c"), None)], vec![]) };
        assert_eq!(first_key(&request), Some(b"a".to_vec()));
    }
}
