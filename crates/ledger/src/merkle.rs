//! The Merkle tree over a journal (RFC 6962, section 2.1), whose leaves are the hashes of the entries.
//!
//! The tree over n entries is known by its *peaks*: the roots of the complete subtrees that the bits
//! of n name, largest first. Roots of complete subtrees whose height is a multiple of eight are kept
//! as *tiles*, so that a proof reads a few hundred hashes at most, however long the journal is.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::encode::entry_hash;

/// SHA-256.
pub type Hash = [u8; 32];

/// First byte of what the hash of an inner node covers.
const NODE_TAG: u8 = 1;
/// Heights at which roots are kept.
pub(crate) const TILE_HEIGHT: u32 = 8;

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([NODE_TAG]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a complete subtree to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) level: u32,
    pub(crate) number: u64,
    pub(crate) hash: Hash,
}

/// The tree over the entries so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// The tree of this size with these peaks; `None` when they do not fit each other.
    pub(crate) fn new(size: u64, peaks: &[u8]) -> Option<Self> {
        let (peaks, rest) = peaks.as_chunks::<32>();
        let fits = rest.is_empty() && peaks.len() == size.count_ones() as usize;
        fits.then(|| Self { size, peaks: peaks.to_vec() })
    }

    #[cfg(test)]
    fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn peaks(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// Adds a leaf; tells which tiles it has completed.
    pub(crate) fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Tile)) {
        let mut hash = leaf;
        // Every complete subtree of this height stands to the left of the new leaf.
        for height in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("as many peaks as bits are set");
            hash = node_hash(&left, &hash);
            if (height + 1) % TILE_HEIGHT == 0 {
                let level = (height + 1) / TILE_HEIGHT;
                completed(Tile { level, number: self.size >> (height + 1), hash });
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root; of an empty tree the hash of nothing.
    pub(crate) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// A complete subtree: those entries whose index, from 0, is `number` when its low `height` bits are
/// cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subtree {
    pub(crate) height: u32,
    pub(crate) number: u64,
}

/// A hash of the path, made of complete subtrees: more than one where the tree ends early.
type Step = Vec<Subtree>;

/// Which subtrees stand beside the way from leaf `index` to the root of the tree of `size` leaves,
/// lowest first (RFC 6962, `PATH`).
pub(crate) fn path(index: u64, size: u64) -> Vec<Step> {
    let (mut low, mut high, mut steps) = (0, size, Vec::new());
    while high - low > 1 {
        // The largest power of two below the number of leaves.
        let left = 1_u64 << (u64::BITS - 1 - (high - low - 1).leading_zeros());
        if index < low + left {
            steps.push(cover(low + left, high));
            high = low + left;
        } else {
            steps.push(cover(low, low + left));
            low += left;
        }
    }
    steps.reverse();
    steps
}

/// The complete subtrees that make up the leaves from `low` up to `high`, left to right.
fn cover(mut low: u64, high: u64) -> Step {
    let mut parts = Vec::new();
    while low < high {
        let height = low.trailing_zeros().min(u64::BITS - 1 - (high - low).leading_zeros());
        parts.push(Subtree { height, number: low >> height });
        low += 1 << height;
    }
    parts
}

/// The root over subtrees that stand side by side, each further one smaller.
pub(crate) fn join(hashes: &[Hash]) -> Option<Hash> {
    let (last, before) = hashes.split_last()?;
    Some(before.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

/// The root of a complete subtree from all hashes at its foot.
pub(crate) fn fold(mut hashes: Vec<Hash>) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    while hashes.len() > 1 {
        hashes = hashes.chunks(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    hashes.pop()
}

/// Proof that an entry stands in a journal: whoever keeps it can check it later, knowing only the
/// root of a tree that he trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Where the entry stands, from 0.
    pub index: u64,
    /// How many entries the tree has.
    pub size: u64,
    /// The root of that tree.
    #[serde(with = "hex_hash")]
    pub root: Hash,
    /// The hash of the entry before.
    #[serde(with = "hex_hash")]
    pub before: Hash,
    /// The entry: what [`crate::entry_bytes`] makes of it.
    #[serde(with = "hex_bytes")]
    pub entry: Vec<u8>,
    /// Hashes beside the way to the root, lowest first.
    #[serde(with = "hex_hashes")]
    pub path: Vec<Hash>,
}

impl Receipt {
    /// Does it prove that the entry stands in the tree? Needs nothing but itself (RFC 9162, 2.1.3.2).
    pub fn is_valid(&self) -> bool {
        if self.index >= self.size {
            return false;
        }
        let (mut at, mut last) = (self.index, self.size - 1);
        let mut hash = entry_hash(&self.before, &self.entry);
        for beside in &self.path {
            if last == 0 {
                return false;
            }
            if at & 1 == 1 || at == last {
                hash = node_hash(beside, &hash);
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(&hash, beside);
            }
            at >>= 1;
            last >>= 1;
        }
        last == 0 && hash == self.root
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes from hexadecimal digits; `None` of anything else.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| {
        pairs.iter().map(|[high, low]| u8::try_from(high << 4 | low).unwrap_or(0)).collect()
    })
}

mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::to_hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        super::from_hex(&text).ok_or_else(|| D::Error::custom("not hexadecimal digits"))
    }
}

mod hex_hash {
    use serde::{Deserializer, Serializer, de::Error as _};

    use super::{Hash, hex_bytes};

    pub(super) fn serialize<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(hash, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let bytes = hex_bytes::deserialize(from)?;
        bytes.try_into().map_err(|_| D::Error::custom("a hash has 32 bytes"))
    }
}

mod hex_hashes {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::{Hash, from_hex, to_hex};

    pub(super) fn serialize<S: Serializer>(hashes: &[Hash], to: S) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = hashes.iter().map(|hash| to_hex(hash)).collect();
        texts.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hash>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let hash = |text: &String| from_hex(text)?.try_into().ok();
        let hashes: Option<_> = texts.iter().map(hash).collect();
        hashes.ok_or_else(|| D::Error::custom("a hash has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(number: u64) -> (Hash, Vec<u8>) {
        let entry = number.to_be_bytes().to_vec();
        (entry_hash(&[7; 32], &entry), entry)
    }

    /// RFC 6962's definition, word for word.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => Sha256::digest([]).into(),
            1 => leaves[0],
            count => {
                let left = 1 << (usize::BITS - 1 - (count - 1).leading_zeros());
                node_hash(&defined(&leaves[..left]), &defined(&leaves[left..]))
            }
        }
    }

    #[test]
    fn the_root_is_as_defined_at_every_size() {
        let (mut tree, mut leaves, mut tiles) = (Tree::default(), Vec::new(), Vec::new());
        for number in 0..600 {
            assert_eq!(tree.root(), defined(&leaves), "{number}");
            let (hash, _) = leaf(number);
            tree.push(hash, |tile| tiles.push(tile));
            leaves.push(hash);
            assert_eq!(Tree::new(tree.size(), &tree.peaks()).as_ref(), Some(&tree));
        }
        let tile = |number: usize| Tile {
            level: 1,
            number: number as u64,
            hash: defined(&leaves[256 * number..256 * (number + 1)]),
        };
        assert_eq!(tiles, [tile(0), tile(1)]);
        assert_eq!(Tree::new(3, &[0; 32]), None);
    }

    #[test]
    fn every_leaf_of_every_tree_has_a_receipt_and_no_false_one() {
        for size in 1..70_u64 {
            let leaves: Vec<Hash> = (0..size).map(|number| leaf(number).0).collect();
            for index in 0..size {
                let part = |part: &Subtree| {
                    let width = 1 << part.height;
                    let from = usize::try_from(part.number).unwrap() * width;
                    fold(leaves[from..from + width].to_vec()).unwrap()
                };
                let hash = |step: &Step| join(&step.iter().map(part).collect::<Vec<_>>()).unwrap();
                let receipt = Receipt {
                    index,
                    size,
                    root: defined(&leaves),
                    before: [7; 32],
                    entry: leaf(index).1,
                    path: path(index, size).iter().map(hash).collect(),
                };
                assert!(receipt.is_valid(), "{index} of {size}");
                let json = serde_json::to_string(&receipt).unwrap();
                assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
                let other = |change: fn(&mut Receipt)| {
                    let mut other = receipt.clone();
                    change(&mut other);
                    other.is_valid()
                };
                assert!(!other(|it| it.entry[7] ^= 1));
                assert!(!other(|it| it.before[0] ^= 1));
                assert!(!other(|it| it.root[31] ^= 1));
                assert!(!other(|it| it.path.push([0; 32])));
                assert!(size == 1 || !other(|it| it.path[0][5] ^= 1));
                assert!(size == 1 || !other(|it| it.path.truncate(it.path.len() - 1)));
                assert!(!other(|it| it.index = it.size));
            }
        }
    }
}
