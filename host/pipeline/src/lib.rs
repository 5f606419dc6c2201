//! The flow of a submission: load, decide, commit.
