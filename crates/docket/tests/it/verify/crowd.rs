//! More referrers than anyone looks at: what the service itself wrote is found all the same.

use docket_oci::manifest::Descriptor;
use docket_oci::media;
use futures_util::stream::{self, StreamExt as _};

use crate::harness::{Ask as _, Guarded, Shell, Site, artifact, sha256};

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_forged_statements_hide_nothing() {
    const JUNK: usize = 5_000;
    let site = Site::new();
    let wabbit = site.admit("wabbit");
    let guarded = Guarded::start_on(site, super::STRANGERS);
    let repository = guarded.server.repository("a").by("alice");
    let image = repository.push_image("v1", 1).await;
    repository.push_blob(super::SBOM).await;
    let statement = wabbit.about_document(&sha256(&image), super::SBOM_TYPE, super::SBOM);
    repository.claim(&statement).await.expecting(201);

    // The real statement without its receipt: nothing in these bytes gives them away as junk but that no receipt proves it.
    repository.push_blob(statement.clone()).await;
    let token = guarded.token("bob", &["repository:a:pull,push"]).await;
    let junk = (0..JUNK).map(|number| {
        let subject = Descriptor::of(media::OCI_IMAGE_MANIFEST, &image);
        let layer = Descriptor::of(media::SCITT_STATEMENT, &statement);
        artifact(media::SCITT_STATEMENT, &[layer], Some(&subject), &[("n", &number.to_string())])
    });
    let pushes = junk.map(|manifest| {
        let request = guarded.with_token(&token, "PUT", &format!("/v2/a/manifests/{}", sha256(&manifest)));
        request.header("content-type", media::OCI_IMAGE_MANIFEST).body(manifest).expect(201)
    });
    assert_eq!(stream::iter(pushes).buffer_unordered(64).count().await, JUNK);

    let shell = Shell::new(guarded.site.folder());
    let fingerprint = guarded.site.receipt_key().thumbprint();
    let address = guarded.server.address();
    let pinned = shell.docket(&format!("trust pin http://{address} --fingerprint {fingerprint}")).expect(0);
    shell.write("trust.toml", pinned.out);
    let said = shell.docket(&format!("verify {address}/a:v1 --trust trust.toml --output json")).expect(0).json();
    assert_eq!(said["verdict"], "allow");
    let [claim] = said["claims"].as_array().expect("claims").as_slice() else { panic!("one entry is one claim") };
    assert_eq!(claim["problem"], serde_json::Value::Null);
    shell.docket(&format!("show {address}/a:v1")).expect(0).says(&["not everything was seen"]);
    guarded.server.stop().await;
}
