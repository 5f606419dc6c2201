//! The sandbox through its public face, against guests that misbehave in every way we know.

mod guests;
mod kit;
mod faults;
mod loading;
mod code_cache;
mod cases;
mod reader;
