//! disk/sim
