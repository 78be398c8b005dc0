//! Registrations that take longer than their caller is kept waiting: 202 and the place of the receipt, 204 until it is
//! there, 404 if it will never be.

use docket_proof::statement::SignedStatement;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::harness::{Answer, Ask as _, Issuer, Server, Site, sha256};

const FACES: [&str; 2] = ["/entries", "/v2/a/_scitt/ledger/entries"];
/// Short, so that tests need not wait.
const SHORT: (&str, &str) = ("DOCKET_LIMITS__REGISTRATION_WAIT", "50ms");

const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'refused by a test'); END";
const MEND: &str = "DROP TRIGGER refuse";

/// Somebody who has the database to himself; what he does there shows when he lets go.
struct Hold(SqliteConnection);

impl Hold {
    async fn of(site: &Site) -> Self {
        let options = SqliteConnectOptions::new().filename(site.data().join("docket.db"));
        let mut hold = Self(SqliteConnection::connect_with(&options).await.expect("opened"));
        hold.run("BEGIN IMMEDIATE").await;
        hold
    }

    async fn run(&mut self, text: &str) {
        sqlx::query(AssertSqlSafe(text.to_owned())).execute(&mut self.0).await.expect("done");
    }

    async fn let_go(mut self) {
        self.run("COMMIT").await;
        self.0.close().await.expect("closed");
    }
}

async fn served() -> (Site, Issuer, Server, Vec<u8>) {
    let site = Site::new();
    let issuer = site.admit("wabbit");
    let server = Server::start_with(&site, &[SHORT]);
    let image = server.repository("a").push_image("v1", 1).await;
    (site, issuer, server, image)
}

async fn post(server: &Server, face: &str, statement: &[u8]) -> Answer {
    server.request("POST", face).header("content-type", "application/cose").body(statement.to_vec()).answer().await
}

/// Sends a statement that nothing stands in the way of; a slow machine may take longer than the wait all the same.
async fn resend(server: &Server, face: &str, statement: &[u8]) -> String {
    let answer = post(server, face, statement).await;
    assert!(matches!(answer.status, 201 | 202), "{}", answer.status);
    answer.location()
}

/// Asks until something else than 204 is said; the server's deadline on its disk bounds this.
async fn settled(server: &Server, location: &str) -> Answer {
    loop {
        let answer = server.request("GET", location).answer().await;
        if answer.status != 204 {
            return answer;
        }
    }
}

fn is_waiting(answer: &Answer, location: &str) {
    assert_eq!((answer.location().as_str(), answer.header("retry-after")), (location, Some("1")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn what_takes_long_is_202_then_204_then_200_at_one_location() {
    let (site, issuer, server, image) = served().await;
    for face in FACES {
        let statement = issuer.about(&sha256(&image), "text/plain", face.as_bytes());
        let entry = SignedStatement::decode(&statement).expect("ours").entry_id();
        let location = format!("{face}/{entry}");
        let hold = Hold::of(&site).await;
        // The same again, while it is under way, is the same registration.
        for _ in 0..2 {
            is_waiting(&post(&server, face, &statement).await.expecting(202), &location);
            is_waiting(&server.request("GET", &location).expect(204).await, &location);
        }
        // What is to be placed nowhere is pending in no repository.
        let elsewhere = if face == FACES[0] { format!("{}/{entry}", FACES[1]) } else { location.replace("/a/", "/b/") };
        server.request("GET", &elsewhere).expect(404).await;
        hold.let_go().await;
        let receipt = settled(&server, &location).await.expecting(200);
        receipt.receipt(&statement, &site.receipt_key());
        assert_eq!(receipt.location(), location);
        assert_eq!(resend(&server, face, &statement).await, location);
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 4);
}

#[tokio::test]
async fn what_fails_after_202_is_404_registration_failed_until_it_is_sent_again() {
    let (site, issuer, server, image) = served().await;
    for face in FACES {
        let statement = issuer.about(&sha256(&image), "text/plain", face.as_bytes());
        let mut hold = Hold::of(&site).await;
        hold.run(REFUSE).await;
        let location = post(&server, face, &statement).await.expecting(202).location();
        hold.let_go().await;
        let (title, detail) = settled(&server, &location).await.expecting(404).problem();
        assert_eq!(title, "Registration Failed");
        assert!(detail.contains("was not logged; try again") && !detail.contains("refused by a test"), "{detail}");
        let mut hold = Hold::of(&site).await;
        hold.run(MEND).await;
        hold.let_go().await;
        assert_eq!(resend(&server, face, &statement).await, location);
        settled(&server, &location).await.expecting(200).receipt(&statement, &site.receipt_key());
    }
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 4);
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_sent_clients_away_with() {
    let (site, issuer, server, image) = served().await;
    let statement = issuer.about(&sha256(&image), "text/plain", b"late");
    let hold = Hold::of(&site).await;
    let location = post(&server, FACES[1], &statement).await.expecting(202).location();
    server.terminate();
    hold.let_go().await;
    server.stopped().await;
    let server = Server::start(&site);
    server.request("GET", &location).expect(200).await.receipt(&statement, &site.receipt_key());
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}

#[tokio::test]
async fn a_claim_of_the_command_line_waits_for_its_receipt() {
    let (site, issuer, server, _) = served().await;
    let sbom = site.folder().join("sbom.json");
    std::fs::write(&sbom, r#"{"bomFormat":"CycloneDX"}"#).expect("written");
    let key = site.folder().join("wabbit.key");
    std::fs::write(&key, issuer.key_file()).expect("written");
    let path = |path: &std::path::Path| path.to_str().expect("a plain path").to_owned();
    let image = format!("{}/a:v1", server.address());
    // The document is there already: an upload would wait for the database as well.
    server.repository("a").push_blob(std::fs::read(&sbom).expect("read")).await;
    let hold = Hold::of(&site).await;
    let mut claim = crate::harness::docket_under(&[]);
    claim.args(["claim", "add", &image, "--evidence", &path(&sbom), "--key", &path(&key)]);
    claim.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut claim = claim.spawn().expect("the binary starts");
    // It says when it begins to wait.
    let stderr = std::io::BufReader::new(claim.stderr.take().expect("piped"));
    let mut lines = std::io::BufRead::lines(stderr);
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains("still at work"))).expect("it waits");
    assert!(line.contains("asking again in 1 s"), "{line}");
    hold.let_go().await;
    let done = claim.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{}: {:?}", crate::harness::said(&done), lines.collect::<Vec<_>>());
    server.stop().await;
    assert_eq!(site.fsck_clean().entries, 3);
}
