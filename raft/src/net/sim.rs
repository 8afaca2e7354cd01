//! net/sim
