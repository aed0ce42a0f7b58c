//! Columns that cross, and columns that must not.

use std::sync::Arc;

use arrow_array::{Int32Array, LargeStringArray, ListArray, StringArray, StringViewArray};

use super::*;

fn int(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(Int32Array::from_iter(values.iter().copied()))
}

fn message(result: Result<ArrayRef>) -> String {
    match result {
        Ok(array) => panic!("accepted {array:?}"),
        Err(error) => {
            assert_eq!(error.sqlstate.as_str(), "38000");
            error.message
        }
    }
}

#[test]
fn columns_cross_unchanged() {
    let list = ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]);
    let arrays: [ArrayRef; 5] = [
        int(&[Some(1), None, Some(3)]),
        Arc::new(StringArray::from(vec![Some("a"), None, Some("")])),
        Arc::new(LargeStringArray::from(vec!["{}", "[]", "1"])),
        Arc::new(StringViewArray::from(vec![
            Some("short"),
            None,
            Some("longer than twelve bytes"),
        ])),
        Arc::new(list),
    ];
    for array in arrays {
        for slice in [array.clone(), array.slice(1, 2), array.slice(0, 0)] {
            let column = AbiColumn::export(&slice, false).expect("it exports");
            let back = column.import(array.data_type(), slice.len());
            assert_eq!(back.expect("it imports").to_data(), slice.to_data());
        }
    }
}

#[test]
fn a_column_that_is_not_what_was_asked_for_is_refused() {
    let three = int(&[Some(1), None, Some(3)]);
    let column = || AbiColumn::export(&three, false).expect("it exports");
    assert!(message(column().import(&DataType::Int64, 3)).contains("format"));
    assert!(message(column().import(&DataType::Int32, 4)).contains("4 rows were expected"));
    assert!(message(AbiColumn::empty().import(&DataType::Int32, 3)).contains("no column"));
}

/// Each lie is told in the C struct, as a hostile plugin would.
#[test]
fn lies_that_can_be_seen_are_seen() {
    let three = int(&[Some(1), None, Some(3)]);
    let lie = |tell: &dyn Fn(&mut ArrowArray)| {
        let mut column = AbiColumn::export(&three, false).expect("it exports");
        tell(&mut column.array);
        message(column.import(&DataType::Int32, 3))
    };
    assert!(lie(&|a| a.offset = -1).contains("do not agree"));
    assert!(lie(&|a| a.null_count = 9).contains("do not agree"));
    assert!(lie(&|a| a.n_buffers = 1).contains("1 buffers"));
    assert!(lie(&|a| a.n_children = 1).contains("1 children"));
    assert!(lie(&|a| a.buffers = std::ptr::null_mut()).contains("null"));
    assert!(lie(&|a| a.length = -3).contains("3 rows were expected"));
}

#[test]
fn text_that_is_not_utf8_and_offsets_that_fall_are_refused() {
    use arrow_buffer::Buffer;
    use arrow_data::ArrayData;
    let build = |offsets: Vec<i32>, bytes: &[u8]| {
        // SAFETY: nothing reads the array before the import under test has checked it.
        unsafe {
            ArrayData::builder(DataType::Utf8)
                .len(offsets.len() - 1)
                .add_buffer(Buffer::from_vec(offsets))
                .add_buffer(Buffer::from(bytes))
                .build_unchecked()
        }
    };
    let import = |data: ArrayData| {
        let rows = data.len();
        let (array, schema) = to_ffi(&data).expect("it exports");
        AbiColumn::from_parts(array, schema, false).import(&DataType::Utf8, rows)
    };
    assert!(import(build(vec![0, 1, 2], b"ab")).is_ok());
    assert!(message(import(build(vec![0, 2], b"\xff\xfe"))).contains("damaged"));
    assert!(message(import(build(vec![0, 2, 1], b"ab"))).contains("do not rise"));
    assert!(message(import(build(vec![-4, 1, 2], b"ab"))).contains("do not rise"));
}
