//! The receiver's side. A file that is not complete is kept under its hash, so that another attempt finds it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use b4ae_core::{Accept, ModePolicy};
use b4ae_examples::{config, identity_in};
use b4ae_tokio::{Endpoint, EndpointConfig, Peer};
use data_encoding::HEXLOWER;
use tokio::fs::{self, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use crate::message::{Answer, IDLE, Offer, hash};

pub(crate) async fn run(folder: &Path, listen: SocketAddr, rate: u32) -> Result<()> {
    fs::create_dir_all(folder).await.with_context(|| format!("making {}", folder.display()))?;
    let config = config(rate).idle_timeout(IDLE).accept(Accept::Anyone(ModePolicy::B_THEN_A)).build()?;
    let identity = identity_in(&folder.join(".identity"))?;
    let endpoint = Endpoint::bind(EndpointConfig::new(identity, config).listen(listen)).await?;
    println!("{}", endpoint.uri(&listen.ip().to_string()));
    loop {
        tokio::select! {
            peer = endpoint.accept() => {
                let (peer, folder) = (peer?, folder.to_owned());
                tokio::spawn(async move {
                    match file(&peer, &folder).await {
                        Ok(path) => eprintln!("{} has arrived", path.display()),
                        Err(e) => eprintln!("from {}: {e:#}", peer.peer_id()),
                    }
                    peer.close().await;
                });
            }
            stop = tokio::signal::ctrl_c() => { stop?; break; }
        }
    }
    endpoint.close(Duration::from_secs(2)).await;
    Ok(())
}

/// Takes one file from one peer; where it is then.
async fn file(peer: &Peer, folder: &Path) -> Result<PathBuf> {
    let offer: Offer = postcard::from_bytes(&peer.recv().await?).context("the other side is no `file send`")?;
    let Some(name) = plain(&offer.name) else {
        answer(peer, &Answer::Refused("its name is not a plain one".to_owned())).await?;
        bail!("a file of the name {:?} was refused", offer.name);
    };
    let whole = folder.join(name);
    if fs::try_exists(&whole).await? {
        if hash(&whole).await? == offer.hash {
            answer(peer, &Answer::Complete).await?;
            return Ok(whole);
        }
        answer(peer, &Answer::Refused("there is another of that name".to_owned())).await?;
        bail!("{} is there, and is another file", whole.display());
    }
    let part = folder.join(format!(".{}.part", HEXLOWER.encode(&offer.hash[..8])));
    append(peer, &part, &offer).await?;
    if hash(&part).await? != offer.hash {
        fs::remove_file(&part).await?;
        answer(peer, &Answer::Damaged).await?;
        bail!("{name} is not what was offered");
    }
    fs::rename(&part, &whole).await?;
    answer(peer, &Answer::Complete).await?;
    Ok(whole)
}

/// Tells how much is there, and appends what comes.
async fn append(peer: &Peer, part: &Path, offer: &Offer) -> Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(part).await;
    let mut file = file.with_context(|| format!("opening {}", part.display()))?;
    let mut have = file.metadata().await?.len();
    if have > offer.len {
        file.set_len(0).await?;
        have = 0;
    }
    answer(peer, &Answer::From(have)).await?;
    while have < offer.len {
        let chunk = peer.recv().await?;
        have += chunk.len() as u64;
        if have > offer.len {
            bail!("more than the {} bytes offered", offer.len);
        }
        file.write_all(&chunk).await.with_context(|| format!("writing {}", part.display()))?;
    }
    file.sync_all().await?;
    Ok(())
}

/// A name without a path, and not hidden: what a stranger may call a file in one's folder.
fn plain(name: &str) -> Option<&str> {
    let is_plain = Path::new(name).file_name().is_some_and(|last| last == name) && !name.starts_with('.');
    is_plain.then_some(name)
}

async fn answer(peer: &Peer, answer: &Answer) -> Result<()> {
    peer.send(postcard::to_allocvec(answer)?).await?;
    Ok(())
}
