//! Columns that cross, and columns that must not.

use std::sync::Arc;

use arrow_array::{Int32Array, LargeStringArray, ListArray, StringArray, StringViewArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::Field;

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
    // SAFETY: a primitive array has two buffers, and its release looks at neither.
    let forget = |a: &mut ArrowArray, place: usize| unsafe {
        *a.buffers.add(place) = std::ptr::null();
    };
    assert!(lie(&|a| forget(a, 0)).contains("nothing says which"));
    assert!(lie(&|a| forget(a, 1)).contains("buffer 1 is null"));
}

/// What a plugin says of its schema decides how many bytes of each buffer would be read.
#[test]
fn a_list_of_other_children_than_expected_is_refused_before_it_is_read() {
    let field = |ty: DataType| Arc::new(Field::new_list_field(ty, true));
    let strings = StringArray::from(vec!["a", "b", "c"]);
    let offsets = OffsetBuffer::from_lengths([1, 2]);
    let list = ListArray::new(field(DataType::Utf8), offsets, Arc::new(strings), None);
    let list: ArrayRef = Arc::new(list);
    let import = |expected: DataType, tell: &dyn Fn(&mut AbiColumn)| {
        let mut column = AbiColumn::export(&list, false).expect("it exports");
        tell(&mut column);
        column.import(&expected, 2)
    };
    let (narrow, wide) = (
        DataType::List(field(DataType::Utf8)),
        DataType::List(field(DataType::LargeUtf8)),
    );
    assert!(import(narrow.clone(), &|_| ()).is_ok());
    let refused = message(import(wide, &|_| ()));
    assert!(
        refused.contains("the format is \"u\", not \"U\""),
        "{refused}"
    );

    let untold = message(import(narrow.clone(), &|c| c.schema.n_children = 0));
    assert!(untold.contains("0 children"), "{untold}");
    let untold = message(import(narrow.clone(), &|c| {
        c.schema.children = std::ptr::null_mut();
    }));
    assert!(untold.contains("list of pointers is null"), "{untold}");

    let negative = message(import(narrow, &|c| {
        // SAFETY: a list has one child.
        let child = unsafe { &mut *(*c.array.children).cast::<ArrowArray>() };
        (child.length, child.null_count) = (-1, -1);
    }));
    assert!(negative.contains("do not agree"), "{negative}");
}

#[test]
fn the_lengths_of_views_are_not_believed() {
    let long = "longer than twelve bytes";
    let views: ArrayRef = Arc::new(StringViewArray::from(vec![long, long]));
    let lie = |tell: &dyn Fn(&mut [*const c_void])| {
        let column = AbiColumn::export(&views, false).expect("it exports");
        let places = usize::try_from(column.array.n_buffers).expect("a count");
        // SAFETY: there are so many buffers, and their release looks at none of the pointers.
        tell(unsafe { std::slice::from_raw_parts_mut(column.array.buffers, places) });
        message(column.import(&DataType::Utf8View, 2))
    };
    let negative = [-1i64];
    let gone = lie(&|buffers| buffers[3] = std::ptr::null());
    assert!(gone.contains("lengths of a view's buffers"), "{gone}");
    let odd = lie(&|buffers| buffers[3] = buffers[3].wrapping_byte_add(1));
    assert!(odd.contains("lengths of a view's buffers"), "{odd}");
    let short = lie(&|buffers| buffers[3] = negative.as_ptr().cast());
    assert!(short.contains("cannot have -1 bytes"), "{short}");
    let no_values = lie(&|buffers| buffers[2] = std::ptr::null());
    assert!(no_values.contains("buffer 0 of a view"), "{no_values}");
}

#[test]
fn offsets_between_two_addresses_are_refused() {
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let column = AbiColumn::export(&text.slice(0, 2), false).expect("it exports");
    // SAFETY: text has three buffers, and its release looks at none of the pointers.
    unsafe {
        let offsets = column.array.buffers.add(1);
        *offsets = (*offsets).wrapping_byte_add(1);
    }
    assert!(message(column.import(&DataType::Utf8, 2)).contains("not aligned"));
}

/// Other libraries leave out the buffers of an empty array.
#[test]
fn an_empty_column_needs_no_buffers() {
    let none: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    let column = AbiColumn::export(&none, false).expect("it exports");
    for place in 0..3 {
        // SAFETY: text has three buffers, and its release looks at none of the pointers.
        unsafe { *column.array.buffers.add(place) = std::ptr::null() };
    }
    let back = column.import(&DataType::Utf8, 0).expect("it imports");
    assert_eq!(back.data_type(), &DataType::Utf8);
    assert!(back.is_empty());
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
