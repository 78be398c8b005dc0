//! Keeps bytes and rows.
