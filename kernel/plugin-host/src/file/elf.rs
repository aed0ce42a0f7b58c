//! The parts of an ELF shared object that say what a plugin is, read from its bytes.
//!
//! Nothing here trusts the file: every offset is checked against its length, and anything that does
//! not fit is a [`Refusal`], never a panic. The order of the checks gives the most telling reason:
//! magic, class and machine, kind, completeness, tables.

use std::mem::size_of;

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};

use super::refusal::Refusal;

type Header = FileHeader64<LittleEndian>;

const ENDIAN: LittleEndian = LittleEndian;
/// `EI_CLASS` and `EI_DATA` of 64 bits, little-endian: every machine that [`MACHINE`] names.
const CLASS_64: u8 = 2;
const DATA_LITTLE_ENDIAN: u8 = 1;
/// `e_machine` of this process and its name.
const MACHINE: Option<(u16, &str)> = if cfg!(target_arch = "x86_64") {
    Some((62, "x86-64"))
} else if cfg!(target_arch = "aarch64") {
    Some((183, "AArch64"))
} else if cfg!(target_arch = "riscv64") {
    Some((243, "RISC-V"))
} else {
    None
};

/// A symbol that the file expects from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub name: String,
    /// It may stay unresolved.
    pub weak: bool,
    /// The library that it comes from was known at link time (it has a symbol version).
    pub versioned: bool,
}

/// What the allocator of the file's Rust code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// The standard library's, over `malloc`.
    Default,
    /// One of its own: it has a `#[global_allocator]`.
    Own,
    /// The file is stripped of the symbols that would tell.
    Unknown,
}

/// A shared object whose headers are sound.
pub(super) struct Image<'data> {
    data: &'data [u8],
    sections: SectionTable<'data, Header>,
}

impl<'data> Image<'data> {
    pub(super) fn parse(data: &'data [u8]) -> Result<Image<'data>, Refusal> {
        if !data.starts_with(&elf::ELFMAG) {
            return Err(Refusal::NotElf);
        }
        if data.len() < size_of::<Header>() {
            return Err(Refusal::Truncated {
                bytes: data.len() as u64,
                expected: size_of::<Header>() as u64,
            });
        }
        check_machine(data)?;
        let header = Header::parse(data).map_err(Refusal::damaged)?;
        match header.e_type(ENDIAN) {
            elf::ET_DYN => {}
            elf::ET_EXEC => return Err(Refusal::NotAShared("an executable")),
            elf::ET_REL => return Err(Refusal::NotAShared("an object file")),
            elf::ET_CORE => return Err(Refusal::NotAShared("a core dump")),
            _ => return Err(Refusal::NotAShared("an ELF file of another kind")),
        }
        check_complete(header, data)?;
        let sections = header.sections(ENDIAN, data).map_err(Refusal::damaged)?;
        let image = Image { data, sections };
        if image.is_executable()? {
            return Err(Refusal::NotAShared("an executable"));
        }
        Ok(image)
    }

    /// The content of a section, without the zeros a linker may pad it with.
    pub(super) fn section(&self, name: &str) -> Result<Option<&'data [u8]>, Refusal> {
        let Some((_, section)) = self.sections.section_by_name(ENDIAN, name.as_bytes()) else {
            return Ok(None);
        };
        let bytes = section.data(ENDIAN, self.data).map_err(Refusal::damaged)?;
        let end = bytes
            .iter()
            .rposition(|b| *b != 0)
            .map_or(0, |last| last + 1);
        Ok(Some(&bytes[..end]))
    }

    /// Symbols that it offers and symbols that it wants, each in the file's order.
    pub(super) fn dynamic_symbols(&self) -> Result<(Vec<String>, Vec<Import>), Refusal> {
        let table = self.sections.symbols(ENDIAN, self.data, elf::SHT_DYNSYM);
        let table = table.map_err(Refusal::damaged)?;
        let versions = self.sections.versions(ENDIAN, self.data);
        let versions = versions.map_err(Refusal::damaged)?;
        let mut exports = Vec::new();
        let mut imports = Vec::new();
        let mut names = NameBudget::new(self.data);
        for (index, symbol) in table.enumerate() {
            let name = table
                .symbol_name(ENDIAN, symbol)
                .map_err(Refusal::damaged)?;
            names.spend(name)?;
            if name.is_empty() || symbol.is_local() {
                continue;
            }
            let name = String::from_utf8_lossy(name).into_owned();
            if symbol.is_undefined(ENDIAN) {
                let version = versions.as_ref().map(|v| v.version_index(ENDIAN, index));
                imports.push(Import {
                    name,
                    weak: symbol.is_weak(),
                    versioned: version.is_some_and(|v| !v.is_local() && !v.is_global()),
                });
            } else if !matches!(symbol.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL) {
                exports.push(name);
            }
        }
        Ok((exports, imports))
    }

    /// The libraries it needs, as the dynamic loader will look for them.
    pub(super) fn libraries(&self) -> Result<Vec<String>, Refusal> {
        let table = self.sections.dynamic_table(ENDIAN, self.data);
        let table = table.map_err(Refusal::damaged)?;
        let needed = table.iter().filter(|entry| entry.tag == elf::DT_NEEDED);
        needed
            .map(|entry| {
                let name = table.string(entry).map_err(Refusal::damaged)?;
                Ok(String::from_utf8_lossy(name).into_owned())
            })
            .collect()
    }

    /// Told from names that only an unstripped file has. rustc gives `__rust_alloc` to every Rust
    /// library, and `__rdl_alloc` to those that use the standard library's allocator.
    pub(super) fn allocator(&self) -> Result<Allocator, Refusal> {
        let table = self.sections.symbols(ENDIAN, self.data, elf::SHT_SYMTAB);
        let table = table.map_err(Refusal::damaged)?;
        let (mut rust, mut default) = (false, false);
        let mut names = NameBudget::new(self.data);
        for symbol in table.iter() {
            let name = table
                .symbol_name(ENDIAN, symbol)
                .map_err(Refusal::damaged)?;
            names.spend(name)?;
            rust |= name.ends_with(b"__rust_alloc");
            default |= name.ends_with(b"__rdl_alloc");
        }
        Ok(match (rust, default) {
            (_, true) => Allocator::Default,
            (true, false) => Allocator::Own,
            (false, false) => Allocator::Unknown,
        })
    }

    /// Position-independent executables are `ET_DYN` too; a flag tells them apart.
    fn is_executable(&self) -> Result<bool, Refusal> {
        let table = self.sections.dynamic_table(ENDIAN, self.data);
        let table = table.map_err(Refusal::damaged)?;
        Ok(table
            .iter()
            .any(|entry| entry.tag == elf::DT_FLAGS_1 && entry.val & elf::DF_1_PIE.0 != 0))
    }
}

fn check_machine(data: &[u8]) -> Result<(), Refusal> {
    let Some((machine, expected)) = MACHINE else {
        return Err(Refusal::UnsupportedHost);
    };
    let found = match (data[4], data[5]) {
        (CLASS_64, DATA_LITTLE_ENDIAN) => match u16::from_le_bytes([data[18], data[19]]) {
            same if same == machine => return Ok(()),
            62 => "x86-64".to_owned(),
            183 => "AArch64".to_owned(),
            243 => "RISC-V".to_owned(),
            other => format!("machine {other}"),
        },
        (CLASS_64, _) => "a big-endian machine".to_owned(),
        _ => "a 32-bit machine".to_owned(),
    };
    Err(Refusal::Foreign { found, expected })
}

/// Everything that the headers place in the file lies in the file.
fn check_complete(header: &Header, data: &[u8]) -> Result<(), Refusal> {
    let bytes = data.len() as u64;
    let table = |offset: u64, count: u16, size: usize| {
        offset.saturating_add(u64::from(count).saturating_mul(size as u64))
    };
    let segments = size_of::<ProgramHeader64<LittleEndian>>();
    let sections = size_of::<SectionHeader64<LittleEndian>>();
    let mut expected = u64::max(
        table(header.e_phoff(ENDIAN), header.e_phnum(ENDIAN), segments),
        table(header.e_shoff(ENDIAN), header.e_shnum(ENDIAN), sections),
    );
    if expected <= bytes {
        let segments = header.program_headers(ENDIAN, data);
        for segment in segments.map_err(Refusal::damaged)? {
            let (offset, size) = segment.file_range(ENDIAN);
            expected = expected.max(offset.saturating_add(size));
        }
        let sections = header.section_headers(ENDIAN, data);
        for section in sections.map_err(Refusal::damaged)? {
            let (offset, size) = section.file_range(ENDIAN).unwrap_or((0, 0));
            expected = expected.max(offset.saturating_add(size));
        }
    }
    if expected > bytes {
        return Err(Refusal::Truncated { bytes, expected });
    }
    Ok(())
}

/// Bounds the reading of symbol names: in a forged table every symbol may have the same long name.
struct NameBudget {
    left: usize,
}

impl NameBudget {
    fn new(data: &[u8]) -> NameBudget {
        NameBudget {
            left: data.len().saturating_mul(2),
        }
    }

    fn spend(&mut self, name: &[u8]) -> Result<(), Refusal> {
        match self.left.checked_sub(name.len()) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Refusal::Damaged(
                "its symbols have more names than it has bytes".to_owned(),
            )),
        }
    }
}
