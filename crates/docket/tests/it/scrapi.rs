//! The transparency service: registration and receipts (SCRAPI), placement beside artifacts, and queries about claims.

mod conformance;
mod entries;
mod keys;
mod pending;
mod placement;
mod pushes;
mod queries;
