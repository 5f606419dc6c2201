//! The database: submissions, jobs, measurements, decisions, the ledger.
