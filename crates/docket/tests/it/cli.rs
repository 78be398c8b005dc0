//! The command line misused: every mistake ends with the right exit code, one clear message, and nothing changed.

use crate::harness::{Ask, LayoutFolder, SERVICE, Said, Server, Shell, Site, bytes_of, reviewed};

mod help;
mod keys;
mod names;
mod operator;
mod policy;
mod remote;

/// A document that is recognised by its content.
const SBOM: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;

/// A running registry with one image `wabbit/net-monitor:v1`, an admitted issuer `wabbit`, and a prompt beside it.
struct Desk {
    site: Site,
    server: Server,
    shell: Shell,
}

impl Desk {
    async fn new() -> Self {
        let site = Site::new();
        let shell = Shell::new(site.folder());
        shell.keys("wabbit");
        shell.docket("issuer add wabbit wabbit.pub --data data").expect(0);
        shell.write("sbom.cdx.json", SBOM);
        LayoutFolder::with_image(shell.path("net-monitor"), "v1", 1).await;
        let server = Server::start(&site);
        let desk = Self { site, server, shell };
        desk.docket("copy oci:net-monitor docker://@/wabbit/net-monitor:v1").expect(0);
        desk
    }

    /// Runs a command in which `@` stands for the registry.
    fn docket(&self, line: &str) -> Said {
        self.shell.docket(&line.replace('@', self.server.address()))
    }

    /// What the registry's ledger and the repository hold, to see that nothing was changed.
    fn state(&self) -> String {
        let list = self.docket("claim list @/wabbit/net-monitor:v1 --output json").expect(0);
        let show = self.docket("show @/wabbit/net-monitor:v1 --output json").expect(0);
        format!("{}{}", list.out, show.out)
    }
}
