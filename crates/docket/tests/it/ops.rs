//! The server as whoever runs it sees it: metrics, health, stop.

mod health;
mod metrics;
mod reload;
mod stop;
