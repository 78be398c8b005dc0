//! The words of OCI, spoken by server and client alike.
