use steadfast_cli::api::problem::Retry;

use super::*;

fn problem(status: u16, outcome: Outcome) -> ClientError {
    let problem = Problem {
        code: "some-code".to_owned(),
        title: String::new(),
        status,
        detail: String::new(),
        outcome,
        retry: Retry::Never,
        hint: None,
        leader: None,
    };
    let endpoint = "http://127.0.0.1:7301".to_owned();
    ClientError::Problem { endpoint, headers: Box::default(), problem: Box::new(problem) }
}

#[track_caller]
fn check(error: &ClientError, write: Kind) {
    assert_eq!(judge(error, true).kind, write, "{error}");
    assert_eq!(judge(error, false).kind, Kind::Fail, "a read is never in doubt: {error}");
}

#[test]
fn statuses_mean_what_the_contract_says() {
    for status in [400, 404, 408, 409, 412, 413, 421, 429, 503, 507] {
        check(&problem(status, Outcome::NotApplied), Kind::Fail);
    }
    for status in [500, 502, 504, 302] {
        check(&problem(status, Outcome::Unknown), Kind::Info);
    }
}

#[test]
fn a_body_is_not_believed_where_it_claims_more_than_its_status() {
    check(&problem(504, Outcome::NotApplied), Kind::Info);
    check(&problem(500, Outcome::NotApplied), Kind::Info);
    check(&problem(503, Outcome::Unknown), Kind::Info);
    assert!(judge(&problem(503, Outcome::Unknown), true).why.contains("yet"));
}

#[test]
fn what_was_not_sent_was_not_done_and_what_was_may_have_been() {
    let endpoint = "http://127.0.0.1:7301".to_owned();
    let why = "reset".to_owned();
    let tried = vec![(endpoint.clone(), "refused".to_owned())];
    check(&ClientError::Unreachable { tried }, Kind::Fail);
    let (e, w) = (endpoint.clone(), why.clone());
    check(&ClientError::NoAnswer { endpoint: e, why: w, mutates: true }, Kind::Info);
    check(&ClientError::Strange { endpoint, why, mutates: true }, Kind::Info);
}
