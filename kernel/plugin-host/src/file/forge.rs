//! Small ELF files made by hand, for tests: whole ones, and ones that are wrong in a single way.

use std::collections::HashMap;

use heliosdb_plugin_api::abi::{BUILD_SECTION, MANIFEST_SECTION, ROOT_SYMBOL};

const HEADER_BYTES: usize = 64;
const SECTION_HEADER_BYTES: usize = 64;
const SYMBOL_BYTES: u64 = 24;
const DYNAMIC_BYTES: u64 = 16;

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const DYNAMIC: u32 = 6;
const DYNSYM: u32 = 11;

const GLOBAL_FUNCTION: u8 = 0x12;
const WEAK_FUNCTION: u8 = 0x22;
const LOCAL_FUNCTION: u8 = 0x02;

/// What to forge; every field may be changed.
#[derive(Clone)]
pub(crate) struct Forge {
    pub class: u8,
    pub machine: u16,
    pub kind: u16,
    pub sections: Vec<(&'static str, Vec<u8>)>,
    pub exports: Vec<&'static str>,
    pub imports: Vec<&'static str>,
    pub weak_imports: Vec<&'static str>,
    pub libraries: Vec<&'static str>,
    /// Names of the symbol table that strip removes.
    pub locals: Vec<&'static str>,
    /// `DT_FLAGS_1`.
    pub flags: u64,
}

impl Forge {
    /// A plugin file that nothing speaks against.
    pub(crate) fn plugin(manifest: &str) -> Forge {
        Forge {
            class: 2,
            machine: if cfg!(target_arch = "x86_64") {
                62
            } else {
                183
            },
            kind: 3,
            sections: vec![
                (MANIFEST_SECTION, manifest.as_bytes().to_vec()),
                (BUILD_SECTION, b"abi=1\npanic=unwind\n".to_vec()),
            ],
            exports: vec![ROOT_SYMBOL],
            imports: Vec::new(),
            weak_imports: vec!["__cxa_finalize"],
            libraries: vec!["libc.so.6"],
            locals: vec!["_R12___rustc12___rust_alloc", "_R12___rustc11___rdl_alloc"],
            flags: 0,
        }
    }

    pub(crate) fn with_section(mut self, name: &'static str, content: &[u8]) -> Forge {
        self.sections.retain(|s| s.0 != name);
        self.sections.push((name, content.to_vec()));
        self
    }

    pub(crate) fn without_section(mut self, name: &str) -> Forge {
        self.sections.retain(|s| s.0 != name);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut dynamic_names = Strings::new();
        let mut symbols = vec![0; SYMBOL_BYTES as usize];
        for name in &self.exports {
            symbol(&mut symbols, dynamic_names.add(name), GLOBAL_FUNCTION, 1);
        }
        for name in &self.imports {
            symbol(&mut symbols, dynamic_names.add(name), GLOBAL_FUNCTION, 0);
        }
        for name in &self.weak_imports {
            symbol(&mut symbols, dynamic_names.add(name), WEAK_FUNCTION, 0);
        }
        let mut dynamic = Vec::new();
        for library in &self.libraries {
            pair(&mut dynamic, 1, u64::from(dynamic_names.add(library)));
        }
        pair(&mut dynamic, 0x6fff_fffb, self.flags);
        pair(&mut dynamic, 0, 0);
        let mut local_names = Strings::new();
        let mut locals = vec![0; SYMBOL_BYTES as usize];
        for name in &self.locals {
            symbol(&mut locals, local_names.add(name), LOCAL_FUNCTION, 1);
        }

        let mut parts = vec![
            Part::new(".dynstr", STRTAB, dynamic_names.bytes),
            Part::new(".dynsym", DYNSYM, symbols).linked(1, SYMBOL_BYTES),
            Part::new(".dynamic", DYNAMIC, dynamic).linked(1, DYNAMIC_BYTES),
            Part::new(".strtab", STRTAB, local_names.bytes),
            Part::new(".symtab", SYMTAB, locals).linked(4, SYMBOL_BYTES),
        ];
        for (name, content) in &self.sections {
            parts.push(Part::new(name, PROGBITS, content.clone()));
        }
        parts.push(Part::new(".shstrtab", STRTAB, Vec::new()));
        self.assemble(parts)
    }

    fn assemble(&self, mut parts: Vec<Part>) -> Vec<u8> {
        let mut names = Strings::new();
        let names_at: Vec<u32> = parts.iter().map(|part| names.add(part.name)).collect();
        if let Some(last) = parts.last_mut() {
            last.content = names.bytes;
        }
        let mut file = vec![0; HEADER_BYTES];
        let mut headers = vec![0; SECTION_HEADER_BYTES];
        for (part, name) in parts.iter().zip(names_at) {
            file.resize(file.len().next_multiple_of(8), 0);
            for field in [name, part.kind] {
                headers.extend(field.to_le_bytes());
            }
            for field in [0, 0, file.len() as u64, part.content.len() as u64] {
                headers.extend(field.to_le_bytes());
            }
            for field in [part.link, 0] {
                headers.extend(field.to_le_bytes());
            }
            for field in [8, part.entry_bytes] {
                headers.extend(field.to_le_bytes());
            }
            file.extend(&part.content);
        }
        file.resize(file.len().next_multiple_of(8), 0);
        let headers_at = file.len() as u64;
        file.extend(headers);

        let count = parts.len() as u16 + 1;
        file[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', self.class, 1, 1, 0]);
        file[16..18].copy_from_slice(&self.kind.to_le_bytes());
        file[18..20].copy_from_slice(&self.machine.to_le_bytes());
        file[20..24].copy_from_slice(&1u32.to_le_bytes());
        file[40..48].copy_from_slice(&headers_at.to_le_bytes());
        file[52..54].copy_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
        file[58..60].copy_from_slice(&(SECTION_HEADER_BYTES as u16).to_le_bytes());
        file[60..62].copy_from_slice(&count.to_le_bytes());
        file[62..64].copy_from_slice(&(count - 1).to_le_bytes());
        file
    }
}

struct Part {
    name: &'static str,
    kind: u32,
    content: Vec<u8>,
    link: u32,
    entry_bytes: u64,
}

impl Part {
    fn new(name: &'static str, kind: u32, content: Vec<u8>) -> Part {
        Part {
            name,
            kind,
            content,
            link: 0,
            entry_bytes: 0,
        }
    }

    fn linked(mut self, link: u32, entry_bytes: u64) -> Part {
        self.link = link;
        self.entry_bytes = entry_bytes;
        self
    }
}

/// A string table; offset 0 is the empty name. Equal names share their bytes.
struct Strings {
    bytes: Vec<u8>,
    offsets: HashMap<String, u32>,
}

impl Strings {
    fn new() -> Strings {
        Strings {
            bytes: vec![0],
            offsets: HashMap::new(),
        }
    }

    fn add(&mut self, name: &str) -> u32 {
        if let Some(offset) = self.offsets.get(name) {
            return *offset;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend(name.bytes().chain([0]));
        self.offsets.insert(name.to_owned(), offset);
        offset
    }
}

fn symbol(table: &mut Vec<u8>, name: u32, info: u8, section: u16) {
    table.extend(name.to_le_bytes());
    table.extend([info, 0]);
    table.extend(section.to_le_bytes());
    table.extend([0; 16]);
}

fn pair(table: &mut Vec<u8>, tag: u64, value: u64) {
    table.extend(tag.to_le_bytes());
    table.extend(value.to_le_bytes());
}
