//! The store on a real SQLite file, through its public interface.

mod fixture;
mod accepting;
mod claiming;
mod ledger;
mod holds;
mod similarity;
mod records;
mod opening;
