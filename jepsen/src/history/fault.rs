//! Faults: from the event that breaks something to the one that repairs it, as one thing.

use super::event::{Event, Function};
use super::operation::History;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which one.
    pub name: String,
    /// Its place in the schedule, if it is told: two of one name may last at the same time.
    pub step: Option<u64>,
    /// When it began.
    pub from_ns: u64,
    /// When it was repaired, if it was.
    pub until_ns: Option<u64>,
    /// Whom it hit.
    pub nodes: Vec<u64>,
    /// Whether it did anything, as far as its events say.
    pub bit: Option<bool>,
}

/// Returns the faults of a history in the order in which they began. Events belong to one fault by
/// its name and, where both tell it, its step, until it is healed; a heal without a name ends all.
pub fn faults(history: &History) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for event in &history.faults {
        let (name, step) = (name(event), step(event));
        let is_it = |fault: &&mut Fault| {
            let same_step = fault.step.zip(step).is_none_or(|(one, other)| one == other);
            let same_name = name.is_none_or(|name| fault.name == name);
            fault.until_ns.is_none() && same_name && same_step
        };
        if event.function == Function::Heal {
            for fault in faults.iter_mut().filter(is_it) {
                note(fault, event);
                fault.until_ns = Some(event.time_ns);
            }
        } else if let Some(fault) = faults.iter_mut().find(is_it) {
            note(fault, event);
        } else {
            let name = name.unwrap_or("fault").to_owned();
            let from_ns = event.time_ns;
            let (until_ns, nodes, bit) = (None, Vec::new(), None);
            let mut fault = Fault { name, step, from_ns, until_ns, nodes, bit };
            note(&mut fault, event);
            faults.push(fault);
        }
    }
    faults
}

fn name(event: &Event) -> Option<&str> {
    event.fault.as_ref()?.get("name")?.as_str()
}

fn step(event: &Event) -> Option<u64> {
    event.fault.as_ref()?.get("step")?.as_u64()
}

/// Adds what an event says of a fault.
fn note(fault: &mut Fault, event: &Event) {
    let Some(said) = &event.fault else { return };
    if let Some(bit) = said.get("bit").and_then(serde_json::Value::as_bool) {
        fault.bit = Some(fault.bit.unwrap_or_default() || bit);
    }
    let nodes = said.get("nodes").and_then(serde_json::Value::as_array);
    for node in nodes.into_iter().flatten().filter_map(serde_json::Value::as_u64) {
        if !fault.nodes.contains(&node) {
            fault.nodes.push(node);
        }
    }
}
