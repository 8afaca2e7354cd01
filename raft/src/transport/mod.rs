//! Framed connections between nodes.
