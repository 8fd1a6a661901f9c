//! Systems without launch times.

use std::io;
use std::net::UdpSocket;

use b4ae_core::{Clock, Instant};

use crate::socket::To;

/// There is none.
#[derive(Debug)]
pub(crate) enum Kernel {}

impl Kernel {
    pub(crate) fn new(_: &UdpSocket, _: &Clock) -> Result<Self, String> {
        Err(String::from("this system has no launch times; Linux has"))
    }

    pub(crate) fn send(&self, _: &UdpSocket, _: &To<'_>, _: Instant) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn holds(&self) -> Option<bool> {
        match *self {}
    }
}
