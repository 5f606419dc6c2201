//! The sandbox through its public face, against guests that misbehave in every way we know.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail as tests do"
)]

mod guests;
mod kit;
mod faults;
mod limits;
mod loading;
mod code_cache;
mod cases;
mod frozen;
mod reader;
