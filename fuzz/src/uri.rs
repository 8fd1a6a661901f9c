//! Addresses and fingerprints as people type them.

use b4ae_core::{PeerId, PeerUri};

/// What is read, prints as something that reads the same. The first byte chooses whether the rest is a whole address,
/// a fingerprint, or an address to which a sound fingerprint is added. Counts what was taken.
pub fn run(data: &[u8]) -> usize {
    let Some((&how, rest)) = data.split_first() else { return 0 };
    let Ok(text) = std::str::from_utf8(rest) else { return 0 };
    match how % 3 {
        0 => check(text),
        1 => {
            let parsed = text.parse::<PeerId>();
            if let Ok(id) = parsed {
                assert_eq!(id.to_string(), text.to_lowercase(), "one fingerprint, two spellings");
            }
            let mut bytes = [0; 32];
            let len = rest.len().min(32);
            bytes[..len].copy_from_slice(&rest[..len]);
            let id = PeerId::from_bytes(bytes);
            assert_eq!(id.to_string().parse(), Ok(id));
            parsed.is_ok().into()
        }
        _ => check(&format!("{text}#{}", PeerId::from_bytes([how; 32]))),
    }
}

fn check(text: &str) -> usize {
    let Ok(uri) = text.parse::<PeerUri>() else { return 0 };
    assert!(uri.port != 0 && !uri.host.is_empty());
    let printed = uri.to_string();
    assert_eq!(printed.parse(), Ok(uri), "{printed:?}");
    assert!(printed.split('#').count() == 2 && !printed.contains(char::is_whitespace), "{printed:?}");
    1
}
