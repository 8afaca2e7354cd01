//! disk/real
