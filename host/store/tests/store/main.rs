//! The store on a real SQLite file, through its public interface.
#![expect(clippy::expect_used, reason = "the fixture is part of the tests")]

mod fixture;
mod accepting;
mod quota;
mod turns;
mod claiming;
mod ledger;
mod holds;
mod similarity;
mod policies;
mod records;
mod opening;
