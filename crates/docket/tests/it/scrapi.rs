//! The transparency service: registration and receipts (SCRAPI), placement beside artifacts, and queries about claims.

mod entries;
mod keys;
mod placement;
mod queries;
