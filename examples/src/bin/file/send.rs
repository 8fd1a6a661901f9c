//! The sender's side.

use std::collections::VecDeque;
use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use b4ae_core::{MessageId, PeerUri};
use b4ae_examples::{config, fresh_identity};
use b4ae_tokio::{Endpoint, EndpointConfig, Peer};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::{Instant, sleep};

use crate::message::{Answer, CHUNK, IDLE, Offer, hash};

/// Messages that may be unconfirmed at a time: enough to keep every slot filled.
const WINDOW: usize = 16;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Why an attempt ended.
enum End {
    Complete,
    /// The other side is away, or the session has ended: worth another attempt.
    Interrupted(anyhow::Error),
}

pub(crate) async fn run(uri: &PeerUri, path: &Path, rate: u32, patience: Duration) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).context("the file's name cannot be sent")?;
    let len = tokio::fs::metadata(path).await.with_context(|| format!("looking at {}", path.display()))?.len();
    let offer = Offer { name: name.to_owned(), len, hash: hash(path).await? };
    let bar = ProgressBar::new(len).with_style(ProgressStyle::with_template(
        "{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
    )?);
    bar.set_message(offer.name.clone());

    let endpoint =
        Endpoint::bind(EndpointConfig::new(fresh_identity()?, config(rate).idle_timeout(IDLE).build()?)).await?;
    let mut progress = (bar.position(), Instant::now());
    loop {
        match attempt(&endpoint, uri, path, &offer, &bar).await? {
            End::Complete => break,
            End::Interrupted(why) => {
                if bar.position() > progress.0 {
                    progress = (bar.position(), Instant::now());
                }
                if progress.1.elapsed() > patience {
                    return Err(why).context("giving up");
                }
                bar.suspend(|| eprintln!("{why:#}; trying again"));
                sleep(PAUSE).await;
            }
        }
    }
    bar.finish();
    endpoint.close(Duration::from_secs(2)).await;
    println!("{}: {len} bytes delivered", offer.name);
    Ok(())
}

/// A session in which the file is sent from where the receiver has it to.
async fn attempt(endpoint: &Endpoint, uri: &PeerUri, path: &Path, offer: &Offer, bar: &ProgressBar) -> Result<End> {
    let peer = match endpoint.connect(uri).await {
        Ok(peer) => peer,
        Err(e) => return Ok(End::Interrupted(anyhow::Error::new(e).context("connecting"))),
    };
    // Everything that can go wrong with the session ends here; what goes wrong with the file ends the program.
    match converse(&peer, path, offer, bar).await {
        Ok(()) => Ok(End::Complete),
        Err(e) if e.is::<b4ae_tokio::SendError>() || e.is::<b4ae_tokio::Closed>() => Ok(End::Interrupted(e)),
        Err(e) => Err(e),
    }
}

async fn converse(peer: &Peer, path: &Path, offer: &Offer, bar: &ProgressBar) -> Result<()> {
    peer.send(postcard::to_allocvec(offer)?).await?;
    let start = match answer(peer).await? {
        Answer::From(start) => start,
        Answer::Complete => return Ok(()),
        Answer::Refused(why) => bail!("the other side does not take the file: {why}"),
        Answer::Damaged => bail!("the other side talks nonsense"),
    };
    if start > 0 {
        bar.suspend(|| eprintln!("going on at byte {start}"));
    }
    bar.set_position(start);

    let mut file = File::open(path).await.with_context(|| format!("opening {}", path.display()))?;
    file.seek(SeekFrom::Start(start)).await?;
    let mut left = offer.len.saturating_sub(start);
    let mut unconfirmed = VecDeque::<(MessageId, u64)>::new();
    while left > 0 || !unconfirmed.is_empty() {
        if left > 0 && unconfirmed.len() < WINDOW {
            let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
            file.read_exact(&mut chunk).await.with_context(|| format!("reading {}", path.display()))?;
            let len = chunk.len() as u64;
            unconfirmed.push_back((peer.send(chunk).await?, len));
            left -= len;
        } else if let Some((id, len)) = unconfirmed.pop_front() {
            peer.delivered(id).await?;
            bar.inc(len);
        }
    }
    match answer(peer).await? {
        Answer::Complete => Ok(()),
        _ => bail!("{} changed while it was sent: send it again", path.display()),
    }
}

async fn answer(peer: &Peer) -> Result<Answer> {
    let message = peer.recv().await?;
    postcard::from_bytes(&message).context("the other side is no `file receive`")
}
