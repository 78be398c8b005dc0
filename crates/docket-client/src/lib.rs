//! Speaks to other registries.
