//! `b4ae serve`: listen, and print what comes.

use std::thread;
use std::time::Duration;

use b4ae_core::{Accept, CloseReason};
use b4ae_tokio::{Closed, Endpoint, EndpointConfig, Peer};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::cli::Serve;
use crate::error::Error;
use crate::output::Notice;
use crate::signal::Stop;
use crate::{address, identity, net};

/// Notices waiting to be printed. Behind them the sessions' own flow control holds the peers back.
const WAITING: usize = 16;
/// How long sessions may take to end when asked to stop, where slots come often.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long whoever reads our output may take to take the last of it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves until asked to stop.
pub(crate) fn run(args: &Serve) -> Result<(), Error> {
    let identity = identity::load(&args.key)?;
    let modes = net::modes(args.mode, &identity)?;
    let accept = match args.allow.as_slice() {
        [] => Accept::Anyone(modes),
        peers => Accept::Listed(peers.iter().map(|peer| (*peer, modes)).collect()),
    };
    let config = net::server(args.traffic, args.sessions, accept)?;
    let goodbye = GOODBYE.max(net::there_and_back(config.traffic()));
    net::run(async {
        let endpoint = net::bind(EndpointConfig::new(identity, config).listen(args.listen)).await?;
        let (notices, printer) = Printer::start(args.json)?;
        let done = serve(&endpoint, args, goodbye, notices, printer).await;
        endpoint.close(Duration::ZERO).await;
        done
    })
}

async fn serve(
    endpoint: &Endpoint,
    args: &Serve,
    goodbye: Duration,
    notices: mpsc::Sender<Notice>,
    mut printer: Printer,
) -> Result<(), Error> {
    // Before anybody is told that we listen: who reads that may ask us to stop.
    let mut stop = Stop::install()?;
    let local = endpoint.local_addr();
    let host = args.host.clone().unwrap_or_else(|| address::host_of(local));
    let uri = address::uri(&host, local.port(), endpoint.peer_id())?;
    eprintln!("b4ae: slots are kept by {}", endpoint.stats().pacing);
    let listening =
        Notice::Listening { address: local.to_string(), uris: vec![uri.to_string()], fingerprint: endpoint.peer_id() };
    // Nobody else sends yet, so there is room.
    let _ = notices.send(listening).await;
    loop {
        tokio::select! {
            peer = endpoint.accept() => match peer {
                Ok(peer) => { tokio::spawn(session(peer, notices.clone())); }
                Err(stopped) => {
                    return Err(Error::Io { doing: "accepting sessions".into(), source: std::io::Error::other(stopped) });
                }
            },
            failed = &mut printer.done => return printer_result(failed),
            () = stop.asked() => break,
        }
    }
    // Whoever asks twice means it.
    tokio::select! {
        () = endpoint.close(goodbye) => {}
        () = stop.asked() => return Ok(()),
    }
    drop(notices);
    match timeout(LAST_WORDS, printer.done).await {
        Ok(done) => printer_result(done),
        Err(_) => Ok(()),
    }
}

/// Tells of one session, from its opening to its end.
async fn session(peer: Peer, notices: mpsc::Sender<Notice>) {
    let (session, id) = (peer.id(), peer.peer_id());
    let mut notice = Notice::Opened { session, peer: id, mode: peer.mode() };
    // A closed channel means that printing has failed, and the process is about to stop.
    while notices.send(notice).await.is_ok() {
        notice = match peer.recv().await {
            Ok(bytes) => Notice::Message { session, peer: id, bytes },
            Err(closed) => {
                let reason = match closed {
                    Closed::Session(reason) => reason,
                    _ => CloseReason::Local,
                };
                let _ = notices.send(Notice::Closed { session, peer: id, reason }).await;
                return;
            }
        };
    }
}

/// Prints notices on a thread of its own: standard output may block for as long as its reader likes, and neither
/// signals nor sessions may wait for that.
struct Printer {
    done: oneshot::Receiver<Result<(), Error>>,
}

impl Printer {
    fn start(json: bool) -> Result<(mpsc::Sender<Notice>, Self), Error> {
        let (send, mut receive) = mpsc::channel::<Notice>(WAITING);
        let (finished, done) = oneshot::channel();
        let print = move || {
            let mut result = Ok(());
            while result.is_ok() {
                let Some(notice) = receive.blocking_recv() else { break };
                result = notice.print(json);
            }
            let _ = finished.send(result);
        };
        thread::Builder::new().name("printer".into()).spawn(print).map_err(Error::io("starting a thread"))?;
        Ok((send, Self { done }))
    }
}

fn printer_result(done: Result<Result<(), Error>, oneshot::error::RecvError>) -> Result<(), Error> {
    // The thread always answers, unless it died: then there is no more to be printed.
    done.unwrap_or(Ok(()))
}
