//! Use cases: what Docket does.
