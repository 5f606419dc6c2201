//! Archives of consistent parts with lies in them: what is accepted reads the same in the `zip` crate and
//! in CPython.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prism_fuzz::parts::Archive;

fuzz_target!(|archive: Archive| {
    prism_fuzz::reading::check_archive(&archive.build());
});
