//! What the tests share: a real PRISM process on a fresh database, and projects to send to it.

// A test that cannot set itself up must fail loudly; the lints that forbid panics are for the product.
mod server;
mod projects;
mod museum;
mod endpoint;

pub use endpoint::{Endpoint, Heard, Say};
pub use museum::{Exhibit, exhibits};
pub use projects::{Project, bundle, honest, zip_of};
pub use server::{Prism, Settings, TOKEN, binary};
