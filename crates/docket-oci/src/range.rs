//! Byte ranges: what a reader asks for and where an upload's chunk belongs.

/// What a `Range` header asks of content with a known length (RFC 9110 §14).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ranged {
    /// All of it: no range, one that is not understood, or several at once.
    Whole,
    /// One part, answered with 206.
    Part {
        /// Offset of the first byte.
        start: u64,
        /// Offset of the last byte, at most `total - 1`.
        end_inclusive: u64,
    },
    /// A range that holds no byte of the content, answered with 416.
    Unsatisfiable,
}

/// Reads a `Range` header against content of `total` bytes.
///
/// An unknown unit, several ranges and anything malformed are ignored, as RFC 9110 allows. A reversed range such as
/// `bytes=500-0` is unsatisfiable rather than ignored: a caller who asked for nothing should not receive everything.
pub fn parse_range(header: &str, total: u64) -> Ranged {
    let Some((unit, spec)) = header.trim().split_once('=') else {
        return Ranged::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranged::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Ranged::Whole;
    };
    let (first, last) = (saturating_number(first), saturating_number(last));
    let (start, end_inclusive) = match (first, last) {
        (Number::Is(start), Number::Is(end)) => (start, end),
        (Number::Is(start), Number::Missing) => (start, u64::MAX),
        (Number::Missing, Number::Is(0)) => return Ranged::Unsatisfiable,
        (Number::Missing, Number::Is(length)) => (total.saturating_sub(length), u64::MAX),
        (Number::Missing, Number::Missing) | (Number::Malformed, _) | (_, Number::Malformed) => {
            return Ranged::Whole;
        }
    };
    if start >= total || start > end_inclusive {
        return Ranged::Unsatisfiable;
    }
    Ranged::Part { start, end_inclusive: end_inclusive.min(total - 1) }
}

/// Where a chunk belongs in an upload: the `Content-Range` of a PATCH or a closing PUT, `<start>-<end>`, both inclusive
/// and without a unit (distribution-spec, "Pushing a blob in chunks").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadRange {
    start: u64,
    end_inclusive: u64,
}

impl UploadRange {
    /// Reads the header; `None` if it is not two numbers in order, or ends beyond [`UPLOAD_OFFSET_MAX`].
    ///
    /// The form of RFC 9110, `bytes 0-99/100`, is refused: the spec does not use it here and its total could lie.
    pub fn parse(header: &str) -> Option<Self> {
        let (start, end) = header.trim().split_once('-')?;
        let (start, end_inclusive) = (number(start)?, number(end)?);
        (start <= end_inclusive && end_inclusive <= UPLOAD_OFFSET_MAX).then_some(Self { start, end_inclusive })
    }

    /// Offset of the chunk's first byte.
    pub fn start(self) -> u64 {
        self.start
    }

    /// Offset of the chunk's last byte.
    pub fn end_inclusive(self) -> u64 {
        self.end_inclusive
    }

    /// How many bytes the chunk has; never zero.
    pub fn length(self) -> u64 {
        self.end_inclusive - self.start + 1
    }
}

/// The `Range` of an upload's answer: everything received so far, counted from the start of the blob.
///
/// Nothing at all has no legal form; `0-0` is what clients have learnt to read.
pub fn upload_progress(bytes_received: u64) -> String {
    format!("0-{}", bytes_received.saturating_sub(1))
}

/// The largest offset an upload can have, so that every length fits a signed 64-bit number.
pub const UPLOAD_OFFSET_MAX: u64 = i64::MAX as u64 - 1;

enum Number {
    Missing,
    Is(u64),
    Malformed,
}

/// Digits too many for 64 bits are the largest number: they lie past the end of any content, which is all that matters.
fn saturating_number(text: &str) -> Number {
    let text = text.trim();
    if text.is_empty() {
        Number::Missing
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Number::Is(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Malformed
    }
}

fn number(text: &str) -> Option<u64> {
    // `u64::from_str` alone would also take a leading plus.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(start: u64, end_inclusive: u64) -> Ranged {
        Ranged::Part { start, end_inclusive }
    }

    #[test]
    fn one_range_is_clipped_to_the_content() {
        assert_eq!(parse_range("bytes=0-9", 100), part(0, 9));
        assert_eq!(parse_range("bytes=90-", 100), part(90, 99));
        assert_eq!(parse_range("bytes=-10", 100), part(90, 99));
        assert_eq!(parse_range("bytes=-1000", 100), part(0, 99));
        assert_eq!(parse_range("bytes=99-18446744073709551616", 100), part(99, 99));
        assert_eq!(parse_range("Bytes = 0-0", 1), part(0, 0));
    }

    #[test]
    fn a_range_without_a_byte_is_unsatisfiable() {
        for header in ["bytes=100-", "bytes=100-200", "bytes=500-0", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(parse_range(header, 100), Ranged::Unsatisfiable, "{header}");
        }
        for header in ["bytes=0-0", "bytes=0-", "bytes=-1"] {
            assert_eq!(parse_range(header, 0), Ranged::Unsatisfiable, "{header} of nothing");
        }
    }

    #[test]
    fn what_is_not_understood_is_the_whole() {
        for header in ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=+1-2", "0-1"]
        {
            assert_eq!(parse_range(header, 100), Ranged::Whole, "{header}");
        }
    }

    #[test]
    fn an_upload_range_is_two_numbers_in_order() {
        let range = UploadRange::parse("5-99").expect("well formed");
        assert_eq!((range.start(), range.end_inclusive(), range.length()), (5, 99, 95));
        for lie in ["", "-", "0-", "-5", "5-4", "bytes 0-1", "0-1/2", "+0-1", "0-18446744073709551615", "0--1"] {
            assert_eq!(UploadRange::parse(lie), None, "{lie}");
        }
        assert!(UploadRange::parse(&format!("0-{UPLOAD_OFFSET_MAX}")).is_some());
        assert!(UploadRange::parse(&format!("0-{}", UPLOAD_OFFSET_MAX + 1)).is_none());
    }

    #[test]
    fn progress_counts_from_the_start_of_the_blob() {
        assert_eq!(upload_progress(0), "0-0");
        assert_eq!(upload_progress(1), "0-0");
        assert_eq!(upload_progress(100), "0-99");
    }
}
