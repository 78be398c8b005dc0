//! References as people write them on a command line: a transport and what it leads to.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use docket_oci::ImageReference;

use crate::error::ClientError;

/// Where an artifact is, in the words that skopeo taught everybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transport {
    /// `docker://host/name:tag`, or the same without the prefix: a registry.
    Registry(ImageReference),
    /// `oci:path[:name]`: an image layout in a folder.
    Layout {
        /// The folder.
        path: PathBuf,
        /// The name or digest of one artifact in it.
        reference: Option<String>,
    },
    /// `oci-archive:path[:name]`: an image layout in a tar file.
    Archive {
        /// The file.
        path: PathBuf,
        /// The name or digest of one artifact in it.
        reference: Option<String>,
    },
}

impl FromStr for Transport {
    type Err = ClientError;

    /// The path ends at the first colon, as in skopeo: `oci:net-monitor:v1` is the folder `net-monitor` and the name `v1`.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, reference) = split_path(text, rest)?;
            return Ok(Self::Layout { path, reference });
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (path, reference) = split_path(text, rest)?;
            return Ok(Self::Archive { path, reference });
        }
        let image = text.strip_prefix("docker://").unwrap_or(text);
        if image.contains("://") {
            return Err(ClientError::Transport { text: text.to_owned() });
        }
        let image = image.parse().map_err(|source| ClientError::Reference { text: text.to_owned(), source })?;
        Ok(Self::Registry(image))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, path, reference) = match self {
            Self::Registry(image) => return write!(f, "docker://{image}"),
            Self::Layout { path, reference } => ("oci", path, reference),
            Self::Archive { path, reference } => ("oci-archive", path, reference),
        };
        write!(f, "{prefix}:{}", path.display())?;
        reference.iter().try_for_each(|reference| write!(f, ":{reference}"))
    }
}

/// The longest name of an artifact inside a layout.
pub const LAYOUT_NAME_BYTES_MAX: usize = 512;

fn split_path(text: &str, rest: &str) -> Result<(PathBuf, Option<String>), ClientError> {
    let (path, reference) = match rest.split_once(':') {
        Some((path, reference)) => (path, Some(reference)),
        None => (rest, None),
    };
    let is_name = |name: &str| {
        (1..=LAYOUT_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if path.is_empty() || !reference.is_none_or(is_name) {
        return Err(ClientError::Transport { text: text.to_owned() });
    }
    Ok((PathBuf::from(path), reference.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Transport>().expect(text).to_string()
    }

    #[test]
    fn each_transport_reads_back_as_written() {
        let digest = format!("oci:a:sha256:{}", "0".repeat(64));
        for text in
            ["docker://localhost:5000/a/b:v1", "oci:net-monitor", "oci:/tmp/a:v1", "oci-archive:a.tar:x/y:v1", &digest]
        {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn a_bare_reference_is_a_registry_and_means_latest() {
        assert_eq!(shown("localhost:5000/a"), "docker://localhost:5000/a:latest");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long = format!("oci:a:{}", "n".repeat(LAYOUT_NAME_BYTES_MAX + 1));
        for text in
            ["", "oci:", "oci::v1", "oci:a:", "oci:a:b c", "https://host/a", "containers-storage:x", "alpine", &long]
        {
            assert!(text.parse::<Transport>().is_err(), "{text}");
        }
        assert!(long[..long.len() - 1].parse::<Transport>().is_ok());
    }
}
