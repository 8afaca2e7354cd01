//! The bytes of an operator's wish.

use bytes::Bytes;

use super::transfer::{Refusal, Verdict};
use super::*;

#[test]
fn a_verdict_comes_back_as_it_was_given() {
    let refusals = [
        Refusal::Joint,
        Refusal::NotVoter { voters: nodes(&[1, 2, 3]) },
        Refusal::NotVoter { voters: Vec::new() },
        Refusal::Unreachable,
        Refusal::Lags { entries: 1 << 40 },
        Refusal::Draining,
        Refusal::DiskFull,
        Refusal::JustStarted,
    ];
    let others = [
        Verdict::Done,
        Verdict::NotHere,
        Verdict::TimedOut(None),
        Verdict::TimedOut(Some(NodeId(2))),
    ];
    for verdict in refusals.into_iter().map(Verdict::Refused).chain(others) {
        let bytes = verdict.encode();
        assert_eq!(Verdict::decode(bytes.clone()), Ok(verdict));
        for end in 0..bytes.len() {
            assert!(Verdict::decode(bytes.slice(..end)).is_err(), "cut at {end}");
        }
    }
    assert!(Verdict::decode(Bytes::from_static(&[1, 0, 0])).is_err(), "a byte too many");
    assert!(Verdict::decode(Bytes::from_static(&[2, 0])).is_err(), "another version");
    assert_eq!(&Verdict::Refused(Refusal::Draining).encode()[..], [1, 6, 1]);
}
