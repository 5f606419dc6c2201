//! The hostile requests of `tests/hostile/http.json` against a real server, over raw connections where no
//! client would send such a thing. Each case names the test that tries it, in the doc comment of that
//! test, or stands in the table of those that do not apply.

mod asking;
mod table;
mod senders;
mod signatures;
mod bodies;
mod framing;
mod floods;
mod secrets;
mod reading;
