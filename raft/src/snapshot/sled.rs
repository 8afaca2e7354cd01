//! snapshot/sled
