//! PRISM.
fn main() {}
