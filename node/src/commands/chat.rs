//! `b4ae chat`: lines both ways, between two people or two pipes.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use b4ae_core::{Accept, Limits};
use b4ae_tokio::{Closed, Endpoint, EndpointConfig, Peer, SendError};

use crate::cli::Chat;
use crate::error::Error;
use crate::input::Lines;
use crate::signal::Stop;
use crate::{address, identity, net, output, progress};

/// How long what was typed last may take to be confirmed, where slots come often.
const GOODBYE: Duration = Duration::from_secs(10);

/// Talks with one peer until either side has had enough.
pub(crate) fn run(args: &Chat) -> Result<(), Error> {
    let uri = args.uri.as_deref().map(address::parse).transpose()?;
    let identity = identity::load_or_ephemeral(&args.key)?;
    let modes = net::modes(args.mode, &identity)?;
    let config = match uri {
        Some(_) => net::client(args.traffic, None)?,
        None => net::server(args.traffic, 1, Accept::Anyone(modes))?,
    };
    let traffic = *config.traffic();
    let mut endpoint = EndpointConfig::new(identity, config);
    if let Some(listen) = args.listen {
        endpoint = endpoint.listen(listen);
    }
    net::run(async {
        let endpoint = net::bind(endpoint).await?;
        let mut stop = Stop::install()?;
        let session = OnceCell::new();
        let talk = async {
            let peer = match &uri {
                Some(uri) => {
                    let connecting = net::connect(&endpoint, uri, args.mode, modes);
                    progress::during(format!("connecting to {}", net::place(uri)), connecting).await?
                }
                None => wait(&endpoint).await?,
            };
            let peer = session.get_or_init(|| peer);
            eprintln!("b4ae: talking with {}, mode {}", peer.peer_id(), peer.mode());
            talk(peer).await
        };
        let done = tokio::select! {
            done = talk => done,
            () = stop.asked() => Ok(()),
        };
        match session.get() {
            Some(peer) => net::leave(&endpoint, peer, GOODBYE.max(net::there_and_back(&traffic)), &traffic).await,
            None => endpoint.close(Duration::ZERO).await,
        }
        done
    })
}

/// Waits for the first peer to come.
async fn wait(endpoint: &Endpoint) -> Result<Peer, Error> {
    let local = endpoint.local_addr();
    let uri = address::uri(&address::host_of(local), local.port(), endpoint.peer_id())?;
    eprintln!("b4ae: waiting for a peer at {uri}");
    endpoint
        .accept()
        .await
        .map_err(|stopped| Error::Io { doing: "waiting for a peer".into(), source: std::io::Error::other(stopped) })
}

/// Lines both ways at once: neither waits for the other, or two talkative sides would wait for each other for good.
async fn talk(peer: &Peer) -> Result<(), Error> {
    let mut lines = Lines::start(Limits::default().message).map_err(Error::io("reading standard input"))?;
    let sent = Cell::new(0);
    let closed = tokio::select! {
        ended = say(peer, &mut lines, &sent) => match ended? {
            None => return Ok(()),
            Some(closed) => closed,
        },
        ended = hear(peer) => ended?,
    };
    let handed_over = sent.get();
    let confirmed = net::confirmed(peer, handed_over).await;
    if confirmed < handed_over {
        let (peer, why) = (peer.peer_id().to_string(), closed.to_string());
        return Err(Error::NotDelivered { peer, why, confirmed, handed_over });
    }
    eprintln!("b4ae: {closed}");
    Ok(())
}

/// Sends line after line; at the end of input, waits until all are confirmed. `Some` if the session ended before.
async fn say(peer: &Peer, lines: &mut Lines, sent: &Cell<u64>) -> Result<Option<Closed>, Error> {
    while let Some(line) = lines.next().await {
        let line = line.map_err(Error::from)?;
        sent.set(sent.get() + 1);
        match peer.send(line).await {
            Ok(_) => {}
            Err(SendError::Closed(closed)) => return Ok(Some(closed)),
            Err(error) => return Err(Error::Io { doing: "sending".into(), source: std::io::Error::other(error) }),
        }
    }
    Ok(peer.flush().await.err())
}

/// Prints message after message until the session ends.
async fn hear(peer: &Peer) -> Result<Closed, Error> {
    loop {
        match peer.recv().await {
            Ok(message) => output::line(&output::printable(&message))?,
            Err(closed) => return Ok(closed),
        }
    }
}
