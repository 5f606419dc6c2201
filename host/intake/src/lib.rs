//! Bytes in, checked values out: archives, manifests, signatures.
