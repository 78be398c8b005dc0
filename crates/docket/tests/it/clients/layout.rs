//! Images as a build leaves them: an OCI image layout with real layers in a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use docket_oci::manifest::Descriptor;
use docket_oci::media;
use serde_json::{Value, json};

use crate::harness::{bytes_of, image_of, sha256};

/// A layout that is being filled.
pub(crate) struct Layout {
    folder: PathBuf,
    index: Vec<Value>,
}

/// One layer: the archive as it is pushed, and the digest of what is in it.
#[derive(Clone)]
pub(crate) struct Layer {
    descriptor: Descriptor,
    bytes: Vec<u8>,
    diff_id: String,
}

impl Layout {
    /// An empty layout in a new folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
        Self { folder, index: Vec::new() }
    }

    /// Adds an image for a platform and gives its manifest.
    pub(crate) fn image(&self, architecture: &str, layers: &[Layer]) -> Vec<u8> {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {"Cmd": ["/bin/net-monitor"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        layers.iter().for_each(|layer| self.write(&layer.bytes));
        self.write(&config);
        let descriptors: Vec<_> = layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let manifest = image_of(&Descriptor::of(media::OCI_IMAGE_CONFIG, &config), &descriptors);
        self.write(&manifest);
        manifest
    }

    /// Adds an index over images for several platforms and gives its bytes.
    pub(crate) fn index(&self, images: &[(&str, &[u8])]) -> Vec<u8> {
        let manifests = images.iter().map(|(architecture, image)| {
            let mut descriptor = json!(Descriptor::of(media::OCI_IMAGE_MANIFEST, image));
            descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
            descriptor
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": media::OCI_IMAGE_INDEX, "manifests": manifests.collect::<Vec<_>>(),
        });
        let index = index.to_string().into_bytes();
        self.write(&index);
        index
    }

    /// Gives a manifest a name in the layout.
    pub(crate) fn tag(&mut self, media_type: &str, manifest: &[u8], tag: &str) {
        let mut descriptor = json!(Descriptor::of(media_type, manifest));
        descriptor["annotations"] = json!({media::ANNOTATION_REF_NAME: tag});
        self.index.push(descriptor);
        let index = json!({"schemaVersion": 2, "manifests": self.index});
        std::fs::write(self.folder.join("index.json"), index.to_string()).expect("written");
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn write(&self, bytes: &[u8]) {
        std::fs::write(self.folder.join("blobs/sha256").join(sha256(bytes).hex()), bytes).expect("written");
    }
}

impl Layer {
    /// A gzipped tar archive of files with these names and sizes.
    pub(crate) fn new(workplace: &Path, seed: u64, files: &[(&str, usize)]) -> Self {
        let root = workplace.join(format!("layer-{seed}"));
        for (name, size) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            std::fs::write(path, bytes_of(seed, *size)).expect("written");
        }
        let archive = workplace.join(format!("layer-{seed}.tar"));
        let mut tar = Command::new("tar");
        run(tar.args(["--owner=0", "--group=0", "--mtime=@0", "-C"]).arg(&root).arg("-cf").arg(&archive).arg("."));
        let diff_id = sha256(&std::fs::read(&archive).expect("the archive")).to_string();
        let bytes = run(Command::new("gzip").args(["-n", "-c"]).arg(&archive));
        Self { descriptor: Descriptor::of(media::OCI_LAYER_GZIP, &bytes), bytes, diff_id }
    }
}

/// Every blob of a layout by its name.
pub(crate) fn blobs_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder.join("blobs/sha256")).expect("a layout");
    let blobs = files.map(|file| {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a digest");
        (name, std::fs::read(file.path()).expect("a blob"))
    });
    blobs.collect()
}

fn run(command: &mut Command) -> Vec<u8> {
    let done = command.output().unwrap_or_else(|failure| panic!("{command:?}: {failure}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}
