//! Bytes in, proof out: COSE, Merkle tree, statements, receipts, trust.
