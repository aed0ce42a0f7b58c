//! A value by its bits: what text hides (the sign of a NaN, the padding of a number's digits) shows.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, StructArray};
use heliosdb_kernel::SqlError;

/// The bits of a value; two values are the same to storage when these are.
pub fn bits(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "-".to_owned();
    }
    if let Some(booleans) = array.as_any().downcast_ref::<BooleanArray>() {
        return u8::from(booleans.value(row)).to_string();
    }
    if let Some(lists) = array.as_any().downcast_ref::<ListArray>() {
        let list: ArrayRef = lists.value(row);
        let items: Vec<String> = (0..list.len()).map(|at| bits(&list, at)).collect();
        return format!("({})", items.join(" "));
    }
    if let Some(structs) = array.as_any().downcast_ref::<StructArray>() {
        let fields = structs.columns().iter().map(|field| bits(field, row));
        return fields.collect();
    }
    if let Some(bytes) = bytes(array, row) {
        return hex(bytes);
    }
    // What is left has values of one width in one buffer.
    let data = array.slice(row, 1).to_data();
    let width = data.data_type().primitive_width().unwrap_or_default();
    let from = data.offset() * width;
    let values = data.buffers().first().map(|buffer| buffer.as_slice());
    let value = values.and_then(|values| values.get(from..from + width));
    hex(value.unwrap_or_default())
}

/// The value of a type whose values vary in length.
fn bytes(array: &dyn Array, row: usize) -> Option<&[u8]> {
    let strings = array.as_string_opt::<i32>().map(|a| a.value(row));
    let strings = strings.or_else(|| array.as_string_opt::<i64>().map(|a| a.value(row)));
    let strings = strings.or_else(|| array.as_string_view_opt().map(|a| a.value(row)));
    strings
        .map(str::as_bytes)
        .or_else(|| array.as_binary_opt::<i32>().map(|a| a.value(row)))
        .or_else(|| array.as_binary_opt::<i64>().map(|a| a.value(row)))
        .or_else(|| array.as_binary_view_opt().map(|a| a.value(row)))
        .or_else(|| array.as_fixed_size_binary_opt().map(|a| a.value(row)))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// An error with everything that a client is told.
pub fn error(error: &SqlError) -> String {
    format!(
        "{} {} {:?} {:?} {:?}",
        error.code.as_str(),
        error.message,
        error.detail,
        error.hint,
        error.constraint
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int32Array, LargeBinaryArray, StringViewArray};

    #[test]
    fn values_that_are_equal_in_other_ways_differ() {
        let floats = Float64Array::from(vec![
            Some(0.0),
            Some(-0.0),
            Some(f64::NAN),
            Some(-f64::NAN),
            None,
        ]);
        let mut shown: Vec<String> = (0..5).map(|row| bits(&floats, row)).collect();
        assert_eq!(shown[1], "0000000000000080");
        shown.sort();
        shown.dedup();
        assert_eq!(shown.len(), 5);
    }

    #[test]
    fn a_slice_shows_its_own_values() {
        let numbers = Int32Array::from(vec![1, 2, 3]).slice(1, 2);
        assert_eq!(bits(&numbers, 1), "03000000");
        let texts = StringViewArray::from(vec!["a", "longer than twelve bytes"]).slice(1, 1);
        assert_eq!(bits(&texts, 0).len(), 48);
        let bytes = LargeBinaryArray::from(vec![b"a".as_slice(), b"\xff"]).slice(1, 1);
        assert_eq!(bits(&bytes, 0), "ff");
        let lists = ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([
            Some(vec![Some(1), None]),
            Some(vec![Some(2)]),
        ]);
        assert_eq!(bits(&lists.slice(1, 1), 0), "(02000000)");
        assert_eq!(bits(&lists, 0), "(01000000 -)");
    }
}
