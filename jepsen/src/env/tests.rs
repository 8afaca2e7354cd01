use super::*;

#[test]
fn runs_that_live_have_addresses_of_their_own() {
    let addresses: std::collections::BTreeSet<_> = (1..1 << 22).map(loopback).collect();
    assert_eq!(addresses.len(), (1 << 22) - 1);
    assert!(addresses.iter().all(|address| address.is_loopback() && address.octets()[1] != 0));
}
