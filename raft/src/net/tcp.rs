//! net/tcp
