//! Handshake patterns (Noise specification, sections 7.4, 7.5 and 18.1; `hfs` as its extension has it).

/// A pattern: whose static key is known beforehand, the initiator's and the responder's, and the tokens of each
/// message.
pub(super) struct Pattern {
    pub(super) name: &'static str,
    pub(super) known: [bool; 2],
    pub(super) messages: &'static str,
}

const fn pattern(name: &'static str, known: &str, messages: &'static str) -> Pattern {
    let known = match known.as_bytes() {
        b"i" => [true, false],
        b"r" => [false, true],
        b"ir" => [true, true],
        _ => [false, false],
    };
    Pattern { name, known, messages }
}

pub(super) const XX: Pattern = pattern("XX", "", "e / e ee s es / s se");
pub(super) const XX_HFS: Pattern = pattern("XXhfs", "", "e e1 / e ee ekem1 s es / s se");

pub(super) const PATTERNS: [Pattern; 38] = [
    pattern("N", "r", "e es"),
    pattern("K", "ir", "e es ss"),
    pattern("X", "r", "e es s ss"),
    pattern("NN", "", "e / e ee"),
    pattern("KN", "i", "e / e ee se"),
    pattern("NK", "r", "e es / e ee"),
    pattern("KK", "ir", "e es ss / e ee se"),
    pattern("NX", "", "e / e ee s es"),
    pattern("KX", "i", "e / e ee se s es"),
    pattern("XN", "", "e / e ee / s se"),
    pattern("IN", "", "e s / e ee se"),
    pattern("XK", "r", "e es / e ee / s se"),
    pattern("IK", "r", "e es s ss / e ee se"),
    XX,
    pattern("IX", "", "e s / e ee se s es"),
    pattern("NK1", "r", "e / e ee es"),
    pattern("NX1", "", "e / e ee s / es"),
    pattern("X1N", "", "e / e ee / s / se"),
    pattern("X1K", "r", "e es / e ee / s / se"),
    pattern("XK1", "r", "e / e ee es / s se"),
    pattern("X1K1", "r", "e / e ee es / s / se"),
    pattern("X1X", "", "e / e ee s es / s / se"),
    pattern("XX1", "", "e / e ee s / es s se"),
    pattern("X1X1", "", "e / e ee s / es s / se"),
    pattern("K1N", "i", "e / e ee / se"),
    pattern("K1K", "ir", "e es / e ee / se"),
    pattern("KK1", "ir", "e / e ee se es"),
    pattern("K1K1", "ir", "e / e ee es / se"),
    pattern("K1X", "i", "e / e ee s es / se"),
    pattern("KX1", "i", "e / e ee se s / es"),
    pattern("K1X1", "i", "e / e ee s / se es"),
    pattern("I1N", "", "e s / e ee / se"),
    pattern("I1K", "r", "e es s / e ee / se"),
    pattern("IK1", "r", "e s / e ee se es"),
    pattern("I1K1", "r", "e s / e ee es / se"),
    pattern("I1X", "", "e s / e ee s es / se"),
    pattern("IX1", "", "e s / e ee se s / es"),
    pattern("I1X1", "", "e s / e ee s / se es"),
];
