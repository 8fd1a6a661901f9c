//! Lines from standard input, each one message, without blocking the runtime.

use std::io::{self, BufRead, Read as _};
use std::thread;

use tokio::sync::mpsc;

use crate::error::Error;

/// Lines read ahead of their use.
const AHEAD: usize = 16;

/// Why there is no line.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A line, counting from one, is longer than `max` bytes.
    TooLong { number: u64, max: usize },
    /// Reading failed.
    Io(io::Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooLong { number, max } => Self::TooLong { what: format!("line {number} of standard input"), max },
            Refused::Io(source) => Self::Io { doing: "reading standard input".into(), source },
        }
    }
}

/// Lines of standard input, in order, without their newlines.
#[derive(Debug)]
pub(crate) struct Lines(mpsc::Receiver<Result<Vec<u8>, Refused>>);

impl Lines {
    /// Starts reading lines of at most `max` bytes. The thread that reads ends with the input or the process:
    /// a read of a terminal cannot be called off.
    pub(crate) fn start(max: usize) -> io::Result<Self> {
        let (send, receive) = mpsc::channel(AHEAD);
        thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut input = io::stdin().lock();
            for number in 1.. {
                let line = read_line(&mut input, max, number);
                let last = line.is_err();
                let Some(line) = line.transpose() else { break };
                if send.blocking_send(line).is_err() || last {
                    break;
                }
            }
        })?;
        Ok(Self(receive))
    }

    /// The next line, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Vec<u8>, Refused>> {
        self.0.recv().await
    }
}

fn read_line(input: &mut impl BufRead, max: usize, number: u64) -> Result<Option<Vec<u8>>, Refused> {
    let mut line = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    if input.take(limit).read_until(b'\n', &mut line).map_err(Refused::Io)? == 0 {
        return Ok(None);
    }
    match line.last() {
        Some(b'\n') => {
            line.pop();
        }
        _ if line.len() > max => return Err(Refused::TooLong { number, max }),
        _ => {}
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut input: &[u8], max: usize) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        while let Ok(Some(line)) = read_line(&mut input, max, 1) {
            lines.push(line);
        }
        lines
    }

    #[test]
    fn every_line_is_one_message_and_an_unfinished_one_counts() {
        assert_eq!(
            all(b"one\n\ntwo\r\nthree", 5),
            [b"one".to_vec(), b"".to_vec(), b"two\r".to_vec(), b"three".to_vec()]
        );
    }

    #[test]
    fn a_line_may_be_as_long_as_allowed_and_no_longer() {
        assert!(matches!(read_line(&mut &b"12345\n"[..], 5, 1), Ok(Some(line)) if line == b"12345"));
        assert!(matches!(read_line(&mut &b"123456\n"[..], 5, 7), Err(Refused::TooLong { number: 7, max: 5 })));
    }
}
