//! The flow with a real database, and policies and an evaluator that say what the test wants.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod fixture;
mod tries;
mod policy_holds;
mod pinned;
mod evaluations;
mod rules;
mod rematches;
mod references;
mod capsules;
mod backtests;
