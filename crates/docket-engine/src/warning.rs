//! What a caller should hear although the call succeeded. Warnings come back with the answer they belong to.

use std::fmt;

use docket_oci::manifest::Kind;

/// One thing to know about what was done. Its text is for people; nothing may depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A manifest was kept although the repository lacks content that it names.
    Sparse {
        /// What the manifest is.
        kind: Kind,
        /// How many of the parts it names are absent.
        absent: usize,
    },
    /// A statement that brings receipts of elsewhere was kept and not registered here.
    NotRegistered {
        /// Why not.
        why: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sparse { kind, absent } => {
                let (whole, parts) = match kind {
                    Kind::Image => ("image", "blobs"),
                    Kind::Index => ("index", "manifests"),
                };
                write!(
                    formatter,
                    "the {whole} was kept, but {absent} of the {parts} it names are not in this repository; \
                     pulling those fails until they are pushed"
                )
            }
            Self::NotRegistered { why } => {
                write!(formatter, "the statement was kept with the receipts it has, but not registered here: {why}")
            }
        }
    }
}
