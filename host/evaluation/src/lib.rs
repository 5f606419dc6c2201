//! Sandboxed training: the process and Docker backends and the harness.
