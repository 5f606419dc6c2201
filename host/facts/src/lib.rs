//! Python facts.
