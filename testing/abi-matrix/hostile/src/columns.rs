//! Lies in Arrow's structs and in Arrow's buffers.
//!
//! All of them can be seen by whoever reads no further than the structs allow. The one that cannot,
//! a buffer shorter than its column needs, is not told here: it would end the process, as docs/abi.md
//! says.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use arrow_array::{ArrayRef, LargeStringArray, StringViewArray, make_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::DataType;
use heliosdb_plugin_api::abi::arrow::{AbiColumn, ArrowSchema};

/// Tells the lie of this name about a sound column of integers.
pub fn lie(act: &str, column: &mut AbiColumn) {
    let array = &mut column.array;
    match act {
        "gives no column" => {
            let sound = std::mem::replace(column, AbiColumn::empty());
            drop(sound);
        }
        "says length -1" => array.length = -1,
        "says length 2^63 - 1" => array.length = i64::MAX,
        "says offset -1" => array.offset = -1,
        "says offset 2^62" => array.offset = 1 << 62,
        "says null count -2" => array.null_count = -2,
        "says null count 1000" => array.null_count = 1000,
        "says no buffers" => array.n_buffers = 0,
        "says 2^62 buffers" => array.n_buffers = 1 << 62,
        "says -1 buffers" => array.n_buffers = -1,
        "has no list of buffers" => array.buffers = std::ptr::null_mut(),
        "has a null buffer" => {
            // SAFETY: an array of integers has two buffers, in a list that its owner leaves alone.
            unsafe { *array.buffers.add(1) = std::ptr::null() };
        }
        "says 3 children" => array.n_children = 3,
        "says -1 children" => array.n_children = -1,
        "has a dictionary" => array.dictionary = std::ptr::from_mut(array).cast::<c_void>(),
        "was released" => array.release = None,
        "has a released schema" => column.schema.release = None,
        "has no format" => format(column, std::ptr::null()),
        "has format zzz" => format(column, c"zzz".as_ptr()),
        "has format i" => format(column, c"i".as_ptr()),
        "says it is constant" => column.constant = true,
        _ => {}
    }
}

/// Arrow's own release frees the format, so it must not see another one.
fn format(column: &mut AbiColumn, format: *const c_char) {
    unsafe extern "C" fn leak(schema: *mut c_void) {
        // SAFETY: called with the schema below.
        unsafe { (*schema.cast::<ArrowSchema>()).release = None };
    }
    column.schema.format = format;
    column.schema.release = Some(leak);
}

/// An array that nothing has checked.
fn unchecked(ty: DataType, rows: usize, buffers: Vec<Buffer>) -> ArrayRef {
    let data = ArrayData::builder(ty).len(rows).buffers(buffers);
    // SAFETY: a lie: whoever imports it must look.
    make_array(unsafe { data.build_unchecked() })
}

/// Views of 16 bytes: the length, then 12 bytes of text, or a prefix, a buffer's place and an offset.
pub fn text(act: &str, rows: usize) -> ArrayRef {
    let long = |length: u32, buffer: u32, offset: u32, prefix: &[u8; 4]| -> u128 {
        let mut view = [0; 16];
        view[..4].copy_from_slice(&length.to_le_bytes());
        view[4..8].copy_from_slice(prefix);
        view[8..12].copy_from_slice(&buffer.to_le_bytes());
        view[12..].copy_from_slice(&offset.to_le_bytes());
        u128::from_le_bytes(view)
    };
    let body = Buffer::from(b"a text of more than twelve bytes".as_slice());
    let view = match act {
        "gives text that is not UTF-8" => {
            let mut view = [0xff; 16];
            view[..4].copy_from_slice(&2u32.to_le_bytes());
            view[6..].fill(0);
            u128::from_le_bytes(view)
        }
        "points to a buffer that is not there" => long(20, 7, 0, b"a te"),
        "points behind a buffer" => long(20, 0, 30, b"a te"),
        "points with a wrong prefix" => long(20, 0, 0, b"xxxx"),
        "says a text of 4 GB" => long(u32::MAX, 0, 0, b"a te"),
        "pads with garbage" => u128::MAX << 64 | 1,
        _ => return Arc::new(StringViewArray::from(vec!["x"; rows])),
    };
    let views = Buffer::from_vec(vec![view; rows]);
    unchecked(DataType::Utf8View, rows, vec![views, body])
}

/// Offsets of 64 bits, one more than there are rows, then the text.
pub fn json(act: &str, rows: usize) -> ArrayRef {
    let rising = |step: i64, from: i64| (0..=rows as i64).map(move |i| from + step * i);
    let (offsets, text): (Vec<i64>, Vec<u8>) = match act {
        "gives offsets that fall" => (rising(-2, 100).collect(), vec![b'1'; 100]),
        "gives negative offsets" => (rising(2, -4).collect(), vec![b'1'; 100]),
        "gives json that is not UTF-8" => (rising(2, 0).collect(), vec![0xfe; 100]),
        _ => return Arc::new(LargeStringArray::from(vec!["{}"; rows])),
    };
    let buffers = vec![Buffer::from_vec(offsets), Buffer::from_vec(text)];
    unchecked(DataType::LargeUtf8, rows, buffers)
}
