//! What the fuzz targets share: other readers to compare with, and archives built from parts. The targets
//! are in `fuzz_targets/`, one a kind of input; each states what must hold for every input there is.

pub mod python;
pub mod reading;
pub mod parts;
