//! snapshot/plain
