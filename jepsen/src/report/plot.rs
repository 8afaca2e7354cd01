//! A drawing with time from left to right.

use std::fmt::Write;

use super::words::escaped;
use crate::history::Fault;

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 22.0;

/// A drawing of a span of time.
#[derive(Debug)]
pub(super) struct Plot {
    from_ns: u64,
    until_ns: u64,
    /// Of what is drawn in, without margins.
    height: f64,
    body: String,
}

impl Plot {
    pub(super) fn new(from_ns: u64, until_ns: u64, height: f64) -> Self {
        let until_ns = until_ns.max(from_ns + 1_000);
        Self { from_ns, until_ns, height, body: String::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "a drawing has few places")]
    pub(super) fn x(&self, at_ns: u64) -> f64 {
        let at_ns = at_ns.clamp(self.from_ns, self.until_ns);
        let part = (at_ns - self.from_ns) as f64 / (self.until_ns - self.from_ns) as f64;
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    /// From the height of a part of the whole, 0 at the bottom.
    pub(super) fn y(&self, part: f64) -> f64 {
        TOP + (1.0 - part.clamp(0.0, 1.0)) * self.height
    }

    /// Adds SVG.
    pub(super) fn add(&mut self, svg: &str) {
        self.body.push_str(svg);
    }

    /// Shades the faults.
    pub(super) fn shade(&mut self, faults: &[Fault]) {
        for fault in faults {
            let until_ns = fault.until_ns.unwrap_or(self.until_ns);
            if until_ns < self.from_ns || self.until_ns < fault.from_ns {
                continue;
            }
            let (x, height) = (self.x(fault.from_ns), self.height);
            let width = (self.x(until_ns) - x).max(1.5);
            let nodes: Vec<String> = fault.nodes.iter().map(|node| format!("n{node}")).collect();
            let title = escaped(&format!("{} {}", fault.name, nodes.join(" ")));
            self.add(&format!(
                "<rect class=\"fault\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
                 height=\"{height}\"><title>{title}</title></rect>"
            ));
        }
    }

    /// Writes the names of the faults at the top.
    pub(super) fn name(&mut self, faults: &[Fault]) {
        for fault in faults {
            let (x, name) = (self.x(fault.from_ns) + 3.0, escaped(&fault.name));
            let width = self.x(fault.until_ns.unwrap_or(self.until_ns)) - x;
            if 30.0 < width {
                self.add(&format!("<text class=\"name\" x=\"{x:.1}\" y=\"18\">{name}</text>"));
            }
        }
    }

    /// Draws a line across, with a label at the left.
    pub(super) fn rule(&mut self, part: f64, label: &str) {
        let (y, right) = (self.y(part), WIDTH - RIGHT);
        let (x, below, label) = (LEFT - 6.0, y + 4.0, escaped(label));
        self.add(&format!(
            "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"label\" x=\"{x}\" y=\"{below:.1}\">{label}</text>"
        ));
    }

    /// Draws points, connected where they follow each other.
    pub(super) fn line(&mut self, class: &str, points: &[(u64, Option<f64>)]) {
        let mut path = String::new();
        let mut pen = 'M';
        for &(at_ns, part) in points {
            let Some(part) = part else {
                pen = 'M';
                continue;
            };
            let (x, y) = (self.x(at_ns), self.y(part));
            write!(path, "{pen}{x:.1} {y:.1}").expect("text takes text");
            pen = 'L';
        }
        self.add(&format!("<path class=\"line {class}\" d=\"{path}\"/>"));
    }

    /// Draws a bar in a row.
    pub(super) fn bar(
        &mut self,
        class: &str,
        (from_ns, until_ns): (u64, u64),
        row: (f64, f64),
        title: &str,
    ) {
        let x = self.x(from_ns);
        let width = (self.x(until_ns) - x).max(1.0);
        let (y, height, title) = (TOP + row.0, row.1, escaped(title));
        self.add(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"><title>{title}</title></rect>"
        ));
    }

    /// Writes at a moment, in a row.
    pub(super) fn text(&mut self, at_ns: u64, y: f64, text: &str) {
        let (x, y, text) = (self.x(at_ns) + 3.0, TOP + y, escaped(text));
        self.add(&format!("<text class=\"mark\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"));
    }

    /// Returns the whole, with seconds along the bottom.
    #[expect(clippy::cast_precision_loss, reason = "a drawing has few places")]
    pub(super) fn finish(mut self) -> String {
        let below = TOP + self.height;
        let span_ns = self.until_ns - self.from_ns;
        let step_ns = step_ns(span_ns);
        // As many places as the step has, so that no label is rounded.
        let places = 9_usize.saturating_sub(step_ns.ilog10() as usize);
        let mut at_ns = self.from_ns.next_multiple_of(step_ns);
        while at_ns <= self.until_ns {
            let (x, y) = (self.x(at_ns), below + 16.0);
            let label = format!("{:.places$}", at_ns as f64 / 1e9);
            self.add(&format!(
                "<line class=\"rule\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{below}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{y}\">{label} s</text>"
            ));
            at_ns += step_ns;
        }
        let height = below + BOTTOM;
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">{}</svg>", self.body)
    }
}

/// Returns the time between two labels of an axis: 1, 2 or 5 of some power of ten, and ten at most.
fn step_ns(span_ns: u64) -> u64 {
    let steps = (0..19).flat_map(|places| [1, 2, 5].map(|first| first * 10_u64.pow(places)));
    let mut steps = steps.filter(|step_ns| span_ns / step_ns <= 10);
    steps.next().unwrap_or(u64::MAX)
}
