//! What `b4ae hsm` says about tokens and keys, for people and as JSON.

use std::fmt::Write as _;

use b4ae_hsm::{Capabilities, KeyInfo, PinTries, TokenInfo};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::output::printable;

/// Tokens, and the keys of the only one.
pub(crate) fn list(tokens: &[TokenInfo], keys: Option<&[KeyInfo]>, as_json: bool) -> String {
    if as_json {
        let tokens: Vec<_> = tokens.iter().map(token_json).collect();
        let keys: Option<Vec<_>> = keys.map(|keys| keys.iter().map(key_json).collect());
        return json!({ "tokens": tokens, "keys": keys }).to_string();
    }
    let mut text = String::new();
    for token in tokens {
        let _ = write!(text, "{}\n  {}\n  {}\n", token.uri, made(token), pin(token));
    }
    match keys {
        None => {}
        Some([]) => text.push_str("no ML-DSA-87 keys\n"),
        Some(keys) => {
            for key in keys {
                let _ = write!(text, "{}\n  ML-DSA-87, {}\n", key.uri(), attributes(key));
            }
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// What a token can do, and how a key of it did.
pub(crate) fn test(token: &TokenInfo, can: &Capabilities, key: Option<&KeyInfo>, as_json: bool) -> String {
    if as_json {
        let mechanisms: Vec<_> = can.mechanisms.iter().map(|mechanism| json!(mechanism.name)).collect();
        return json!({
            "token": token_json(token),
            "mechanisms": mechanisms,
            "signs": can.signs,
            "refused": can.refused.as_ref().map(ToString::to_string),
            "signature_ms": can.signature_time.map(|time| time.as_secs_f64() * 1e3),
            "contexts": can.contexts,
            "hedged": can.hedged,
            "deterministic": can.deterministic,
            "max_sessions": can.max_sessions,
            "key": key.map(key_json),
        })
        .to_string();
    }
    let module = &token.module;
    let mut text = format!(
        "token           {}\nmade by         {}\nmodule          {} {}.{} by {}, PKCS#11 {}.{}\n",
        token.uri,
        made(token),
        printable(module.description.as_bytes()),
        module.version.0,
        module.version.1,
        printable(module.manufacturer.as_bytes()),
        module.cryptoki.0,
        module.cryptoki.1
    );
    if can.mechanisms.is_empty() {
        text.push_str("mechanisms      none for ML-DSA\n");
    }
    for mechanism in &can.mechanisms {
        let _ = writeln!(
            text,
            "mechanism       {}{}{}{}{}, key sizes {} to {}",
            mechanism.name,
            if mechanism.generate_key_pair { ", makes keys" } else { "" },
            if mechanism.sign { ", signs" } else { "" },
            if mechanism.verify { ", verifies" } else { "" },
            if mechanism.hardware { ", in hardware" } else { ", in software" },
            mechanism.min_key_size,
            mechanism.max_key_size
        );
    }
    for (name, trial) in [
        ("signs           ", can.signs),
        ("with a context  ", can.contexts),
        ("hedged          ", can.hedged),
        ("deterministic   ", can.deterministic),
    ] {
        let outcome = match trial {
            Some(true) => "yes, and the signature verifies",
            Some(false) => "no",
            None => "not tried",
        };
        let _ = writeln!(text, "{name}{outcome}");
    }
    if let Some(why) = &can.refused {
        let _ = writeln!(text, "for want of     {why}");
    }
    if let Some(time) = can.signature_time {
        let _ = writeln!(text, "signature takes {:.2} ms in the median", time.as_secs_f64() * 1e3);
    }
    if let Some(most) = can.max_sessions {
        let _ = writeln!(text, "sessions        {most} at most");
    }
    if let Some(key) = key {
        let _ = writeln!(text, "key             {}\n                {}", key.uri(), attributes(key));
    }
    text.truncate(text.trim_end().len());
    text
}

fn made(token: &TokenInfo) -> String {
    format!(
        "{}, model {}, firmware {}.{}",
        printable(token.manufacturer.as_bytes()),
        printable(token.model.as_bytes()),
        token.firmware_version.0,
        token.firmware_version.1
    )
}

fn pin(token: &TokenInfo) -> &'static str {
    match (token.initialised, token.user_pin_set, token.pin_tries) {
        (false, ..) => "not initialised",
        (_, false, _) => "initialised, without a user PIN",
        (.., PinTries::Unspent) => "initialised, with a user PIN",
        (.., PinTries::SomeSpent) => "a wrong PIN has been tried since the last login",
        (.., PinTries::FinalTry) => "the next wrong PIN locks it",
        (.., PinTries::Locked) => "the PIN is locked",
    }
}

fn attributes(key: &KeyInfo) -> String {
    let word = |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
    format!(
        "{}, {}, {}, {}",
        word(key.sensitive, "sensitive", "NOT SENSITIVE"),
        word(key.extractable, "EXTRACTABLE", "not extractable"),
        word(key.local, "made in the token", "brought from outside"),
        word(key.modifiable, "its attributes can be changed", "its attributes cannot be changed")
    )
}

fn token_json(token: &TokenInfo) -> Value {
    json!({
        "uri": token.uri.to_string(),
        "label": token.label,
        "serial": token.serial,
        "manufacturer": token.manufacturer,
        "model": token.model,
        "firmware": format!("{}.{}", token.firmware_version.0, token.firmware_version.1),
        "initialised": token.initialised,
        "user_pin_set": token.user_pin_set,
        "pin": pin(token),
        "module": token.module.description,
        "pkcs11": format!("{}.{}", token.module.cryptoki.0, token.module.cryptoki.1),
    })
}

fn key_json(key: &KeyInfo) -> Value {
    json!({
        "uri": key.uri().to_string(),
        "label": key.label,
        "id": HEXLOWER.encode(&key.id),
        "sensitive": key.sensitive,
        "always_sensitive": key.always_sensitive,
        "extractable": key.extractable,
        "never_extractable": key.never_extractable,
        "local": key.local,
        "modifiable": key.modifiable,
    })
}
