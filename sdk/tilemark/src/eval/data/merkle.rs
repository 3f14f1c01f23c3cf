//! A digest over a set of samples in which each can be shown to be: the tree of RFC 9162 (certificate transparency, version 2).

use tilemark_bundle::{Digest, sha256};

/// Grows by one leaf after the other; only the roots of whole subtrees are kept.
#[derive(Clone, Debug, Default)]
pub struct Merkle {
    /// Roots of whole subtrees with how many leaves each has, largest first.
    whole: Vec<(u64, Digest)>,
}

impl Merkle {
    /// Adds the next leaf.
    pub fn add(&mut self, leaf: Digest) {
        let mut grown = (1, leaf);
        while let Some((leaves, left)) = self.whole.pop() {
            if leaves != grown.0 {
                self.whole.push((leaves, left));
                break;
            }
            grown = (2 * leaves, node(left, grown.1));
        }
        self.whole.push(grown);
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut parts = self.whole.iter().rev().map(|(_, root)| *root);
        let Some(last) = parts.next() else { return sha256(b"") };
        parts.fold(last, |right, left| node(left, right))
    }
}

/// The leaf of a sample: of its name, the SHA-256 of its file and that of what it is labelled as.
#[must_use]
pub fn leaf_of(name: &str, file: Digest, label: Digest) -> Digest {
    let mut bytes = vec![0];
    field(&mut bytes, name.as_bytes());
    bytes.extend(file.as_bytes());
    bytes.extend(label.as_bytes());
    sha256(&bytes)
}

fn node(left: Digest, right: Digest) -> Digest {
    sha256(&[&[1], &left.as_bytes()[..], right.as_bytes()].concat())
}

/// Bytes with their length before them, so that two fields are never taken for two others.
pub(super) fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 9162 defines it: split at the largest power of two below the length.
    fn defined(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let split = (leaves.len() as u64).next_power_of_two() as usize / 2;
                node(defined(&leaves[..split]), defined(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_rfc_9162s() {
        let leaves: Vec<Digest> = (0..70u8).map(|i| leaf_of("x", sha256(&[i]), sha256(b""))).collect();
        let mut tree = Merkle::default();
        assert_eq!(tree.root(), defined(&[]));
        for count in 1..=leaves.len() {
            tree.add(leaves[count - 1]);
            assert_eq!(tree.root(), defined(&leaves[..count]), "{count}");
        }
    }

    #[test]
    fn a_leaf_is_of_name_file_and_truth() {
        let [c, d] = [b"c", b"d"].map(|bytes| sha256(bytes));
        let leaf = leaf_of("ab", c, d);
        for other in [leaf_of("a", c, d), leaf_of("ab", d, d), leaf_of("ab", c, c), leaf_of("ab", d, c)] {
            assert_ne!(leaf, other);
        }
    }
}
