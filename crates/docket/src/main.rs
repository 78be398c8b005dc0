//! How people and programs reach Docket.
fn main() {}
