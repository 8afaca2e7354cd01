//! Scripts say what single commands do; properties say what holds whatever they do.

mod content;
mod properties;
mod scripts;
mod tree;
