//! Executables of macOS, made here from their symbols.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use grants::{Binary, Unreadable};

/// A symbol with code of its own, as Mach-O has it: with one more underscore.
const GET_ITEM: &str = "__RNvXNtNtCsfI52k4RikCX_16aws_sdk_dynamodb9operation8get_itemNtB2_7GetItemNtNtNtCs80KxIaHuHGf_22aws_smithy_runtime_api6client14runtime_plugin13RuntimePlugin6config";
const PUT_ITEM: &str = "__ZN128_$LT$aws_sdk_dynamodb..operation..put_item..PutItem$u20$as$u20$aws_smithy_runtime_api..client..runtime_plugin..RuntimePlugin$GT$6config17h1a4d14d8fdcf439dE";
const PRINT: &str = "__ZN3std2io5stdio6_print17h0123456789abcdefE";

/// How `<mach-o/nlist.h>` marks a symbol.
const DEFINED: u8 = 0x0f;
const UNDEFINED: u8 = 0x01;

/// An executable for arm64 with one section and these symbols.
fn executable(symbols: &[(&str, u8)]) -> Vec<u8> {
    const HEADER: u32 = 32;
    const SEGMENT: u32 = 72 + 80;
    const SYMTAB: u32 = 24;
    let mut names = vec![0];
    let mut list = Vec::new();
    for (name, kind) in symbols {
        list.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
        list.extend([*kind, u8::from(*kind == DEFINED), 0, 0]);
        list.extend(0x1_0000_0000_u64.to_le_bytes());
        names.extend(name.bytes().chain([0]));
    }
    let symbols_at = HEADER + SEGMENT + SYMTAB;
    let names_at = symbols_at + u32::try_from(list.len()).unwrap();
    let mut file = Vec::new();
    let mut words = |words: &[u32]| {
        words
            .iter()
            .for_each(|word| file.extend(word.to_le_bytes()));
    };
    // Magic, processor, kind: executable, load commands and their size.
    words(&[0xfeed_facf, 0x0100_000c, 0, 2, 2, SEGMENT + SYMTAB, 0, 0]);
    let text = |name: &[u8; 8]| {
        let (low, high) = name.split_at(4);
        [low, high].map(|half| u32::from_le_bytes(half.try_into().unwrap()))
    };
    let [t0, t1] = text(b"__TEXT\0\0");
    let [s0, s1] = text(b"__text\0\0");
    words(&[0x19, SEGMENT, t0, t1, 0, 0, 0, 1, 0x1000, 0, 0, 0, 0, 0]);
    words(&[5, 5, 1, 0]);
    words(&[
        s0, s1, 0, 0, t0, t1, 0, 0, 0, 1, 0x1000, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let count = u32::try_from(symbols.len()).unwrap();
    let names_len = u32::try_from(names.len()).unwrap();
    words(&[0x2, SYMTAB, symbols_at, count, names_at, names_len]);
    file.extend(list);
    file.extend(names);
    file
}

#[test]
fn operations_are_found_in_an_executable_of_macos() {
    let symbols = [(GET_ITEM, DEFINED), (PUT_ITEM, DEFINED), ("_main", DEFINED)];
    let with_c = [&symbols[..], &[("_write", UNDEFINED)]].concat();
    let binary = Binary::read(&executable(&with_c)).unwrap();
    let names: Vec<&str> = binary
        .operations()
        .map(|operation| operation.name.as_str())
        .collect();
    assert_eq!(names, ["GetItem", "PutItem"]);
}

#[test]
fn an_executable_of_macos_without_its_code_or_symbols_is_refused() {
    let dynamic = [(GET_ITEM, DEFINED), (PRINT, UNDEFINED)];
    let refused = Binary::read(&executable(&dynamic)).unwrap_err();
    assert!(
        matches!(&refused, Unreadable::Dynamic(path) if path == "std::io::stdio::_print"),
        "{refused}"
    );
    let stripped = executable(&[("_write", UNDEFINED)]);
    assert!(matches!(Binary::read(&stripped), Err(Unreadable::Stripped)));
}
