//! A mixed load: images pulled by many while some are pushed, with sizes and popularity as the registry traces of
//! FAST'18 (Anwar et al.) show them: nine of ten requests are pulls, two thirds of the layers are below 1 MB, four
//! fifths below 10 MB, and few images take most of the pulls. The largest layers are cut at 32 MB, so that some hundred
//! operations say something.

use docket_oci::manifest::Descriptor;

use crate::content::{Blob, image};
use crate::http::{Connection, Target};
use crate::load::{self, Measured, Step, Work};
use crate::read::ACCEPT;
use crate::server::Server;
use crate::write::{hold_image, manifest_request, push_blob, unique};

/// A fixed number of operations, each a whole image: the manifest by its tag and then its layers, or the layers that are
/// not there yet and then the manifest.
pub(crate) async fn measure(server: &Server, connections: usize) -> anyhow::Result<Measured> {
    let bases: Vec<Blob> = (0..BASES).map(|base| layer(&format!("base {base}"), base)).collect();
    let layers_of = |name: &str, number: usize| {
        let own = (1..LAYERS).map(|own| layer(&format!("{name} {number} {own}"), number * LAYERS + own));
        std::iter::once(bases[number % BASES].clone()).chain(own).collect::<Vec<_>>()
    };
    let (mut pulls, run) = (Vec::with_capacity(IMAGES), unique());
    for number in 0..IMAGES {
        let (tag, layers) = (format!("i{number}"), layers_of("image", number));
        hold_image(server, MIXED, &tag, &layers).await?;
        let get = |path: String| server.target.request("GET", &format!("/v2/{MIXED}/{path}"), &[ACCEPT], b"");
        let blobs = layers.iter().map(|layer| get(format!("blobs/{}", layer.digest)));
        pulls.push(std::iter::once(get(format!("manifests/{tag}"))).chain(blobs).collect());
    }
    let pushes = (0..OPERATIONS / PUSH_EACH).map(|number| layers_of(&run, number)).collect();
    load::run(server, connections, Mixed { pulls, pushes, run, target: server.target.clone() }).await
}

#[derive(Debug)]
struct Mixed {
    /// The requests of each image, the most popular first.
    pulls: Vec<Vec<Vec<u8>>>,
    /// The layers of each image that is pushed.
    pushes: Vec<Vec<Blob>>,
    run: String,
    target: Target,
}

impl Work for Mixed {
    async fn step(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        if number >= OPERATIONS {
            return Ok(Step::Over);
        }
        if number % PUSH_EACH == PUSH_EACH - 1 {
            return self.push(connection, number / PUSH_EACH).await;
        }
        let mut bytes = 0;
        for request in &self.pulls[popular(number)] {
            let answer = connection.exchange(request).await?;
            match Step::of(&answer, 200) {
                Step::Done(more) => bytes += more,
                Step::Failed | Step::Over => return Ok(Step::Failed),
            }
        }
        Ok(Step::Done(bytes))
    }
}

impl Mixed {
    async fn push(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Step> {
        let (layers, mut bytes) = (&self.pushes[number], 0);
        for layer in layers {
            let path = format!("/v2/{MIXED}/blobs/{}", layer.digest);
            if connection.exchange(&self.target.request("HEAD", &path, &[], b"")).await?.status == 200 {
                continue;
            }
            if push_blob(connection, &self.target, MIXED, layer).await?.status != 201 {
                return Ok(Step::Failed);
            }
            bytes += layer.bytes;
        }
        let described: Vec<Descriptor> = layers.iter().map(Blob::layer).collect();
        let tag = format!("{}-{number}", self.run);
        let manifest = image(&tag, &described);
        let answer = connection.exchange(&manifest_request(&self.target, MIXED, &tag, &manifest)).await?;
        Ok(if answer.status == 201 { Step::Done(bytes) } else { Step::Failed })
    }
}

fn layer(name: &str, number: usize) -> Blob {
    Blob::new(name, layer_bytes(spread(number)))
}

/// The size that this share of all layers stays below.
fn layer_bytes(share: f64) -> u64 {
    let above = SIZES.iter().position(|(up_to, _)| share <= *up_to).unwrap_or(SIZES.len() - 1).max(1);
    let ((from, low), (to, high)) = (SIZES[above - 1], SIZES[above]);
    // On a logarithmic scale: sizes span five powers of ten.
    let bytes = low * f64::powf(high / low, (share - from) / (to - from));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the sizes above")]
    let bytes = bytes as u64;
    bytes
}

/// Which image an operation pulls: half of all pulls go to a quarter of the images.
fn popular(number: usize) -> usize {
    let share = spread(number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small count")]
    let image = (share * share * IMAGES as f64) as usize;
    image.min(IMAGES - 1)
}

/// A share from 0 to 1 for each number, spread evenly over any stretch of them (the golden ratio's multiples).
fn spread(number: usize) -> f64 {
    (number as f64 * 0.618_033_988_749_894_9).fract()
}

const MIXED: &str = "bench/mixed";
const OPERATIONS: usize = 200;
/// One operation of so many is a push.
const PUSH_EACH: usize = 10;
const IMAGES: usize = 24;
/// Images share their lowest layer with others.
const BASES: usize = 4;
const LAYERS: usize = 6;
/// Which share of layers stays below which size.
const SIZES: [(f64, f64); 5] = [(0.0, 512.0), (0.3, 16e3), (0.65, 1e6), (0.8, 10e6), (1.0, 32e6)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_traces() {
        let sizes: Vec<u64> = (0..1000).map(|number| layer_bytes(spread(number))).collect();
        let below = |bytes| sizes.iter().filter(|size| **size < bytes).count();
        assert!((640..=660).contains(&below(1_000_000)), "{}", below(1_000_000));
        assert!((790..=810).contains(&below(10_000_000)), "{}", below(10_000_000));
        assert!(sizes.iter().all(|size| (512..=32_000_000).contains(size)));
    }

    #[test]
    fn few_images_take_most_pulls() {
        let hot = (0..1000).filter(|number| popular(*number) < IMAGES / 4).count();
        assert!((480..=520).contains(&hot), "{hot}");
    }
}
