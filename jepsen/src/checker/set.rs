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
//! began, is *unexpected*; one that a reading has twice is *doubled*. Elements that no reading could
//! have seen are *never read*: if there is one, the verdict is unknown.
//!
//! A reading goes key by key, or is a page of a list: of the keys after the last one of the page before,
//! to its own last one; without a page after it, of all that follow. No snapshot is asked for, neither
//! of pages together nor of the shards of one. A page reflects what was acknowledged before it was asked
//! for, and keys ascend, within a page and from page to page, which is why no element comes twice.
//! After a page without elements the one that follows begins nobody knows where: it is held to what was
//! known when the empty one was asked for.

use std::collections::BTreeMap;

use super::register::promised;
use super::{CounterExample, Finding, Verdict};
use crate::history::{Function, History, Mode, Operation, Outcome, Value};

#[derive(Clone, Copy, Debug)]
struct Element<'h> {
    place: usize,
    key: &'h str,
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

/// A reading that was answered.
#[derive(Clone, Copy, Debug)]
struct Reading<'h> {
    place: usize,
    call: u64,
    end: u64,
    seen: &'h [u64],
    /// What was known here must be in it.
    since: u64,
    page: Option<Page>,
}

/// Which part of the set a page is of.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// The element that it begins after.
    after: Option<u64>,
    /// Whether there is another after it.
    more: bool,
}

type Elements<'h> = BTreeMap<u64, Element<'h>>;

/// Judges the set, if there is one.
pub fn set(history: &History) -> Option<Finding> {
    let mut elements = elements(history);
    let readings = readings(history);
    if elements.is_empty() && readings.is_empty() {
        return None;
    }
    let mut verdict = Verdict::Valid;
    // What readings saw is known from their ends.
    for &Reading { place, call, end, seen, .. } in &readings {
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
    let mut by_key: Vec<(&str, u64)> =
        elements.iter().map(|(value, it)| (it.key, *value)).collect();
    by_key.sort_unstable();
    for reading in &readings {
        if let Some(why) = misplaced(&elements, reading) {
            let found = CounterExample::of(history, why, vec![reading.place]);
            verdict = verdict.and(Verdict::Invalid(found));
        }
        let mut sorted = reading.seen.to_vec();
        sorted.sort_unstable();
        for (_, value) in reading.part(&elements, &by_key) {
            let Some(element) = elements.get_mut(value) else { continue };
            if element.known.is_some_and(|(known, _)| known < reading.since) {
                element.read = true;
                if sorted.binary_search(value).is_err() {
                    element.missed.get_or_insert((reading.call, reading.place));
                }
            }
        }
    }
    let (verdict, wrong) = missed(history, &elements, verdict);
    let pages = readings.iter().filter(|reading| reading.page.is_some()).count();
    let grounds = format!(
        "{} elements, {} readings, {pages} pages of lists{wrong}",
        elements.len(),
        readings.len() - pages
    );
    Some(Finding { checker: "set", verdict, grounds })
}

fn elements(history: &History) -> Elements<'_> {
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
        let (call, key) = (operation.call.index, operation.key.map_or("", |key| history.key(key)));
        let (last_held, missed, read) = (None, None, false);
        let element = Element { place, key, call, refused, known, last_held, missed, read };
        elements.insert(*value, element);
    }
    elements
}

/// Returns all readings that were answered, in the order of their calls.
fn readings(history: &History) -> Vec<Reading<'_>> {
    let mut readings = Vec::new();
    // Of each client: after which element its last page had none, and since when it is there.
    let mut empty: BTreeMap<u64, (Option<u64>, u64)> = BTreeMap::new();
    for (place, operation) in history.operations.iter().enumerate() {
        let Some((end, seen)) = reading(operation) else { continue };
        let call = operation.call.index;
        let mut one = Reading { place, call, end, seen, since: call, page: None };
        if operation.function == Function::List {
            let after = match operation.value {
                Value::One(after) => Some(after),
                Value::Null | Value::Pair(..) | Value::Many(_) => None,
            };
            let page = operation.answer().and_then(|answer| answer.page.as_ref());
            let more = page.is_some_and(|page| page.more);
            match empty.get(&operation.process) {
                Some((there, since)) if *there == after => one.since = *since,
                Some(_) | None => {}
            }
            if more && seen.is_empty() {
                empty.insert(operation.process, (after, one.since));
            } else {
                empty.remove(&operation.process);
            }
            one.page = Some(Page { after, more });
        }
        readings.push(one);
    }
    readings
}

fn reading(operation: &Operation) -> Option<(u64, &[u64])> {
    let is_fresh = promised(operation) != Some(Mode::Stale);
    match (&operation.outcome, operation.function) {
        (Outcome::Ok(end, answer), Function::ReadAll | Function::List) if is_fresh => {
            match &answer.value {
                Value::Many(seen) => Some((end.index, seen)),
                Value::Null | Value::One(_) | Value::Pair(..) => None,
            }
        }
        _ => None,
    }
}

impl Reading<'_> {
    /// Returns the elements that it is of, by their keys.
    fn part<'k, 'h>(
        &self,
        elements: &Elements<'_>,
        by_key: &'k [(&'h str, u64)],
    ) -> &'k [(&'h str, u64)] {
        let Some(page) = self.page else { return by_key };
        let upto = |value: &u64| {
            let key = elements.get(value)?.key;
            Some(by_key.partition_point(|(other, _)| *other <= key))
        };
        let last = self.seen.last();
        let begins = page.after.as_ref().map_or(Some(0), upto);
        let ends = match (page.more, last) {
            (false, _) => Some(by_key.len()),
            (true, Some(last)) => upto(last),
            (true, None) => None,
        };
        // An element that nobody added is told as such, and where its key is nobody knows.
        begins.zip(ends).and_then(|(begins, ends)| by_key.get(begins..ends)).unwrap_or_default()
    }
}

/// Says what a reading has twice, or a list in the wrong order.
fn misplaced(elements: &Elements<'_>, reading: &Reading<'_>) -> Option<String> {
    let key = |value: u64| elements.get(&value).map_or("", |element| element.key);
    let mut values: Vec<u64> = reading.page.and_then(|page| page.after).into_iter().collect();
    values.extend(reading.seen);
    if reading.page.is_none() {
        values.sort_unstable();
    }
    let two = values.windows(2).find(|two| match (two[0] == two[1], reading.page) {
        (true, _) => true,
        (false, Some(_)) => key(two[1]) <= key(two[0]),
        (false, None) => false,
    })?;
    Some(if two[0] == two[1] {
        format!("the element {} is doubled", two[0])
    } else {
        format!("{} is listed after {}", key(two[1]), key(two[0]))
    })
}

fn unexpected(
    history: &History,
    place: usize,
    value: u64,
    element: Option<Element<'_>>,
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
fn missed(history: &History, elements: &Elements<'_>, mut verdict: Verdict) -> (Verdict, String) {
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
