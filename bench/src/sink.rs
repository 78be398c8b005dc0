//! A bare server, the yardstick of pushes: it hashes what it is sent, writes it to a file, syncs the file and its folder,
//! and answers 201. A registry cannot promise as much for less.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use docket_oci::{Algorithm, Hasher};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Folder for what is sent
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
}

/// Serves until the process is ended, one thread a connection.
pub(crate) fn serve(args: &Args) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let (folder, numbers): (Arc<Path>, _) = (args.folder.clone().into(), Arc::new(AtomicU64::new(0)));
    for stream in listener.incoming() {
        let (stream, folder, numbers) = (stream?, Arc::clone(&folder), Arc::clone(&numbers));
        // A connection that breaks concerns its client only, who sees it.
        std::thread::spawn(move || connection(stream, &folder, &numbers));
    }
    Ok(())
}

/// Answers one request after the other.
fn connection(mut stream: TcpStream, folder: &Path, numbers: &AtomicU64) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let mut filled = 0;
        let head_bytes = loop {
            let read = stream.read(&mut buffer[filled..])?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            if let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(filled < buffer.len(), "a head without an end");
        };
        if !buffer.starts_with(b"PUT ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let length = content_length(&buffer[..head_bytes])?;
        let path = folder.join(format!("put-{}", numbers.fetch_add(1, Ordering::Relaxed)));
        let (mut file, mut hasher) = (File::create_new(path)?, Hasher::new(Algorithm::Sha256));
        let (mut piece, mut left) = (head_bytes..filled, length);
        loop {
            let bytes = &buffer[piece];
            hasher.update(bytes);
            file.write_all(bytes)?;
            left = left.checked_sub(bytes.len() as u64).context("more than was announced")?;
            if left == 0 {
                break;
            }
            let read = stream.read(&mut buffer)?;
            ensure!(read > 0, "cut off");
            piece = 0..read;
        }
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        let digest = hasher.finish();
        let answer = format!("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nDocker-Content-Digest: {digest}\r\n\r\n");
        stream.write_all(answer.as_bytes())?;
    }
}

fn content_length(head: &[u8]) -> anyhow::Result<u64> {
    let lines = std::str::from_utf8(head)?.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Ok(lengths.next().context("a body without a length")?.1.parse()?)
}

const BUFFER_BYTES: usize = 1024 * 1024;
