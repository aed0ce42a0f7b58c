//! Arrow's C Data Interface, and the checks that an import makes.
//!
//! A column crosses as the two C structs that the Arrow format specifies, so the two sides may use
//! different versions of different Arrow libraries. Ownership crosses with it: the receiver calls
//! `release`.
//!
//! [`AbiColumn::import`] believes nothing that can be checked: the type, down to its innermost child,
//! and the length must be those that the caller expects, counts of buffers and children those of the
//! type, lengths must not be negative, offsets must rise and text must be UTF-8. What no reader of the
//! C structs can check is how long a buffer really is.

use std::ffi::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

use abi_stable::StableAbi;
use arrow_array::ffi::{from_ffi, from_ffi_and_data_type, to_ffi, FFI_ArrowArray, FFI_ArrowSchema};
use arrow_array::{make_array, new_empty_array, Array, ArrayRef};
use arrow_schema::DataType;

use crate::error::{Error, Result};

/// `struct ArrowSchema` of the C Data Interface.
#[repr(C)]
#[derive(StableAbi)]
pub struct ArrowSchema {
    pub format: *const c_char,
    pub name: *const c_char,
    pub metadata: *const c_char,
    pub flags: i64,
    pub n_children: i64,
    pub children: *mut *mut c_void,
    pub dictionary: *mut c_void,
    pub release: Option<unsafe extern "C" fn(*mut c_void)>,
    pub private_data: *mut c_void,
}

/// `struct ArrowArray` of the C Data Interface.
#[repr(C)]
#[derive(StableAbi)]
pub struct ArrowArray {
    pub length: i64,
    pub null_count: i64,
    pub offset: i64,
    pub n_buffers: i64,
    pub n_children: i64,
    pub buffers: *mut *const c_void,
    pub children: *mut *mut c_void,
    pub dictionary: *mut c_void,
    pub release: Option<unsafe extern "C" fn(*mut c_void)>,
    pub private_data: *mut c_void,
}

const _: () = assert!(size_of::<ArrowSchema>() == size_of::<FFI_ArrowSchema>());
const _: () = assert!(size_of::<ArrowArray>() == size_of::<FFI_ArrowArray>());

/// One column on its way across. Dropped on the way, it is released.
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiColumn {
    pub array: ArrowArray,
    pub schema: ArrowSchema,
    /// One value that stands for every row: the array's length is 1.
    pub constant: bool,
}

// As Arrow's own structs: the data is immutable and `release` may be called from any thread.
unsafe impl Send for AbiColumn {}
unsafe impl Sync for AbiColumn {}

impl Drop for AbiColumn {
    fn drop(&mut self) {
        let array: *mut ArrowArray = &mut self.array;
        if let Some(release) = self.array.release {
            // SAFETY: an array that is not released may be released once; release clears itself.
            unsafe { release(array.cast()) };
            self.array.release = None;
        }
        let schema: *mut ArrowSchema = &mut self.schema;
        if let Some(release) = self.schema.release {
            // SAFETY: as above.
            unsafe { release(schema.cast()) };
            self.schema.release = None;
        }
    }
}

impl AbiColumn {
    /// A place for a callee to put a column.
    pub fn empty() -> AbiColumn {
        AbiColumn::from_parts(FFI_ArrowArray::empty(), FFI_ArrowSchema::empty(), false)
    }

    /// The array is shared, not copied.
    pub fn export(array: &ArrayRef, constant: bool) -> Result<AbiColumn> {
        let (array, schema) =
            to_ffi(&array.to_data()).map_err(|e| Error::contract(format!("cannot export: {e}")))?;
        Ok(AbiColumn::from_parts(array, schema, constant))
    }

    fn from_parts(array: FFI_ArrowArray, schema: FFI_ArrowSchema, constant: bool) -> AbiColumn {
        // SAFETY: the layouts are those that the Arrow format specifies for both; ownership moves.
        unsafe {
            AbiColumn {
                array: std::mem::transmute::<FFI_ArrowArray, ArrowArray>(array),
                schema: std::mem::transmute::<FFI_ArrowSchema, ArrowSchema>(schema),
                constant,
            }
        }
    }

    fn into_parts(mut self) -> (FFI_ArrowArray, FFI_ArrowSchema) {
        let array: *mut ArrowArray = &mut self.array;
        let schema: *mut ArrowSchema = &mut self.schema;
        // SAFETY: `from_raw` moves the contents out and leaves released structs behind.
        unsafe {
            (
                FFI_ArrowArray::from_raw(array.cast()),
                FFI_ArrowSchema::from_raw(schema.cast()),
            )
        }
    }

    /// The array of a side that is trusted: the plugin importing from its host.
    pub fn import_trusted(self) -> Result<(ArrayRef, bool)> {
        let constant = self.constant;
        if self.array.release.is_none() {
            return Err(Error::contract("the column was already released"));
        }
        let (array, schema) = self.into_parts();
        // SAFETY: the host made both from one Arrow array.
        let data = unsafe { from_ffi(array, &schema) }
            .map_err(|e| Error::contract(format!("cannot import: {e}")))?;
        Ok((make_array(data), constant))
    }

    /// The array of a side that is not trusted, checked to be `rows` values of type `expected`.
    ///
    /// # Errors
    ///
    /// `38000` that says what is wrong with the column.
    pub fn import(self, expected: &DataType, rows: usize) -> Result<ArrayRef> {
        check::frame(&self, expected, rows)?;
        if rows == 0 {
            // Arrow's libraries disagree on which buffers an empty array has.
            return Ok(new_empty_array(expected));
        }
        // The schema said what it had to say; it is released when this returns.
        let (array, _schema) = self.into_parts();
        let imported = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: counts, types and offsets were checked; see the module's last paragraph.
            let data = unsafe { from_ffi_and_data_type(array, expected.clone()) }
                .map_err(|e| e.to_string())?;
            data.validate_full().map_err(|e| e.to_string())?;
            Ok::<_, String>(make_array(data))
        }));
        match imported {
            Ok(Ok(array)) => Ok(array),
            Ok(Err(why)) => Err(Error::contract(format!("damaged Arrow array: {why}"))),
            Err(_) => Err(Error::contract("damaged Arrow array")),
        }
    }
}

mod check {
    //! What the C structs must say before anything follows their pointers.

    use super::*;

    /// An offset or a length beyond this is not of an array that anyone made.
    const LENGTH_MAX: i64 = 1 << 40;

    pub fn frame(column: &AbiColumn, expected: &DataType, rows: usize) -> Result<()> {
        let array = &column.array;
        if array.release.is_none() || column.schema.release.is_none() {
            return refuse("no column was returned".to_owned());
        }
        let mine = FFI_ArrowSchema::try_from(expected)
            .map_err(|e| Error::contract(format!("no C format for {expected}: {e}")))?;
        check_schema(&column.schema, &mine, expected)?;
        if usize::try_from(array.length) != Ok(rows) {
            return refuse(format!("{rows} rows were expected, not {}", array.length));
        }
        check_array(array, expected)
    }

    /// A list of another child than expected has other buffers than those that are looked at later.
    fn check_schema(
        schema: &ArrowSchema,
        mine: &FFI_ArrowSchema,
        expected: &DataType,
    ) -> Result<()> {
        if schema.format.is_null() {
            return refuse("the schema has no format".to_owned());
        }
        // SAFETY: a format is a NUL-terminated string by the specification.
        let format = unsafe { std::ffi::CStr::from_ptr(schema.format) };
        if format.to_bytes() != mine.format().as_bytes() {
            return refuse(format!(
                "the format is {format:?}, not {:?} of {expected}",
                mine.format()
            ));
        }
        if usize::try_from(schema.n_children) != Ok(mine.children().count()) {
            let n = schema.n_children;
            return refuse(format!(
                "the schema of {expected} does not have {n} children"
            ));
        }
        for (i, mine) in mine.children().enumerate() {
            let child = child(schema.children, i, "the schema's child")?;
            // SAFETY: not null, and of this layout by the specification.
            check_schema(unsafe { &*child.cast::<ArrowSchema>() }, mine, expected)?;
        }
        Ok(())
    }

    /// The pointer at place `i` of a list that has so many.
    fn child(children: *mut *mut c_void, i: usize, what: &str) -> Result<*mut c_void> {
        if children.is_null() || !children.is_aligned() {
            return refuse("a list of pointers is null or not aligned".to_owned());
        }
        // SAFETY: the caller's.
        let child = unsafe { *children.add(i) };
        if child.is_null() {
            return refuse(format!("{what} {i} is null"));
        }
        Ok(child)
    }

    fn check_array(array: &ArrowArray, ty: &DataType) -> Result<()> {
        let lengths = 0..=LENGTH_MAX;
        let counts = array.null_count >= -1 && array.null_count <= array.length;
        if !counts || !lengths.contains(&array.length) || !lengths.contains(&array.offset) {
            return refuse(format!(
                "length {}, offset {} and null count {} do not agree",
                array.length, array.offset, array.null_count
            ));
        }
        let children = children(ty)?;
        let (least, most) = buffer_counts(ty);
        if array.n_buffers < least || array.n_buffers > most {
            return refuse(format!("{ty} does not have {} buffers", array.n_buffers));
        }
        if usize::try_from(array.n_children) != Ok(children.len()) {
            return refuse(format!("{ty} does not have {} children", array.n_children));
        }
        if !array.dictionary.is_null() {
            return refuse(format!("{ty} has no dictionary"));
        }
        let places = usize::try_from(array.n_buffers).unwrap_or(0);
        if places > 0 && (array.buffers.is_null() || !array.buffers.is_aligned()) {
            return refuse("a list of pointers is null or not aligned".to_owned());
        }
        // SAFETY: `buffers` has `n_buffers` pointers, and is not null if those are any.
        let buffers = match places {
            0 => &[],
            _ => unsafe { std::slice::from_raw_parts(array.buffers, places) },
        };
        if array.null_count > 0 && buffers.first().is_some_and(|validity| validity.is_null()) {
            let nulls = array.null_count;
            return refuse(format!("{nulls} values are null, and nothing says which"));
        }
        if matches!(ty, DataType::Utf8View | DataType::BinaryView) {
            check_variadic(&buffers[2..])?;
        }
        let end = array.length + array.offset;
        if end > 0 {
            let needed = buffers.iter().enumerate().take(least_non_null(ty)).skip(1);
            for (place, buffer) in needed {
                if buffer.is_null() {
                    return refuse(format!("buffer {place} is null"));
                }
            }
            check_offsets(array, ty, end)?;
        }
        for (i, field_type) in children.iter().enumerate() {
            let child = child(array.children, i, "child")?;
            // SAFETY: not null, and of this layout by the specification.
            check_array(unsafe { &*child.cast::<ArrowArray>() }, field_type)?;
        }
        Ok(())
    }

    /// Of a view's buffers, those of the long values, and last the one with their lengths.
    fn check_variadic(buffers: &[*const c_void]) -> Result<()> {
        let Some((lengths, values)) = buffers.split_last() else {
            return Ok(());
        };
        let lengths = lengths.cast::<i64>();
        if values.is_empty() {
            return Ok(());
        }
        if lengths.is_null() || !lengths.is_aligned() {
            return refuse("the lengths of a view's buffers are not there".to_owned());
        }
        for (i, buffer) in values.iter().enumerate() {
            // SAFETY: there is a length for each of the buffers by the specification.
            let length = unsafe { *lengths.add(i) };
            if !(0..=LENGTH_MAX).contains(&length) || length > 0 && buffer.is_null() {
                return refuse(format!("buffer {i} of a view cannot have {length} bytes"));
            }
        }
        Ok(())
    }

    /// Offsets must rise from a value that is not negative, before a length is taken from the last.
    fn check_offsets(array: &ArrowArray, ty: &DataType, end: i64) -> Result<()> {
        let start = usize::try_from(array.offset).unwrap_or(0);
        let end = usize::try_from(end).unwrap_or(0);
        // SAFETY: there are `end + 1` offsets by the specification; not null was checked.
        let rising = unsafe {
            match ty {
                DataType::Utf8 | DataType::Binary | DataType::List(_) => {
                    rise::<i32>(*array.buffers.add(1), start, end)
                }
                DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => {
                    rise::<i64>(*array.buffers.add(1), start, end)
                }
                _ => true,
            }
        };
        if rising {
            return Ok(());
        }
        refuse(format!(
            "the offsets of {ty} do not rise, or are not aligned"
        ))
    }

    unsafe fn rise<T: Copy + PartialOrd + Default>(
        offsets: *const c_void,
        start: usize,
        end: usize,
    ) -> bool {
        let offsets = offsets.cast::<T>();
        let mut last = T::default();
        // Arrow reads the last one before it aligns anything.
        offsets.is_aligned()
            && (start..=end).all(|i| {
                // SAFETY: the caller's.
                let next = unsafe { *offsets.add(i) };
                let rises = next >= last;
                last = next;
                rises
            })
    }

    /// Least and most buffers of a type, validity included.
    fn buffer_counts(ty: &DataType) -> (i64, i64) {
        match ty {
            DataType::Null => (0, 0),
            DataType::Struct(_) | DataType::FixedSizeList(..) => (1, 1),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => {
                (3, 3)
            }
            DataType::Utf8View | DataType::BinaryView => (3, 1 << 20),
            _ => (2, 2),
        }
    }

    /// Buffers 1.. of a type that must be there when there are rows: up to this place, exclusive.
    fn least_non_null(ty: &DataType) -> usize {
        match ty {
            DataType::Null | DataType::Struct(_) | DataType::FixedSizeList(..) => 1,
            // Values may be absent when every string is empty.
            _ => 2,
        }
    }

    fn refuse<T>(why: String) -> Result<T> {
        Err(Error::contract(format!("damaged Arrow array: {why}")))
    }

    /// The types of the children of a type that can cross.
    fn children(ty: &DataType) -> Result<Vec<&DataType>> {
        Ok(match ty {
            DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
                vec![f.data_type()]
            }
            DataType::Struct(fields) => fields.iter().map(|f| f.data_type()).collect(),
            ty if ty.is_nested() || matches!(ty, DataType::Dictionary(..)) => {
                return refuse(format!("{ty} does not cross the border"));
            }
            _ => Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
