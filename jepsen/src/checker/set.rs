//! Is what was added to the set in each later reading of it?
//!
//! Nothing is ever removed, so an element is *known* from where its addition was acknowledged, or from
//! where the first reading ended that saw it, even if nobody knows what became of its addition. Each
//! reading that begins after that must hold it. As Jepsen's set-full has it, an element that a reading
//! lacks is
//!
//! - *lost* if no reading that began later holds it,
//! - *stale* if one does, which is as wrong, for readings are linearizable per element.
//!
//! An element that nobody added, whose addition was refused, or that was seen before its addition
//! began, is *unexpected*; one that a reading lists twice is *doubled*. Elements that no reading could
//! have seen are *never read*: if there is one, the verdict is unknown.
//!
//! It relies on a reading listing each key that is there throughout it, which is what one that pages
//! through shards promises: it is no snapshot, and none is asked for.

use std::collections::BTreeMap;

use super::register::promised;
use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, Mode, Operation, Outcome, Value};

#[derive(Clone, Copy, Debug)]
struct Element {
    place: usize,
    /// Where its addition began.
    call: u64,
    refused: bool,
    /// From where on each reading must hold it, and whose end that is.
    known: Option<(u64, usize)>,
    /// The last reading that held it began here.
    last_held: Option<u64>,
    /// A reading that had to hold it and did not.
    missed: Option<(u64, usize)>,
    read: bool,
}

/// Judges the set, if there is one.
pub fn set(history: &History) -> Option<Finding> {
    let mut elements = elements(history);
    let mut readings: Vec<(u64, u64, usize, &[u64])> = Vec::new();
    for (place, operation) in history.operations.iter().enumerate() {
        if let Some((end, seen)) = reading(operation) {
            readings.push((operation.call.index, end, place, seen));
        }
    }
    if elements.is_empty() && readings.is_empty() {
        return None;
    }
    let mut verdict = Verdict::Valid;
    // What readings saw is known from their ends.
    for &(call, end, place, seen) in &readings {
        for value in seen {
            match elements.get_mut(value) {
                Some(element) if element.call < end && !element.refused => {
                    element.known = Some(element.known.unwrap_or((end, place)).min((end, place)));
                    element.last_held = element.last_held.max(Some(call));
                }
                other => {
                    let found = unexpected(history, place, *value, other.map(|one| *one));
                    verdict = verdict.and(Verdict::Invalid(found));
                }
            }
        }
    }
    for &(call, _, place, seen) in &readings {
        let mut sorted = seen.to_vec();
        sorted.sort_unstable();
        if let Some(two) = sorted.windows(2).find(|two| two[0] == two[1]) {
            let why = format!("the element {} is doubled", two[0]);
            let found = CounterExample::of(history, why, vec![place]);
            verdict = verdict.and(Verdict::Invalid(found));
        }
        for (value, element) in &mut elements {
            if element.known.is_some_and(|(known, _)| known < call) {
                element.read = true;
                if sorted.binary_search(value).is_err() {
                    element.missed.get_or_insert((call, place));
                }
            }
        }
    }
    let (verdict, wrong) = missed(history, &elements, verdict);
    let grounds = format!("{} elements, {} readings{wrong}", elements.len(), readings.len());
    Some(Finding { checker: "set", verdict, grounds })
}

fn elements(history: &History) -> BTreeMap<u64, Element> {
    let mut elements = BTreeMap::new();
    for (place, operation) in history.operations.iter().enumerate() {
        let (Function::Add, Value::One(value)) = (operation.function, &operation.value) else {
            continue;
        };
        let (known, refused) = match &operation.outcome {
            Outcome::Ok(end, _) => (Some((end.index, place)), false),
            Outcome::Fail(..) => (None, true),
            Outcome::Open(..) => (None, false),
        };
        let call = operation.call.index;
        let element =
            Element { place, call, refused, known, last_held: None, missed: None, read: false };
        elements.insert(*value, element);
    }
    elements
}

fn reading(operation: &Operation) -> Option<(u64, &[u64])> {
    let is_fresh = promised(operation) != Some(Mode::Stale);
    match (&operation.outcome, operation.function) {
        (Outcome::Ok(end, answer), Function::ReadAll) if is_fresh => match &answer.value {
            Value::Many(seen) => Some((end.index, seen)),
            Value::Null | Value::One(_) | Value::Pair(..) => None,
        },
        _ => None,
    }
}

fn unexpected(
    history: &History,
    place: usize,
    value: u64,
    element: Option<Element>,
) -> CounterExample {
    let (why, places) = match element {
        None => (format!("nobody added {value}"), vec![place]),
        Some(one) if one.refused => {
            (format!("{value} is there, although its addition was refused"), vec![one.place, place])
        }
        Some(one) => (format!("{value} is there before it was added"), vec![one.place, place]),
    };
    CounterExample::of(history, why, places)
}

/// Adds what readings missed, and says how much that is.
fn missed(
    history: &History,
    elements: &BTreeMap<u64, Element>,
    mut verdict: Verdict,
) -> (Verdict, String) {
    let (mut lost, mut stale, mut never_read) = (0_usize, 0_usize, 0_usize);
    for (value, element) in elements {
        never_read +=
            usize::from(element.known.is_some() && !element.read && element.last_held.is_none());
        let (Some((call, place)), Some((_, by))) = (element.missed, element.known) else {
            continue;
        };
        let is_lost = element.last_held < Some(call);
        *(if is_lost { &mut lost } else { &mut stale }) += 1;
        let what = if is_lost { "is lost" } else { "is missing, and there again later" };
        let why = format!("the element {value} {what}");
        let found = CounterExample::of(history, why, vec![element.place, by, place]);
        verdict = verdict.and(Verdict::Invalid(found));
    }
    if never_read != 0 {
        let why = format!("{never_read} elements were known to nobody who read the set afterwards");
        verdict = verdict.and(Verdict::Unknown(why));
    }
    (verdict, format!("; {lost} lost, {stale} stale, {never_read} never read"))
}
