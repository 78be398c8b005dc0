//! The durability contract (ARCHITECTURE.md, "What an answer promises"): what was answered is there, byte for byte,
//! whatever happens to the process, the power or the disk.

mod disk;
mod faults;
mod kills;
mod power;
mod promises;
mod trace;
mod workload;
