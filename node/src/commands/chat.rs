//! `b4ae chat`: lines both ways, between two people or two pipes.

use std::cell::Cell;
use std::time::Duration;

use b4ae_core::{Accept, Limits, ModePolicy, PeerUri, Traffic};
use b4ae_tokio::{Closed, Endpoint, EndpointConfig, Peer, SendError};

use crate::cli::{Chat, ModeArg};
use crate::error::Error;
use crate::identity::Loaded;
use crate::input::Lines;
use crate::output::{self, note};
use crate::printer::{Outlet, Printer};
use crate::signal::Stop;
use crate::{address, identity, net, progress, token};

/// How long what was typed last may take to be confirmed, where slots come often.
const GOODBYE: Duration = Duration::from_secs(10);

/// Talks with one peer until either side has had enough.
pub(crate) fn run(args: &Chat) -> Result<(), Error> {
    let uri = args.uri.as_deref().map(address::parse).transpose()?;
    let Loaded { identity, signer } = identity::load_or_ephemeral(&args.key, &args.signer, args.mode)?;
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
    net::run(signer.clone(), async {
        let endpoint = net::bind(endpoint).await?;
        let mut stop = Stop::install()?;
        if let Some(signer) = signer {
            tokio::spawn(token::watch(signer, None));
        }
        let met = tokio::select! {
            met = meet(&endpoint, uri.as_ref(), args.mode, modes) => met,
            () = stop.asked() => Err(Error::Interrupted { before: match &uri {
                Some(uri) => format!("{} answered", net::place(uri)),
                None => "a peer came".into(),
            }}),
        };
        match met {
            Ok(peer) => talk(&endpoint, &peer, &traffic, &mut stop).await,
            Err(error) => {
                endpoint.close(Duration::ZERO).await;
                Err(error)
            }
        }
    })
}

/// Opens a session with the peer at `uri`, or waits for the first that comes.
async fn meet(endpoint: &Endpoint, uri: Option<&PeerUri>, mode: ModeArg, modes: ModePolicy) -> Result<Peer, Error> {
    let peer = match uri {
        Some(uri) => {
            let connecting = net::connect(endpoint, uri, mode, modes);
            progress::during(format!("connecting to {}", net::place(uri)), connecting).await?
        }
        None => wait(endpoint).await?,
    };
    note(format_args!("talking with {}, mode {}", peer.peer_id(), peer.mode()));
    Ok(peer)
}

/// Waits for the first peer to come.
async fn wait(endpoint: &Endpoint) -> Result<Peer, Error> {
    let local = endpoint.local_addr();
    let uri = address::uri(&address::host_of(local), local.port(), endpoint.peer_id())?;
    note(format_args!("waiting for a peer at {uri}"));
    endpoint
        .accept()
        .await
        .map_err(|stopped| Error::Io { doing: "waiting for a peer".into(), source: std::io::Error::other(stopped) })
}

/// Why a talk is over.
enum End {
    /// There is no more to say.
    Said,
    /// The session has ended.
    Closed(Closed),
    /// What is heard cannot be printed.
    Broken,
    /// We were asked to stop.
    Interrupted,
}

/// Lines both ways at once: neither waits for the other, or two talkative sides would wait for each other for good.
async fn talk(endpoint: &Endpoint, peer: &Peer, traffic: &Traffic, stop: &mut Stop) -> Result<(), Error> {
    let (outlet, mut printer) = Printer::start()?;
    tokio::spawn(hear(peer.clone(), outlet.clone()));
    let sent = Cell::new(0);
    let end = tokio::select! {
        said = say(peer, &sent) => said,
        closed = peer.closed() => Ok(End::Closed(closed)),
        () = printer.broken() => Ok(End::Broken),
        () = stop.asked() => Ok(End::Interrupted),
    };
    // What the peer says is heard, and confirmed, until the session has ended.
    outlet.take_all();
    let undisturbed = net::leave(endpoint, peer, GOODBYE.max(net::there_and_back(traffic)), traffic, stop).await;
    drop(outlet);
    let printed = printer.finish(undisturbed.then_some(stop)).await;
    let said = said(peer, end, sent.get()).await;
    if let (Err(_), Err(error)) = (&said, &printed) {
        note(error);
    }
    said.and(printed)
}

/// What became of the `handed_over` lines.
async fn said(peer: &Peer, end: Result<End, Error>, handed_over: u64) -> Result<(), Error> {
    let end = end?;
    let confirmed = net::confirmed(peer, handed_over).await;
    if confirmed == handed_over {
        if let End::Closed(closed) = end {
            note(closed);
        }
        return Ok(());
    }
    let why = match end {
        End::Said => peer.closed().await.to_string(),
        End::Closed(closed) => closed.to_string(),
        End::Broken => "standard output failed".into(),
        End::Interrupted => "interrupted".into(),
    };
    Err(Error::NotDelivered { peer: peer.peer_id().to_string(), why, confirmed, handed_over })
}

/// Sends line after line, counting them in `sent`; at the end of input, waits until all are confirmed.
async fn say(peer: &Peer, sent: &Cell<u64>) -> Result<End, Error> {
    let mut lines = Lines::start(Limits::default().message).map_err(Error::io("reading standard input"))?;
    while let Some(line) = lines.next().await {
        let line = line.map_err(Error::from)?;
        sent.set(sent.get() + 1);
        match peer.send(line).await {
            Ok(_) => {}
            Err(SendError::Closed(closed)) => return Ok(End::Closed(closed)),
            Err(error) => return Err(Error::Io { doing: "sending".into(), source: std::io::Error::other(error) }),
        }
    }
    Ok(peer.flush().await.map_or_else(End::Closed, |()| End::Said))
}

/// Prints message after message until the session ends.
async fn hear(peer: Peer, outlet: Outlet) {
    while let Ok(message) = peer.recv().await {
        outlet.print_message(output::printable(&message)).await;
    }
}
