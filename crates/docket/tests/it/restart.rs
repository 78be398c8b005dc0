//! Whatever ends the server, what it answered is there afterwards.

mod answered;
mod backup;
mod crashes;
mod folders;
mod hammer;
mod random;
mod rollback;
mod stops;
mod uploads;
