//! `b4ae id`: who this machine is, for people and for cameras.

use console::Term;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::cli::Id;
use crate::error::Error;
use crate::output::note;
use crate::{address, identity, output};

/// Black on white whatever the terminal's colours.
const PAPER: &str = "\x1b[38;5;16;48;5;231m";
const RESET: &str = "\x1b[0m";

/// Prints fingerprint, address and QR code.
pub(crate) fn run(args: &Id) -> Result<(), Error> {
    let peer = identity::load_without_token(&args.key)?.peer_id();
    let host = args.host.clone().unwrap_or_else(|| {
        let host = address::outward();
        note(format_args!("the host {host} is this machine's own idea; --host names what others reach it at"));
        host
    });
    let uri = address::uri(&host, args.port, peer)?.to_string();
    output::line(&format!("fingerprint  {peer}"))?;
    output::line(&format!("address      {uri}"))?;
    if !args.no_qr {
        output::line(&qr(&uri, Term::stdout().is_term())?)?;
    }
    Ok(())
}

/// `text` as a QR code in half blocks. Without colours it is drawn for light text on a dark ground.
fn qr(text: &str, colours: bool) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|_| Error::Usage("the address is too long for a QR code: give --no-qr, or a shorter --host".into()))?;
    let mut render = code.render::<Dense1x2>();
    if !colours {
        return Ok(render.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build());
    }
    let lines: Vec<_> = render.build().lines().map(|line| format!("{PAPER}{line}{RESET}")).collect();
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_has_its_quiet_zone_and_square_shape() {
        let code =
            qr("b4ae://192.0.2.7:46254#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false).unwrap();
        let lines: Vec<_> = code.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        assert!(lines[0].chars().all(|c| c == '█'));
    }
}
