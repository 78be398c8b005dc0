//! The story that Docket must tell, from an empty folder to verification on a machine with no network, as people read it.

use serde_json::Value;

use crate::harness::{LayoutFolder, Said, Server, Shell, Site, reviewed};

const SBOM: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"net-monitor"}]}"#;

#[tokio::test]
async fn the_story_is_told_from_init_to_offline_verification() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    LayoutFolder::with_image(shell.path("net-monitor"), "v1", 1).await;
    shell.write("sbom.cdx.json", SBOM);

    let mut told = Transcript::default();
    let made = told.done(shell.docket("init --data data --service-id https://registry.wabbit.example"));
    let server = Server::start_observing(&site);
    let image = format!("{}/wabbit/net-monitor:v1", server.address());
    told.done(shell.docket("keys generate --out wabbit.key --issuer https://wabbit.example"));
    told.done(shell.docket("issuer add wabbit wabbit.pub --data data"));
    told.done(shell.docket("issuer list --data data"));
    told.done(shell.docket(&format!("copy oci:net-monitor docker://{image}")));
    told.done(shell.docket(&format!("claim add {image} --evidence sbom.cdx.json --key wabbit.key")));
    told.done(shell.docket(&format!("claim list {image}")));
    told.done(shell.docket(&format!("show {image}")));
    told.done(shell.docket(&format!("history {image}")));
    let (address, fingerprint) = (server.address(), fingerprint(&made));
    let pinned = told.done(shell.docket(&format!("trust pin http://{address} --fingerprint {fingerprint}")));
    shell.write("trust.toml", &pinned.out);
    told.done(shell.docket(&format!("verify {image} --trust trust.toml")));
    told.done(shell.docket(&format!("copy --claims docker://{image} oci-archive:net-monitor.tar")));
    server.stop().await;
    told.done(shell.docket("verify oci-archive:net-monitor.tar --trust trust.toml"));
    told.done(shell.docket("show oci-archive:net-monitor.tar"));
    told.done(shell.docket("fsck --data data"));
    reviewed("story", &told.text);
}

/// What a program reads must be what a person reads: each word of the text that names something is found in the JSON.
#[tokio::test]
async fn programs_get_the_same_facts_as_people() {
    let site = Site::without_data();
    let shell = Shell::new(site.folder());
    LayoutFolder::with_image(shell.path("net-monitor"), "v1", 1).await;
    shell.write("sbom.cdx.json", SBOM);
    let init = |data: &str| format!("init --data {data} --service-id https://registry.wabbit.example");
    let made = shell.docket(&init("data")).expect(0);
    same_form(&made, &shell.docket(&format!("{} --output json", init("other"))).expect(0));
    let server = Server::start_observing(&site);
    let image = format!("{}/wabbit/net-monitor:v1", server.address());
    shell.keys("wabbit");
    let both = |line: &str| {
        let text = shell.docket(line).expect(0);
        same_facts(&text, &shell.docket(&format!("{line} --output json")).expect(0));
    };
    both("issuer add wabbit wabbit.pub --data data");
    both("issuer list --data data");
    shell.docket(&format!("copy oci:net-monitor docker://{image}")).expect(0);
    both(&format!("copy oci:net-monitor docker://{image}"));
    let add = format!("claim add {image} --evidence sbom.cdx.json --key wabbit.key");
    let claimed = shell.docket(&format!("{add} --output json")).expect(0).json();
    let listed = shell.docket(&format!("claim list {image}")).expect(0).out;
    for fact in ["entry", "issuer", "type", "service", "artifact"] {
        let fact = claimed[fact].as_str().expect("text");
        assert!(listed.contains(fact), "{fact} is missing from {listed}");
    }
    let location = claimed["location"].as_str().expect("a path");
    assert!(location.ends_with(claimed["entry"].as_str().expect("text")), "{location}");
    both(&format!("claim list {image}"));
    both(&format!("show {image}"));
    both(&format!("history {image}"));
    let (address, fingerprint) = (server.address(), fingerprint(&made));
    let pinned = shell.docket(&format!("trust pin http://{address} --fingerprint {fingerprint}")).expect(0);
    shell.write("trust.toml", &pinned.out);
    both(&format!("verify {image} --trust trust.toml"));
    shell.docket(&format!("copy --claims docker://{image} oci:copied:v1")).expect(0);
    for command in ["claim list oci:copied", "show oci:copied", "verify oci:copied --trust trust.toml"] {
        both(command);
    }
    both("fsck --data data");
}

/// Insists that each fact of the text stands in the JSON too.
fn same_facts(text: &Said, json: &Said) {
    assert_eq!(json.json(), serde_json::from_str::<Value>(&json.out).expect("one document"));
    let document = json.json().to_string();
    for word in text.out.split_whitespace() {
        let word = word.trim_matches(|character: char| !character.is_ascii_alphanumeric()).trim_end_matches("...");
        let digest = word.rsplit_once('@').map_or(word, |(_, digest)| digest);
        let names_something = digest.contains(['/', ':']) || digest.len() >= 12 || digest.parse::<u64>().is_ok();
        assert!(!names_something || document.contains(digest), "{digest:?} is missing from: {}", json.transcript());
    }
}

/// Insists that the two speak of the same things, though not with the same values.
fn same_form(text: &Said, json: &Said) {
    for line in text.out.lines() {
        let name = line.split_whitespace().next().expect("a name");
        assert!(json.json().get(name).is_some(), "{name:?} is missing from: {}", json.transcript());
    }
}

/// Everything that was said, one command after the other.
#[derive(Default)]
struct Transcript {
    text: String,
}

impl Transcript {
    /// Notes a command that must have gone well.
    fn done(&mut self, said: Said) -> Said {
        let said = said.expect(0);
        self.text.push_str(&said.transcript());
        self.text.push('\n');
        said
    }
}

/// The fingerprint that `docket init` printed.
fn fingerprint(made: &Said) -> String {
    let line = made.out.lines().find_map(|line| line.strip_prefix("fingerprint"));
    line.expect("init prints a fingerprint").trim().to_owned()
}
