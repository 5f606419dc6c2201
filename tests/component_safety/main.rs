//! Components and sets that are not to be trusted, through the real server: who signed them, what they do to
//! the host, and how they are taken out of force.

mod server;
mod signatures;
mod hostile;
mod answers;
mod ends;
#[path = "../../host/policy/tests/policy/guests.rs"]
#[allow(dead_code, reason = "each of the two test programs uses some of the guests")]
mod guests;
