//! CBOR read strictly and written deterministically (RFC 8949 §4.2.1), borrowing what it reads.
//!
//! One form for each value: definite lengths, shortest heads, no duplicate map keys, nothing after the item, no
//! floats, no `undefined`. Whoever signs bytes in another form is refused, so that two readers cannot understand
//! the same statement differently. Map keys may come in any order when read; they are sorted when written.

use std::collections::BTreeSet;

/// Most bytes one item may have, nested items included.
pub const ITEM_BYTES_MAX: usize = 1 << 20;

/// How deep arrays, maps and tags may nest.
pub const DEPTH_MAX: usize = 16;

/// Most items (array members, map keys and values, tag contents) one input may hold.
pub const ITEMS_MAX: usize = 16_384;

/// One CBOR data item. Strings are borrowed, from the input when read, from the caller when written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// Major types 0 and 1: any integer from -2^64 to 2^64-1.
    Integer(i128),
    /// Major type 2.
    Bytes(&'a [u8]),
    /// Major type 3, checked to be UTF-8.
    Text(&'a str),
    /// Major type 4.
    Array(Vec<Self>),
    /// Major type 5, in the order of the input.
    Map(Map<'a>),
    /// Major type 6.
    Tag(u64, Box<Self>),
    /// `true` and `false`.
    Bool(bool),
    /// `null`, which COSE calls nil.
    Null,
}

/// The entries of a map, keys unique.
pub type Map<'a> = Vec<(Item<'a>, Item<'a>)>;

/// Why bytes are not one strictly encoded item. Offsets count from the first byte of the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The input ends inside an item.
    #[error("CBOR is cut short at byte {offset}")]
    Truncated {
        /// Where more bytes were needed.
        offset: usize,
    },
    /// A complete item is followed by more bytes.
    #[error("CBOR has {count} bytes after the item that ends at byte {offset}")]
    TrailingBytes {
        /// Where the item ends.
        offset: usize,
        /// How many bytes follow.
        count: usize,
    },
    /// Indefinite length or a break.
    #[error("CBOR of indefinite length at byte {offset}; lengths must be stated")]
    IndefiniteLength {
        /// Where the item starts.
        offset: usize,
    },
    /// A length or number is written longer than needed.
    #[error("CBOR number or length at byte {offset} is not in its shortest form")]
    NotShortest {
        /// Where the item starts.
        offset: usize,
    },
    /// Additional information 28 to 30, or a simple value other than false, true and null.
    #[error("CBOR value at byte {offset} has no meaning here (reserved or simple value)")]
    Unsupported {
        /// Where the item starts.
        offset: usize,
    },
    /// A floating-point number.
    #[error("CBOR floating-point number at byte {offset}; only integers are accepted")]
    Float {
        /// Where the item starts.
        offset: usize,
    },
    /// Text that is not UTF-8.
    #[error("CBOR text at byte {offset} is not UTF-8")]
    NotUtf8 {
        /// Where the item starts.
        offset: usize,
    },
    /// A map holds one key twice.
    #[error("CBOR map repeats the key at byte {offset}")]
    DuplicateKey {
        /// Where the second key starts.
        offset: usize,
    },
    /// More than [`ITEM_BYTES_MAX`].
    #[error("CBOR of {bytes} bytes is over the limit of {ITEM_BYTES_MAX}")]
    TooLarge {
        /// Length of the input.
        bytes: usize,
    },
    /// More than [`DEPTH_MAX`].
    #[error("CBOR nests deeper than {DEPTH_MAX} at byte {offset}")]
    TooDeep {
        /// Where the item starts.
        offset: usize,
    },
    /// More than [`ITEMS_MAX`].
    #[error("CBOR holds more than {ITEMS_MAX} items at byte {offset}")]
    TooManyItems {
        /// Where the item starts.
        offset: usize,
    },
}

impl<'a> Item<'a> {
    /// Reads exactly one item from `bytes`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, CborError> {
        if bytes.len() > ITEM_BYTES_MAX {
            return Err(CborError::TooLarge { bytes: bytes.len() });
        }
        let mut scanner = Scanner { input: bytes, offset: 0, items: 0 };
        let item = scanner.item(0)?;
        let count = bytes.len() - scanner.offset;
        if count > 0 {
            return Err(CborError::TrailingBytes { offset: scanner.offset, count });
        }
        Ok(item)
    }

    /// Writes the item in the one deterministic form: shortest heads, map keys sorted by their encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    /// The integer, if this is one that fits an `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        let Self::Integer(value) = self else { return None };
        i64::try_from(*value).ok()
    }

    /// The integer, if this is one that fits a `u64`.
    pub fn as_u64(&self) -> Option<u64> {
        let Self::Integer(value) = self else { return None };
        u64::try_from(*value).ok()
    }

    /// The byte string, if this is one.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        let Self::Bytes(bytes) = self else { return None };
        Some(bytes)
    }

    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&'a str> {
        let Self::Text(text) = self else { return None };
        Some(text)
    }

    /// The members, if this is an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        let Self::Array(items) = self else { return None };
        Some(items)
    }

    /// The entries, if this is a map.
    pub fn as_map(&self) -> Option<&Map<'a>> {
        let Self::Map(entries) = self else { return None };
        Some(entries)
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(value) if *value < 0 => head(out, 1, clamp_u64(-1 - *value)),
            Self::Integer(value) => head(out, 0, clamp_u64(*value)),
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(out, 3, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Array(items) => {
                head(out, 4, items.len() as u64);
                for item in items {
                    item.encode_to(out);
                }
            }
            Self::Map(entries) => {
                let mut encoded: Vec<_> = entries.iter().map(|(key, value)| (key.encode(), value)).collect();
                encoded.sort_by(|(a, _), (b, _)| a.cmp(b));
                head(out, 5, encoded.len() as u64);
                for (key, value) in encoded {
                    out.extend_from_slice(&key);
                    value.encode_to(out);
                }
            }
            Self::Tag(tag, content) => {
                head(out, 6, *tag);
                content.encode_to(out);
            }
            Self::Bool(value) => out.push(if *value { TRUE } else { FALSE }),
            Self::Null => out.push(NULL),
        }
    }
}

impl From<i64> for Item<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u64> for Item<'_> {
    fn from(value: u64) -> Self {
        Self::Integer(value.into())
    }
}

/// The value under an integer key.
pub fn lookup<'m, 'a>(map: &'m [(Item<'a>, Item<'a>)], key: i64) -> Option<&'m Item<'a>> {
    let key = Item::from(key);
    map.iter().find(|(candidate, _)| *candidate == key).map(|(_, value)| value)
}

/// The value under a text key.
pub fn lookup_text<'m, 'a>(map: &'m [(Item<'a>, Item<'a>)], key: &str) -> Option<&'m Item<'a>> {
    map.iter().find(|(candidate, _)| candidate.as_text() == Some(key)).map(|(_, value)| value)
}

/// A concise problem (RFC 9290 §2) with its title (-1) and detail (-2): the body of every SCRAPI error.
pub fn problem_details(title: &str, detail: &str) -> Vec<u8> {
    Item::Map(vec![(PROBLEM_TITLE.into(), Item::Text(title)), (PROBLEM_DETAIL.into(), Item::Text(detail))]).encode()
}

/// Title and detail of a concise problem, plain or language-tagged (tag 38); `None` for anything else.
/// A missing detail reads as the empty text.
pub fn parse_problem_details(bytes: &[u8]) -> Option<(String, String)> {
    let item = Item::decode(bytes).ok()?;
    let entries = item.as_map()?;
    let title = plain_text(lookup(entries, PROBLEM_TITLE)?)?;
    let detail = lookup(entries, PROBLEM_DETAIL).map_or(Some(""), plain_text)?;
    Some((title.to_owned(), detail.to_owned()))
}

/// Text as it stands, or the text inside tag 38 (`[language, text, ?direction]`, RFC 9290 appendix A).
fn plain_text<'a>(item: &Item<'a>) -> Option<&'a str> {
    match item {
        Item::Text(text) => Some(text),
        Item::Tag(LANGUAGE_TAGGED, content) => content.as_array()?.get(1)?.as_text(),
        _ => None,
    }
}

struct Scanner<'a> {
    input: &'a [u8],
    offset: usize,
    items: usize,
}

impl<'a> Scanner<'a> {
    fn item(&mut self, depth: usize) -> Result<Item<'a>, CborError> {
        let offset = self.offset;
        if depth > DEPTH_MAX {
            return Err(CborError::TooDeep { offset });
        }
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(CborError::TooManyItems { offset });
        }
        let initial = self.take(1)?[0];
        let (major, info) = (initial >> 5, initial & 0x1f);
        if major == 7 {
            return simple(initial, offset);
        }
        let argument = self.argument(info, offset)?;
        match major {
            0 => Ok(Item::Integer(argument.into())),
            1 => Ok(Item::Integer(-1 - i128::from(argument))),
            2 => Ok(Item::Bytes(self.take_counted(argument)?)),
            3 => {
                let bytes = self.take_counted(argument)?;
                let text = std::str::from_utf8(bytes).map_err(|_| CborError::NotUtf8 { offset })?;
                Ok(Item::Text(text))
            }
            4 => self.array(argument, depth),
            5 => self.map(argument, depth),
            _ => Ok(Item::Tag(argument, Box::new(self.item(depth + 1)?))),
        }
    }

    fn array(&mut self, count: u64, depth: usize) -> Result<Item<'a>, CborError> {
        let mut items = Vec::with_capacity(self.plausible(count));
        for _ in 0..count {
            items.push(self.item(depth + 1)?);
        }
        Ok(Item::Array(items))
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Item<'a>, CborError> {
        let mut entries = Vec::with_capacity(self.plausible(count));
        // Every value has one encoding here, so equal keys are equal bytes.
        let mut seen = BTreeSet::new();
        for _ in 0..count {
            let offset = self.offset;
            let key = self.item(depth + 1)?;
            if !seen.insert(&self.input[offset..self.offset]) {
                return Err(CborError::DuplicateKey { offset });
            }
            entries.push((key, self.item(depth + 1)?));
        }
        Ok(Item::Map(entries))
    }

    /// What to reserve for `count` announced members: never more than the bytes that are left could hold.
    fn plausible(&self, count: u64) -> usize {
        let left = (self.input.len() - self.offset).min(ITEMS_MAX - self.items);
        usize::try_from(count).map_or(left, |count| count.min(left))
    }

    fn argument(&mut self, info: u8, offset: usize) -> Result<u64, CborError> {
        let (width, smallest) = match info {
            0..=23 => return Ok(info.into()),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 => return Err(CborError::IndefiniteLength { offset }),
            _ => return Err(CborError::Unsupported { offset }),
        };
        let value = self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if value < smallest {
            return Err(CborError::NotShortest { offset });
        }
        Ok(value)
    }

    fn take_counted(&mut self, count: u64) -> Result<&'a [u8], CborError> {
        match usize::try_from(count) {
            Ok(count) => self.take(count),
            Err(_) => Err(CborError::Truncated { offset: self.input.len() }),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CborError> {
        let rest = &self.input[self.offset..];
        let Some(taken) = rest.get(..count) else {
            return Err(CborError::Truncated { offset: self.input.len() });
        };
        self.offset += count;
        Ok(taken)
    }
}

/// Major type 7, of which only false, true and null are used.
fn simple<'a>(initial: u8, offset: usize) -> Result<Item<'a>, CborError> {
    match initial {
        FALSE => Ok(Item::Bool(false)),
        TRUE => Ok(Item::Bool(true)),
        NULL => Ok(Item::Null),
        0xf9..=0xfb => Err(CborError::Float { offset }),
        0xff => Err(CborError::IndefiniteLength { offset }),
        _ => Err(CborError::Unsupported { offset }),
    }
}

fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend([major | 0x18, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 0x19);
            out.extend(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 0x1a);
            out.extend(&bytes[4..]);
        }
        _ => {
            out.push(major | 0x1b);
            out.extend(bytes);
        }
    }
}

/// The argument of an integer head. CBOR integers end at 64 bits; a caller's larger number is a mistake that saturates.
fn clamp_u64(value: i128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

const PROBLEM_TITLE: i64 = -1;
const PROBLEM_DETAIL: i64 = -2;
const LANGUAGE_TAGGED: u64 = 38;

#[cfg(test)]
mod tests;
