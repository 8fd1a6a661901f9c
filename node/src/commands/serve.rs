//! `b4ae serve`: listen, and print what comes.

use std::pin::pin;
use std::time::Duration;

use b4ae_core::{Accept, CloseReason};
use b4ae_tokio::{Closed, Endpoint, EndpointConfig, Peer};

use crate::cli::Serve;
use crate::error::Error;
use crate::identity::{self, Loaded};
use crate::output::{self, Notice, note};
use crate::printer::{Outlet, Printer};
use crate::signal::Stop;
use crate::{address, net, token};

/// How long sessions may take to end when asked to stop, where slots come often.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves until asked to stop.
pub(crate) fn run(args: &Serve) -> Result<(), Error> {
    let Loaded { identity, signer } = identity::load(&args.key, &args.signer, args.mode)?;
    let modes = net::modes(args.mode, &identity)?;
    let accept = match args.allow.as_slice() {
        [] => Accept::Anyone(modes),
        peers => Accept::Listed(peers.iter().map(|peer| (*peer, modes)).collect()),
    };
    let config = net::server(args.traffic, args.sessions, accept)?;
    let goodbye = GOODBYE.max(net::there_and_back(config.traffic()));
    net::run(signer.clone(), async {
        let endpoint = net::bind(EndpointConfig::new(identity, config).listen(args.listen)).await?;
        // Before anybody is told that we listen: who reads that may ask us to stop.
        let mut stop = Stop::install()?;
        let (outlet, mut printer) = Printer::start()?;
        let watch = signer.map(|signer| tokio::spawn(token::watch(signer, args.json.then(|| outlet.clone()))));
        let served = serve(&endpoint, args, &outlet, &mut printer, &mut stop).await;
        outlet.take_all();
        let in_time = leave(&endpoint, goodbye, args.json, &outlet, &mut stop).await;
        // The printer ends with the last who may have something to print.
        if let Some(watch) = watch {
            watch.abort();
        }
        drop(outlet);
        let printed = printer.finish(in_time.then_some(&mut stop)).await;
        served.and(printed)?;
        let stopped = Notice::Stopped(Box::new(endpoint.stats()));
        if args.json {
            output::line(&stopped.render(true))
        } else {
            note(stopped.render(false));
            Ok(())
        }
    })
}

/// Prints what comes until asked to stop, or until it cannot be printed.
async fn serve(
    endpoint: &Endpoint,
    args: &Serve,
    outlet: &Outlet,
    printer: &mut Printer,
    stop: &mut Stop,
) -> Result<(), Error> {
    let local = endpoint.local_addr();
    let host = args.host.clone().unwrap_or_else(|| address::host_of(local));
    let uri = address::uri(&host, local.port(), endpoint.peer_id())?;
    note(format_args!("slots are kept by {}", endpoint.stats().pacing));
    let listening =
        Notice::Listening { address: local.to_string(), uris: vec![uri.to_string()], fingerprint: endpoint.peer_id() };
    outlet.print(listening.render(args.json)).await;
    loop {
        tokio::select! {
            peer = endpoint.accept() => match peer {
                Ok(peer) => _ = tokio::spawn(session(peer, args.json, outlet.clone())),
                Err(stopped) => {
                    return Err(Error::Io { doing: "accepting sessions".into(), source: std::io::Error::other(stopped) });
                }
            },
            () = printer.broken() => return Ok(()),
            () = stop.asked() => return Ok(()),
        }
    }
}

/// Ends every session within `goodbye`, having told the peers. `false` if asked to `stop` once more: whoever asks twice
/// means it.
async fn leave(endpoint: &Endpoint, goodbye: Duration, json: bool, outlet: &Outlet, stop: &mut Stop) -> bool {
    let mut closing = pin!(endpoint.close(goodbye));
    loop {
        tokio::select! {
            () = &mut closing => return true,
            () = stop.asked() => {
                endpoint.close(Duration::ZERO).await;
                return false;
            }
            // What opened at the last moment may have been confirmed something.
            Ok(peer) = endpoint.accept() => { tokio::spawn(session(peer, json, outlet.clone())); }
        }
    }
}

/// Tells of one session, from its opening to its end.
async fn session(peer: Peer, json: bool, outlet: Outlet) {
    let (session, id) = (peer.id(), peer.peer_id());
    outlet.print(Notice::Opened { session, peer: id, mode: peer.mode() }.render(json)).await;
    let closed = loop {
        match peer.recv().await {
            Ok(bytes) => outlet.print_message(Notice::Message { session, peer: id, bytes }.render(json)).await,
            Err(closed) => break closed,
        }
    };
    let reason = match closed {
        Closed::Session(reason) => reason,
        _ => CloseReason::Local,
    };
    outlet.print(Notice::Closed { session, peer: id, reason }.render(json)).await;
}
