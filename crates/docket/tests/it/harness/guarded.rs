//! A server with access rules, and accounts that call it.

use std::path::PathBuf;

use super::{Answer, Ask as _, Server, Site, escaped};

/// A site and a server on it with rules and accounts.
pub(crate) struct Guarded {
    pub site: Site,
    pub server: Server,
}

impl Guarded {
    /// Starts a server with these rules (TOML below `[access]`). There are `alice`, `bob` and `carol`.
    pub(crate) fn start(rules: &str) -> Self {
        Self::start_on(Site::new(), rules)
    }

    /// The same on a site that was prepared.
    pub(crate) fn start_on(site: Site, rules: &str) -> Self {
        let server = try_start(&site, rules).unwrap_or_else(|log| panic!("the server did not start: {log}"));
        Self { site, server }
    }

    /// What a server says that refuses these rules.
    pub(crate) fn refused(rules: &str) -> String {
        try_start(&Site::new(), rules).err().expect("it does not start")
    }

    /// Changes the rules, and the accounts if given, while the server runs.
    pub(crate) fn change(&self, rules: &str, htpasswd: &str) {
        std::fs::write(self.site.folder().join("htpasswd"), htpasswd).expect("accounts are written");
        write_rules(&self.site, rules);
        let reloaded = self.site.docket(&["reload"]);
        assert!(reloaded.status.success(), "docket reload: {}", super::said(&reloaded));
    }

    /// A request of an account, or for an empty name of somebody unknown.
    pub(crate) fn request(&self, who: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.server.request(method, path);
        if who.is_empty() { request } else { request.basic_auth(who, Some(password(who))) }
    }

    /// A request with a token.
    pub(crate) fn with_token(&self, token: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.server.request(method, path).bearer_auth(token)
    }

    /// The answer of the token server.
    pub(crate) async fn ask_token(&self, who: &str, scopes: &[&str]) -> Answer {
        let scopes: Vec<_> = scopes.iter().map(|scope| format!("scope={}", escaped(scope))).collect();
        self.request(who, "GET", &format!("/v2/_docket/token?{}", scopes.join("&"))).answer().await
    }

    /// A token for scopes.
    pub(crate) async fn token(&self, who: &str, scopes: &[&str]) -> String {
        let answer = self.ask_token(who, scopes).await.expecting(200).json();
        answer["token"].as_str().expect("a token").to_owned()
    }
}

/// The password of an account.
pub(crate) fn password(account: &str) -> String {
    format!("{account}-secret")
}

fn try_start(site: &Site, rules: &str) -> Result<Server, String> {
    std::fs::write(site.folder().join("htpasswd"), HTPASSWD).expect("accounts are written");
    write_rules(site, rules);
    Server::try_start_configured(site, &configuration(site))
}

fn configuration(site: &Site) -> PathBuf {
    site.folder().join("docket.toml")
}

fn write_rules(site: &Site, rules: &str) {
    let htpasswd = site.folder().join("htpasswd");
    let text = format!(
        "log = \"trace\"\naccess_log = \"all\"\n[access]\nhtpasswd = {:?}\n{rules}",
        htpasswd.to_str().expect("a plain path")
    );
    std::fs::write(configuration(site), text).expect("rules are written");
}

/// Made by `htpasswd -B -C 4`, the cheapest cost there is.
pub(crate) const HTPASSWD: &str = "\
alice:$2y$04$BNfy8U7KWQHFG0X7sCT5bO.S/5Wv448PHBVtPLqA9L6UzxT92234S
bob:$2y$04$6CPaxrxf/IVbvQD0Dmnc7u3n5wFmm.zHApWTqIQEZ6HEfw2nx8U/q
carol:$2y$04$6odmJE8Y7u1dX.6mI0PNKuOao41PGPiTHWDWWmXqHkobIeq0hUKym
";
