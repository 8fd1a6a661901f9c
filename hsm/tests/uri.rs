//! PKCS#11 URIs: RFC 7512's examples, what is refused, and that what is written is what is read.

use std::path::{Path, PathBuf};

use b4ae_hsm::{MAX_URI_LEN, ObjectType, Pkcs11Uri, UriError};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Pkcs11Uri, UriError> {
    text.parse()
}

/// Section 3, in its order; of those with a PIN, see below.
#[test]
fn the_examples_of_rfc_7512_are_read() {
    assert_eq!(parse("pkcs11:"), Ok(Pkcs11Uri::default()));

    let uri = parse("pkcs11:object=my-pubkey;type=public").unwrap();
    assert_eq!((uri.object(), uri.object_type()), (Some("my-pubkey"), Some(ObjectType::Public)));

    let uri = parse("pkcs11:object=my-key;type=private?pin-source=file:/etc/token").unwrap();
    assert_eq!((uri.object(), uri.object_type()), (Some("my-key"), Some(ObjectType::Private)));
    assert_eq!(uri.pin_source(), Some(Path::new("/etc/token")));

    let uri = parse(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
         object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
    )
    .unwrap();
    assert_eq!(uri.token(), Some("The Software PKCS#11 Softtoken"));
    assert_eq!((uri.manufacturer(), uri.model()), (Some("Snake Oil, Inc."), Some("1.0")));
    assert_eq!((uri.object(), uri.object_type()), (Some("my-certificate"), Some(ObjectType::Certificate)));
    assert_eq!(uri.id(), Some(&[0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91][..]));
    assert_eq!(uri.serial(), Some(""));

    let uri = parse("pkcs11:slot-description=Sun%20Metaslot").unwrap();
    assert_eq!(uri.slot_description(), Some("Sun Metaslot"));

    let uri = parse(
        "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;\
         library-version=1.23",
    )
    .unwrap();
    assert_eq!(uri.library_manufacturer(), Some("Snake Oil, Inc."));
    assert_eq!((uri.library_description(), uri.library_version()), (Some("Soft Token Library"), Some((1, 23))));

    let uri = parse("pkcs11:token=My%20token%25%20created%20by%20Joe").unwrap();
    assert_eq!(uri.token(), Some("My token% created by Joe"));
    // LATIN SMALL LETTER Z WITH CARON
    assert_eq!(parse("pkcs11:token=name-with-a-%C5%BE").unwrap().token(), Some("name-with-a-\u{17e}"));
    assert_eq!(parse("pkcs11:token=my-token?x-vendor=1&pin-source=file:/p").unwrap().token(), Some("my-token"));
    assert_eq!(parse("PKCS11:token=a&b").unwrap().token(), Some("a&b"));
}

/// "An unrecognized query attribute is ignored", an unrecognised attribute of the path matches nothing (section 2.4).
#[test]
fn vendors_attributes_are_ignored_in_the_query_only() {
    let uri = parse("pkcs11:token=a?vendor-pin-policy=once&vendor-pin-policy=twice").unwrap();
    assert_eq!(uri.to_string(), "pkcs11:token=a");
    assert_eq!(parse("pkcs11:token=a;vendor-thing=1"), Err(UriError::Unknown(2)));
}

#[test]
fn what_is_no_uri_is_refused() {
    for (text, expected) in [
        ("", UriError::Scheme),
        ("pkcs11", UriError::Scheme),
        ("pkcs12:token=a", UriError::Scheme),
        ("pkcs11€:", UriError::Scheme),
        ("pkcs11:token", UriError::Syntax(1)),
        ("pkcs11:token=a;", UriError::Syntax(2)),
        ("pkcs11:token=a?", UriError::Syntax(2)),
        ("pkcs11:token=a?module-path", UriError::Syntax(2)),
        ("pkcs11:token=a;token=a", UriError::Duplicate("token")),
        ("pkcs11:id=%01;id=%02", UriError::Duplicate("id")),
        ("pkcs11:?module-path=/a&module-path=/a", UriError::Duplicate("module-path")),
        ("pkcs11:Token=a", UriError::Unknown(1)),
        ("pkcs11:token=a%2", UriError::Encoding("token")),
        ("pkcs11:token=a%2g", UriError::Encoding("token")),
        ("pkcs11:token=a%+1", UriError::Encoding("token")),
        ("pkcs11:token=a b", UriError::Encoding("token")),
        ("pkcs11:token=a/b", UriError::Encoding("token")),
        ("pkcs11:token=\u{17e}", UriError::Encoding("token")),
        ("pkcs11:token=%ff", UriError::NotUtf8("token")),
    ] {
        assert_eq!(parse(text), Err(expected), "{text}");
    }
    for text in [
        "pkcs11:type=key",
        "pkcs11:type=",
        "pkcs11:slot-id=",
        "pkcs11:slot-id=-1",
        "pkcs11:slot-id=18446744073709551616",
        "pkcs11:library-version=",
        "pkcs11:library-version=1.",
        "pkcs11:library-version=1.256",
        "pkcs11:library-version=1.2.3",
        "pkcs11:token=a%00",
        "pkcs11:?module-path=token.so",
        "pkcs11:?pin-source=pin",
        "pkcs11:?pin-source=file:pin",
        "pkcs11:?pin-source=|/usr/bin/pin",
        "pkcs11:?pin-source=https:/pin",
        "pkcs11:?pin-source=file://elsewhere/pin",
    ] {
        assert!(matches!(parse(text), Err(UriError::Value { .. })), "{text}: {:?}", parse(text));
    }
}

#[test]
fn an_id_may_be_any_bytes() {
    assert_eq!(parse("pkcs11:id=%00%ff%80a").unwrap().id(), Some(&b"\x00\xff\x80a"[..]));
}

#[test]
fn a_file_for_the_pin_is_a_path_or_a_file_uri() {
    for (text, path) in [
        ("/etc/pin", "/etc/pin"),
        ("file:/etc/pin", "/etc/pin"),
        ("FILE:///etc/pin", "/etc/pin"),
        ("file://localhost/etc/pin", "/etc/pin"),
        // Encoded as a file's URI, and that as an attribute.
        ("file:/etc/my%2520pin", "/etc/my pin"),
        ("/etc/my%20pin", "/etc/my pin"),
        ("file:////etc/pin", "//etc/pin"),
    ] {
        let uri = parse(&format!("pkcs11:?pin-source={text}")).unwrap();
        assert_eq!(uri.pin_source(), Some(Path::new(path)), "{text}");
        assert_eq!(parse(&uri.to_string()), Ok(uri));
    }
}

/// A PIN in a URI is refused and not printed.
#[test]
fn a_pin_in_a_uri_is_refused_and_not_shown() {
    for text in ["pkcs11:token=a?pin-value=hunter2", "pkcs11:token=a?module-path=/m&pin-value=hunter2"] {
        let error = parse(text).unwrap_err();
        assert_eq!(error, UriError::PinValue);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && shown.contains("pin-source"), "{shown}");
    }
    // Misspelt, out of place or malformed: no error prints any value.
    for text in [
        "pkcs11:pin-value=hunter2",
        "pkcs11:hunter2",
        "pkcs11:token=a?hunter2",
        "pkcs11:token=hunter2%zz",
        "pkcs11:type=hunter2",
        "pkcs11:?pin-source=hunter2",
        "hunter2",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_module_is_named_by_its_path_only() {
    let error = parse("pkcs11:token=a?module-name=softhsm2").unwrap_err();
    assert_eq!(error, UriError::ModuleName);
    assert!(error.to_string().contains("module-path="));
    let uri = parse("pkcs11:token=a").unwrap();
    assert_eq!(uri.module_path(), None);
    let with = uri.clone().with_module_path(Path::new("/usr/lib/a b.so")).unwrap();
    assert_eq!(with.to_string(), "pkcs11:token=a?module-path=/usr/lib/a%20b.so");
    assert!(uri.with_module_path(Path::new("b.so")).is_err());
}

#[test]
fn a_uri_that_is_too_long_is_not_read() {
    let longest = format!("pkcs11:token={}", "a".repeat(MAX_URI_LEN - "pkcs11:token=".len()));
    assert!(parse(&longest).is_ok());
    assert_eq!(parse(&format!("{longest}a")), Err(UriError::TooLong(MAX_URI_LEN + 1)));
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the attributes are, they come back as they went in, and the canonical form stands for the same.
    #[test]
    fn what_is_written_is_what_is_read(
        token in proptest::option::of("[^\0]{0,12}"),
        serial in proptest::option::of("[^\0]{0,12}"),
        object in proptest::option::of("[^\0]{0,12}"),
        description in proptest::option::of("[^\0]{0,12}"),
        id in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12)),
        version in proptest::option::of(any::<(u8, u8)>()),
        slot in proptest::option::of(any::<u64>()),
        module in proptest::option::of("/[^\0]{0,12}"),
        pin in proptest::option::of("/[^\0]{0,12}"),
    ) {
        let mut path = Vec::new();
        path.extend(token.as_ref().map(|it| format!("token={}", percent(it.as_bytes()))));
        path.extend(serial.as_ref().map(|it| format!("serial={}", percent(it.as_bytes()))));
        path.extend(object.as_ref().map(|it| format!("object={}", percent(it.as_bytes()))));
        path.extend(description.as_ref().map(|it| format!("slot-description={}", percent(it.as_bytes()))));
        path.extend(id.as_ref().map(|it| format!("id={}", percent(it))));
        path.extend(version.map(|(major, minor)| format!("library-version={major}.{minor}")));
        path.extend(slot.map(|it| format!("slot-id={it}")));
        let mut query = Vec::new();
        query.extend(module.as_ref().map(|it| format!("module-path={}", percent(it.as_bytes()))));
        query.extend(pin.as_ref().map(|it| format!("pin-source={}", percent(it.as_bytes()))));
        let mark = if query.is_empty() { "" } else { "?" };
        let uri = parse(&format!("pkcs11:{}{mark}{}", path.join(";"), query.join("&"))).unwrap();
        prop_assert_eq!(uri.token(), token.as_deref());
        prop_assert_eq!(uri.serial(), serial.as_deref());
        prop_assert_eq!(uri.object(), object.as_deref());
        prop_assert_eq!(uri.slot_description(), description.as_deref());
        prop_assert_eq!(uri.id(), id.as_deref());
        prop_assert_eq!(uri.library_version(), version);
        prop_assert_eq!(uri.slot_id(), slot);
        prop_assert_eq!(uri.module_path().map(Path::to_path_buf), module.map(PathBuf::from));
        prop_assert_eq!(uri.pin_source().map(Path::to_path_buf), pin.map(PathBuf::from));

        let canonical = uri.to_string();
        prop_assert!(canonical.is_ascii());
        let again = parse(&canonical).unwrap();
        prop_assert_eq!(&again, &uri);
        prop_assert_eq!(again.to_string(), canonical);
    }

    /// No text makes it panic, and what it takes it writes so that it takes it again.
    #[test]
    fn any_text_is_read_or_refused(text in "(pkcs11:)?[a-z%=;?&/0-9-]{0,40}|.{0,40}") {
        if let Ok(uri) = parse(&text) {
            prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
        }
    }
}
