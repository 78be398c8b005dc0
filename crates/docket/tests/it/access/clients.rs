//! Clients with logins: skopeo and podman, written by others, and our own.

use std::process::{Command, Output};

use super::RULES;
use crate::clients::layout::{Layer, Layout};
use crate::harness::{Ask as _, Guarded, LayoutFolder, Shell, Site, password, said};

/// Runs a client with everything it remembers kept in the test's folder.
fn run(site: &Site, program: &str, arguments: &[&str]) -> Output {
    let logins = site.folder().join("auth.json");
    if !logins.exists() {
        // podman takes a file that is named but absent for a mistake.
        std::fs::write(&logins, "{}").expect("written");
    }
    let mut command = Command::new(program);
    command.current_dir(site.folder());
    command.env("HOME", site.folder()).env("XDG_DATA_HOME", site.folder()).env("XDG_RUNTIME_DIR", site.folder());
    command.env("REGISTRY_AUTH_FILE", logins).args(arguments);
    command.output().unwrap_or_else(|failure| {
        panic!("{program} could not be started ({failure}); on Debian, apt-get install {program} brings it")
    })
}

fn done(site: &Site, program: &str, arguments: &[&str]) -> Output {
    let output = run(site, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", said(&output));
    output
}

fn refused(site: &Site, program: &str, arguments: &[&str]) -> String {
    let output = run(site, program, arguments);
    assert!(!output.status.success(), "{program} {arguments:?} went through");
    said(&output)
}

#[tokio::test]
async fn skopeo_logs_in_pushes_and_pulls_beside_anonymous_pulls() {
    let guarded = Guarded::start(RULES);
    let (site, address) = (&guarded.site, guarded.server.address());
    LayoutFolder::with_image(site.folder().join("in"), "v1", 1).await;
    let source = format!("oci:{}:v1", site.folder().join("in").display());
    let out = |name: &str| format!("oci:{}:v1", site.folder().join(name).display());
    let remote = |name: &str| format!("docker://{address}/{name}:v1");
    let options = ["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let copied = |from: &str, to: &str| {
        done(site, "skopeo", &[&options[..], &[from, to]].concat());
    };
    let not_copied = |from: &str, to: &str| refused(site, "skopeo", &[&options[..], &[from, to]].concat());

    let said = not_copied(&source, &remote("team/app"));
    assert!(said.contains("denied"), "{said}");
    let wrong = refused(site, "skopeo", &["login", "--tls-verify=false", "-u", "alice", "-p", "wrong", address]);
    assert!(wrong.contains("invalid username/password") || wrong.contains("unauthorized"), "{wrong}");
    done(site, "skopeo", &["login", "--tls-verify=false", "-u", "alice", "-p", &password("alice"), address]);
    for name in ["team/app", "public/app", "secret/app"] {
        copied(&source, &remote(name));
        copied(&source, &remote(name));
    }
    copied(&remote("secret/app"), &out("secret"));
    done(site, "skopeo", &["delete", "--tls-verify=false", &remote("secret/app")]);
    done(site, "skopeo", &["logout", address]);

    // The same host serves who is not logged in, as far as rules go.
    copied(&remote("public/app"), &out("public"));
    for said in [not_copied(&remote("team/app"), &out("nothing")), not_copied(&source, &remote("public/app"))] {
        assert!(["unauthorized", "denied"].iter().any(|word| said.contains(word)), "{said}");
    }
    // Another account reads, and is told what it may not.
    done(site, "skopeo", &["login", "--tls-verify=false", "-u", "carol", "-p", &password("carol"), address]);
    copied(&remote("team/app"), &out("team"));
    let denied = not_copied(&source, &remote("team/app"));
    assert!(denied.contains("denied") && denied.contains("carol may not push to team/app"), "{denied}");
    guarded.server.stop().await;
    guarded.site.fsck_clean();
}

#[tokio::test]
async fn podman_logs_in_pushes_and_pulls_beside_anonymous_pulls() {
    let guarded = Guarded::start(RULES);
    let (site, address) = (&guarded.site, guarded.server.address());
    let mut layout = Layout::new(site.folder().join("in"));
    let manifest = layout.image("amd64", &[Layer::new(site.folder(), 1, &[("etc/hostname", 7)])]);
    layout.tag(docket_oci::media::OCI_IMAGE_MANIFEST, &manifest, "v1");
    let storage = |name: &str| {
        let at = |part: &str| site.folder().join(name).join(part).display().to_string();
        ["--root".to_owned(), at("root"), "--runroot".to_owned(), at("run"), "--storage-driver=vfs".to_owned()]
    };
    let with = |name: &str, arguments: &[&str]| {
        storage(name).into_iter().chain(arguments.iter().map(|text| (*text).to_owned())).collect::<Vec<_>>()
    };
    let podman = |name: &str, arguments: &[&str]| {
        run(site, "podman", &with(name, arguments).iter().map(String::as_str).collect::<Vec<_>>())
    };
    let well = |output: Output| {
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    // A path would become part of the image's name, which takes no upper case.
    let image = well(podman("one", &["pull", "-q", "oci:in:v1"]));
    let team = format!("{address}/team/app:v1");
    let public = format!("{address}/public/app:v1");
    let push = |to: &str| podman("one", &["push", "-q", "--tls-verify=false", &image, to]);
    let pull = |from: &str| podman("two", &["pull", "-q", "--tls-verify=false", from]);
    assert!(!push(&team).status.success());
    well(podman("one", &["login", "--tls-verify=false", "-u", "alice", "-p", &password("alice"), address]));
    well(push(&team));
    well(push(&public));
    well(pull(&team));
    well(podman("one", &["logout", address]));
    well(pull(&public));
    assert!(!pull(&team).status.success());
    assert!(!push(&public).status.success());
    guarded.server.stop().await;
    guarded.site.fsck_clean();
}

#[tokio::test]
async fn our_own_client_uses_the_logins_of_docker() {
    let site = Site::new();
    let shell = Shell::new(site.folder());
    shell.keys("wabbit");
    shell.docket("issuer add wabbit wabbit.pub --data data").expect(0);
    shell.write("sbom.cdx.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
    LayoutFolder::with_image(shell.path("net-monitor"), "v1", 1).await;
    let guarded = Guarded::start_on(site, RULES);
    let address = guarded.server.address().to_owned();
    let docket = |line: &str| shell.docket(&line.replace('@', &address));
    let log_in = |who: &str| {
        let config = serde_json::json!({ "auths": { &address: { "username": who, "password": password(who) } } });
        std::fs::create_dir_all(shell.path(".docker")).expect("a folder");
        shell.write(".docker/config.json", config.to_string());
    };
    let push = "copy oci:net-monitor docker://@/team/net-monitor:v1";
    let claim = "claim add @/team/net-monitor:v1 --evidence sbom.cdx.json --key wabbit.key";
    docket(push).fails(1, &["anonymous may not push to team/net-monitor", "no access rule allows it"]);
    log_in("carol");
    docket(push).fails(1, &["carol may not push to team/net-monitor"]);
    log_in("bob");
    docket(push).expect(0);
    docket(claim).fails(1, &["bob may not register claims with team/net-monitor"]);
    log_in("alice");
    docket(claim).expect(0);
    docket("claim list @/team/net-monitor:v1").expect(0).says(&["https://wabbit.example"]);
    let fingerprint = guarded.site.receipt_key().thumbprint();
    let trust = docket(&format!("trust pin @ --fingerprint {fingerprint}")).expect(0).out;
    shell.write("trust.toml", trust);
    log_in("carol");
    docket("verify @/team/net-monitor:v1 --trust trust.toml").expect(0).says(&["allowed"]);
    docket("claim list @/team/net-monitor:v1").expect(0).says(&["https://wabbit.example"]);
    docket("copy --claims docker://@/team/net-monitor:v1 oci-archive:net-monitor.tar").expect(0);
    std::fs::remove_dir_all(shell.path(".docker")).expect("removed");
    docket("verify @/team/net-monitor:v1 --trust trust.toml")
        .fails(2, &["anonymous may not pull from team/net-monitor"]);
    docket("claim list @/team/net-monitor:v1").fails(1, &["anonymous"]);
    guarded.request("", "GET", "/v2/").expect(401).await;
    guarded.server.stop().await;
    guarded.site.fsck_clean();
}
