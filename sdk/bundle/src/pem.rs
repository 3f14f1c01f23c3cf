//! PEM (RFC 7468) with exactly one block, as `openssl genpkey` and `openssl pkey` write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::limits::MAX_KEY_FILE_BYTES;
use crate::{Error, Result};

const LINE: usize = 64; // as openssl writes it

/// The bytes inside the only block of `text`, which must have this `label`; `what` names the text in errors.
pub(crate) fn decode(what: &'static str, label: &str, text: &str) -> Result<Vec<u8>> {
    let refuse = |reason: String| Error::Pem { what, reason };
    if text.len() > MAX_KEY_FILE_BYTES {
        return Err(Error::TooLarge { what, found: text.len() as u64, max: MAX_KEY_FILE_BYTES as u64 });
    }
    let mut lines = text.lines().map(str::trim_end);
    let found = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .ok_or_else(|| refuse(format!("no line \"-----BEGIN {label}-----\"")))?;
    if found != label {
        return Err(refuse(format!("expected {label:?}, found {found:?}{}", advice(label, found))));
    }
    let end = format!("-----END {label}-----");
    let mut body = String::new();
    loop {
        let line = lines.next().ok_or_else(|| refuse(format!("no line {end:?}")))?;
        if line == end {
            break;
        }
        body.push_str(line);
    }
    if lines.any(|line| line.starts_with("-----BEGIN ")) {
        return Err(refuse("it holds more than one block".into()));
    }
    STANDARD.decode(&body).map_err(|error| refuse(format!("not base64: {error}")))
}

/// One block, lines of 64 characters, a line feed after each.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn advice(wanted: &str, found: &str) -> &'static str {
    match (wanted, found) {
        ("PUBLIC KEY", "PRIVATE KEY") => "; write the public half with `openssl pkey -in KEY -pubout`",
        ("PRIVATE KEY", "PUBLIC KEY") => "; signing needs the private key",
        (_, "ENCRYPTED PRIVATE KEY") => "; decrypt it with `openssl pkey -in KEY -out PLAIN`",
        (_, "EC PRIVATE KEY" | "EC PARAMETERS") => {
            "; convert it with `openssl pkcs8 -topk8 -nocrypt -in KEY`"
        }
        (_, "CERTIFICATE") => "; extract its key with `openssl x509 -pubkey -noout`",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_of_every_length() {
        for length in 0..200 {
            let der: Vec<u8> = (0..length).collect();
            let text = encode("PUBLIC KEY", &der);
            assert_eq!(decode("key", "PUBLIC KEY", &text).unwrap(), der);
            assert_eq!(decode("key", "PUBLIC KEY", &text.replace('\n', "\r\n")).unwrap(), der);
            assert!(text.lines().all(|line| line.len() <= LINE));
        }
    }

    #[test]
    fn defects() {
        let good = encode("PUBLIC KEY", b"some bytes of a key");
        let cases = [
            (String::new(), "no line \"-----BEGIN PUBLIC KEY-----\""),
            (good.replace("PUBLIC", "PRIVATE"), "openssl pkey -in KEY -pubout"),
            (good.replace("PUBLIC", "EC PRIVATE"), "pkcs8 -topk8"),
            (good.replace("-----END", "-----"), "no line \"-----END"),
            (format!("{good}{good}"), "more than one block"),
            (good.replace("c29", "c*9"), "not base64"),
        ];
        for (text, wanted) in cases {
            let error = decode("key", "PUBLIC KEY", &text).unwrap_err();
            assert!(matches!(error, Error::Pem { .. }) && error.to_string().contains(wanted), "{error}");
        }
        let large = " ".repeat(MAX_KEY_FILE_BYTES + 1);
        assert!(matches!(decode("key", "PUBLIC KEY", &large), Err(Error::TooLarge { .. })));
    }
}
