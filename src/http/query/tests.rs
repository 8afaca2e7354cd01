use super::*;

fn parse<'a>(uri: &'a Uri, known: &[Name]) -> Result<Query<'a>, String> {
    Query::parse(uri, known).map_err(|problem| problem.code)
}

#[test]
fn values_are_decoded_and_found_by_name() {
    let uri: Uri = "/x?&ttl=%36%30s&&timeout=1s&".parse().expect("a target");
    let query = parse(&uri, &[Name::Ttl, Name::Timeout]).expect("both are known");
    assert_eq!(query.get(Name::Ttl), Some("60s"));
    assert_eq!(query.get(Name::Timeout), Some("1s"));
    assert_eq!(query.get(Name::Key64), None);
}

#[test]
fn a_route_without_parameters_says_so() {
    let uri: Uri = "/livez?verbose".parse().expect("a target");
    let problem = Query::parse(&uri, &[]).expect_err("nothing is known");
    assert_eq!(problem.hint.as_deref(), Some("this request takes no parameters"));
    assert_eq!(parse(&Uri::from_static("/livez"), &[]), Ok(Query::default()));
}

#[test]
fn a_parameter_without_value_has_an_empty_one() {
    let uri: Uri = "/x?ttl".parse().expect("a target");
    assert_eq!(parse(&uri, &[Name::Ttl]).expect("known").get(Name::Ttl), Some(""));
}
