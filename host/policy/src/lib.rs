//! The sandbox that runs policy components and the Python reader.
