//! Any bytes as an archive: what is accepted reads the same in the `zip` crate and in CPython.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    prism_fuzz::reading::check_archive(bytes);
    Corpus::Keep
});
