//! Garbage collection as an operator starts it, and beside everything that clients do.

mod command;
mod storm;
