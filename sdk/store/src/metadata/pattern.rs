//! Which paths a delegation is about.

use tilemark_bundle::sha256;

/// Whether a path is one of a pattern's: segment by segment, as many of them, `*` for any characters of one, `?` for one.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), segments.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if glob(pattern.as_bytes(), segment.as_bytes()) => {}
            _ => return false,
        }
    }
}

/// Greedy with one place to come back to, so that the time is bounded by the product of the lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

/// Whether a path's SHA-256 begins with one of these digits.
pub(super) fn in_bin(prefixes: &[String], path: &str) -> bool {
    let digest = sha256(path.as_bytes()).to_string();
    prefixes.iter().any(|prefix| digest.starts_with(prefix.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let yes = [
            ("acme/*/*", "acme/tagger/7.listing"),
            ("*", "a"),
            ("*.tmk", "a.tmk"),
            ("a?c", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("**", "a"),
            ("a/b", "a/b"),
            ("", ""),
        ];
        for (pattern, path) in yes {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        let no = [
            ("acme/*/*", "acme/tagger"),
            ("acme/*/*", "acme/a/b/c"),
            ("acme/*/*", "acme2/a/b"),
            ("*", "a/b"),
            ("a?c", "ac"),
            ("a*b", "abc"),
            ("", "a"),
            ("a", ""),
            ("A", "a"),
        ];
        for (pattern, path) in no {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        assert!(!glob("*a".repeat(200).as_bytes(), "a".repeat(199).as_bytes()));
        assert!(!glob(format!("{}b", "*a".repeat(1000)).as_bytes(), "a".repeat(20_000).as_bytes()));
    }
}
