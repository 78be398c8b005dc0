use super::*;
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).expect("hex in this test")
}

fn refusal(hex: &str) -> CborError {
    Item::decode(&bytes(hex)).expect_err(hex)
}

#[test]
fn every_kind_of_item_is_read_and_written_back() {
    for hex in [
        "00",
        "17",
        "1818",
        "18ff",
        "190100",
        "19ffff",
        "1a00010000",
        "1b0000000100000000",
        "1bffffffffffffffff",
        "20",
        "3bffffffffffffffff",
        "40",
        "43010203",
        "60",
        "63e282ac",
        "80",
        "83010203",
        "a0",
        "a201020304",
        "c11a514b67b0",
        "d818456449455446",
        "f4",
        "f5",
        "f6",
    ] {
        let input = bytes(hex);
        let item = Item::decode(&input).expect(hex);
        assert_eq!(hex::encode(item.encode()), hex);
    }
}

#[test]
fn map_keys_are_written_in_the_order_of_their_bytes() {
    let item = Item::Map(vec![
        (Item::Text("a"), Item::Null),
        (Item::from(-1_i64), Item::Null),
        (Item::from(258_i64), Item::Null),
        (Item::from(1_i64), Item::Null),
    ]);
    assert_eq!(hex::encode(item.encode()), "a401f6190102f620f66161f6");
}

#[test]
fn each_loose_form_is_refused_by_name() {
    for (hex, expected) in [
        ("", CborError::Truncated { offset: 0 }),
        ("18", CborError::Truncated { offset: 1 }),
        ("4201", CborError::Truncated { offset: 2 }),
        ("8201", CborError::Truncated { offset: 2 }),
        ("a101", CborError::Truncated { offset: 2 }),
        ("5bffffffffffffffff", CborError::Truncated { offset: 9 }),
        ("9bffffffffffffffff", CborError::Truncated { offset: 9 }),
        ("0000", CborError::TrailingBytes { offset: 1, count: 1 }),
        ("5f4101ff", CborError::IndefiniteLength { offset: 0 }),
        ("7f6161ff", CborError::IndefiniteLength { offset: 0 }),
        ("9f01ff", CborError::IndefiniteLength { offset: 0 }),
        ("bf0101ff", CborError::IndefiniteLength { offset: 0 }),
        ("81ff", CborError::IndefiniteLength { offset: 1 }),
        ("1817", CborError::NotShortest { offset: 0 }),
        ("1900ff", CborError::NotShortest { offset: 0 }),
        ("1a0000ffff", CborError::NotShortest { offset: 0 }),
        ("1b00000000ffffffff", CborError::NotShortest { offset: 0 }),
        ("580101", CborError::NotShortest { offset: 0 }),
        ("1c", CborError::Unsupported { offset: 0 }),
        ("f7", CborError::Unsupported { offset: 0 }),
        ("f8ff", CborError::Unsupported { offset: 0 }),
        ("f93c00", CborError::Float { offset: 0 }),
        ("fa3f800000", CborError::Float { offset: 0 }),
        ("fb3ff0000000000000", CborError::Float { offset: 0 }),
        ("61ff", CborError::NotUtf8 { offset: 0 }),
        ("a201020103", CborError::DuplicateKey { offset: 3 }),
        ("81a2616100616100", CborError::DuplicateKey { offset: 5 }),
    ] {
        assert_eq!(refusal(hex), expected, "{hex}");
    }
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |depth: usize| [vec![0x81; depth], vec![0]].concat();
    assert!(Item::decode(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(Item::decode(&nested(DEPTH_MAX + 1)), Err(CborError::TooDeep { offset: DEPTH_MAX + 1 }));
    let tags = [vec![0xc1; DEPTH_MAX + 1], vec![0]].concat();
    assert_eq!(Item::decode(&tags), Err(CborError::TooDeep { offset: DEPTH_MAX + 1 }));
}

#[test]
fn the_number_of_items_stops_at_the_limit() {
    let array = |members: usize| Item::Array(vec![Item::Null; members]).encode();
    assert!(Item::decode(&array(ITEMS_MAX - 1)).is_ok());
    assert!(matches!(Item::decode(&array(ITEMS_MAX)), Err(CborError::TooManyItems { .. })));
}

#[test]
fn the_size_stops_at_the_limit() {
    let string = |total: usize| Item::Bytes(&vec![0; total - 5]).encode();
    assert!(Item::decode(&string(ITEM_BYTES_MAX)).is_ok());
    assert_eq!(Item::decode(&string(ITEM_BYTES_MAX + 1)), Err(CborError::TooLarge { bytes: ITEM_BYTES_MAX + 1 }));
}

#[test]
fn problem_details_survive_the_round_trip() {
    let body = problem_details("Rejected", "issuer is not admitted");
    assert_eq!(hex::encode(&body[..11]), "a2206852656a6563746564");
    assert_eq!(parse_problem_details(&body), Some(("Rejected".to_owned(), "issuer is not admitted".to_owned())));
}

#[test]
fn problem_details_may_name_their_language_and_lack_a_detail() {
    assert_eq!(parse_problem_details(&bytes("a120d8268262656e624e6f")), Some(("No".to_owned(), String::new())));
    assert_eq!(parse_problem_details(&bytes("a1216161")), None);
    assert_eq!(parse_problem_details(b"<html>"), None);
}

fn any_value() -> impl Strategy<Value = ciborium::Value> {
    use ciborium::Value;
    let leaf = prop_oneof![
        any::<i64>().prop_map(|value| Value::Integer(value.into())),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,20}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            proptest::collection::btree_map(any::<i32>(), inner.clone(), 0..8)
                .prop_map(|map| Value::Map(map.into_iter().map(|(k, v)| (Value::Integer(k.into()), v)).collect())),
            // Tags 2 and 3 are big integers, which the other library folds into its integers.
            (4..u64::MAX, inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
        ]
    })
}

proptest! {
    /// What a second implementation writes in definite, shortest form, we read; what we write, it reads alike.
    #[test]
    fn a_second_implementation_reads_the_same(value in any_value()) {
        let mut encoded = Vec::new();
        ciborium::into_writer(&value, &mut encoded).expect("writing to memory");
        let item = Item::decode(&encoded).expect("its encoding is strict");
        let again: ciborium::Value = ciborium::from_reader(item.encode().as_slice()).expect("our encoding is CBOR");
        let mut sorted = Vec::new();
        ciborium::into_writer(&again, &mut sorted).expect("writing to memory");
        prop_assert_eq!(item.encode(), sorted);
    }

    #[test]
    fn random_bytes_never_panic_and_what_is_read_has_one_form(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(item) = Item::decode(&input) {
            prop_assert_eq!(item.encode().len(), input.len());
        }
    }
}
