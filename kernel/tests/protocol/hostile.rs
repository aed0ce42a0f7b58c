//! Clients that send anything: frames with wrong lengths, counts and values, damaged, torn and run together. They are
//! answered or shown out, with no internal error, and whoever else is there is served.
//!
//! `cargo xtask fuzz` runs these again and again from other random numbers.

use std::io::Write;
use std::net::Shutdown;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use heliosdb_kernel::AuthMethod;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::Served;
use crate::raw::*;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Panics of the server's threads, as a client that has gone is told of none. Those of tests have names of tests.
fn count_panics() -> usize {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            if !thread.name().is_some_and(|name| name.contains("::")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            previous(info);
        }));
    });
    PANICS.load(Ordering::SeqCst)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// What is done to bytes that were right.
#[derive(Clone, Debug)]
enum Damage {
    None,
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    /// The length of the frame is another.
    Length(u32),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => Just(Damage::None),
        2 => (any::<Index>(), 1_u8..).prop_map(|(at, with)| Damage::Flip(at, with)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, with)| Damage::Insert(at, with)),
        1 => prop_oneof![0_u32..64, any::<u32>(), select(vec![u32::MAX, 1 << 30, 1 << 31])]
            .prop_map(Damage::Length),
    ]
}

impl Damage {
    /// `length_at` is where the frame's length stands.
    fn done_to(&self, mut bytes: Vec<u8>, length_at: usize) -> Vec<u8> {
        match self {
            Damage::None => {}
            Damage::Flip(at, with) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Damage::Insert(at, with) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, with.iter().copied());
            }
            Damage::Length(length) if bytes.len() >= length_at + 4 => {
                bytes[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            }
            Damage::Flip(..) | Damage::Length(_) => {}
        }
        bytes
    }
}

fn sql() -> impl Strategy<Value = String> {
    const STATEMENTS: &[&str] = &[
        "select 1",
        "select 1; select 1/0; select 2",
        "begin",
        "rollback",
        "select $1::int4, $2",
        "insert into t values (1, 'x')",
        "copy t from stdin",
        "copy t from stdin (format csv)",
        "copy t from stdin (format binary)",
        "copy (select 1) to stdout (format binary)",
        "declare c cursor for select 1",
        "fetch c",
        "select * from generate_series(1, 300)",
        "set datestyle = 'iso, dmy'",
        "",
        ";",
    ];
    prop_oneof![
        8 => select(STATEMENTS).prop_map(str::to_owned),
        1 => ".{0,20}",
    ]
}

const TYPES: &[&str] = &[
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "text",
    "varchar(3)",
    "bytea",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "int4[]",
    "text[]",
    "numeric[]",
    "oid",
    "name",
    "\"char\"",
];

fn name() -> impl Strategy<Value = &'static str> {
    select(&["", "s", "p", "c"])
}

/// Parse, with types of parameters.
fn parse_frame() -> impl Strategy<Value = Vec<u8>> {
    let oids = vec(
        prop_oneof![select(vec![0_u32, 23, 25, 1700, 1007]), any::<u32>()],
        0..3,
    );
    (name(), sql(), oids).prop_map(|(name, sql, oids)| {
        let mut body = [name.as_bytes(), &[0], sql.as_bytes(), &[0]].concat();
        body.extend((oids.len() as u16).to_be_bytes());
        oids.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
        message(b'P', &body)
    })
}

fn format_codes() -> impl Strategy<Value = Vec<i16>> {
    vec(prop_oneof![4 => 0_i16..2, 1 => any::<i16>()], 0..3)
}

/// A value with its length, which may be wrong.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..20),
        // Mostly zeros and small numbers, which get further into the decoders.
        vec((0_u8..12).prop_map(|b| b / 9), 0..40),
        "[-0-9.:,{}\"a-z ]{0,12}".prop_map(String::into_bytes),
    ];
    let length =
        prop_oneof![6 => Just(None), 1 => Just(Some(-1)), 1 => any::<i32>().prop_map(Some)];
    (bytes, length).prop_map(|(bytes, length)| {
        let length = length.unwrap_or(bytes.len() as i32);
        let bytes = if length == -1 { Vec::new() } else { bytes };
        [&length.to_be_bytes()[..], &bytes].concat()
    })
}

fn bind_frame() -> impl Strategy<Value = Vec<u8>> {
    let parts = (
        name(),
        name(),
        format_codes(),
        vec(value(), 0..3),
        format_codes(),
    );
    parts.prop_map(|(portal, statement, formats, values, results)| {
        let codes = |codes: &[i16]| {
            let mut out = (codes.len() as u16).to_be_bytes().to_vec();
            codes.iter().for_each(|code| out.extend(code.to_be_bytes()));
            out
        };
        let mut body = [portal.as_bytes(), &[0], statement.as_bytes(), &[0]].concat();
        body.extend(codes(&formats));
        body.extend((values.len() as u16).to_be_bytes());
        values.iter().for_each(|value| body.extend(value));
        body.extend(codes(&results));
        message(b'B', &body)
    })
}

/// Rows of COPY, in its formats and in none.
fn copied() -> impl Strategy<Value = Vec<u8>> {
    let binary = (vec(vec(value(), 0..3), 0..3), any::<bool>()).prop_map(|(rows, ends)| {
        let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for row in rows {
            data.extend((row.len() as u16).to_be_bytes());
            row.iter().for_each(|value| data.extend(value));
        }
        if ends {
            data.extend([0xff, 0xff]);
        }
        data
    });
    prop_oneof![
        "([0-9]{1,3}\t[a-z\\\\N]{0,5}\n){0,4}".prop_map(String::into_bytes),
        "([0-9]{1,3},\"?[a-z,\n]{0,5}\"?\r?\n){0,4}".prop_map(String::into_bytes),
        binary,
        vec(any::<u8>(), 0..30),
    ]
}

/// A frame of the protocol after the start.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let plain = prop_oneof![
        3 => sql().prop_map(|sql| query(&sql)),
        3 => parse_frame(),
        4 => bind_frame(),
        2 => name().prop_map(describe_portal),
        2 => name().prop_map(describe_statement),
        2 => (name(), prop_oneof![Just(0), Just(1), any::<u32>()]).prop_map(|(p, n)| execute(p, n)),
        1 => name().prop_map(close_portal),
        3 => Just(sync()),
        1 => Just(message(b'H', b"")),
        2 => copied().prop_map(|data| message(b'd', &data)),
        1 => Just(message(b'c', b"")),
        1 => Just(message(b'f', b"no\0")),
        1 => Just(message(b'p', b"secret\0")),
        1 => (any::<u8>(), vec(any::<u8>(), 0..12)).prop_map(|(kind, body)| message(kind, &body)),
    ];
    (plain, damage()).prop_map(|(bytes, damage)| damage.done_to(bytes, 1))
}

/// Where what is sent is cut into writes.
fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..6)
}

/// Sends in as many pieces; a server that closed early makes that fail, as it may.
fn send_torn(raw: &mut Raw, bytes: &[u8], cuts: &[Index]) {
    let _ = raw.stream.set_nodelay(true);
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut from = 0;
    for to in places {
        let _ = raw.stream.write_all(&bytes[from..to]);
        from = to;
    }
    let _ = raw.stream.shutdown(Shutdown::Write);
}

/// Whether it tells of an error in the server. PostgreSQL's SQLSTATE for a version of jsonb that it does not know is one
/// of those, too.
fn is_internal(answer: &Message) -> bool {
    let field = |code| answer.field(code).unwrap_or_default();
    answer.kind == b'E'
        && field(b'C').starts_with("XX")
        && !field(b'M').starts_with("unsupported jsonb version number")
}

/// The answers are messages, and none speaks of an error in the server; the witness is served, and the stranger gone.
fn judge(
    served: &Served,
    witness: &mut Raw,
    answers: &[Message],
    panics: usize,
) -> Result<(), TestCaseError> {
    for answer in answers {
        prop_assert!(
            b"123ACDEGHIKNRSTVWZcdnstv".contains(&answer.kind),
            "an answer of kind {}",
            answer.kind
        );
        if answer.kind == b'E' {
            let code = answer.field(b'C').unwrap_or_default();
            prop_assert!(
                code.len() == 5 && !is_internal(answer),
                "{}",
                shown(answers)
            );
        }
    }
    let served_still = witness.ask(&query("select 1"));
    prop_assert_eq!(served_still, "T D(1) C(SELECT 1) Z(I)");
    let begun = Instant::now();
    while served
        .server
        .as_ref()
        .is_some_and(|server| server.connections() > 1)
    {
        prop_assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the stranger is still there"
        );
        std::thread::yield_now();
    }
    prop_assert_eq!(count_panics(), panics);
    Ok(())
}

#[test]
fn frames_of_any_kind_leave_others_served() {
    let served = Served::trust();
    let mut witness = Raw::ready(served.address());
    witness.ask(&query("create table t (a int, b text)"));
    let (witness, panics) = (std::cell::RefCell::new(witness), count_panics());
    let strategy = (select(TYPES), vec(frame(), 1..25), cuts());
    let ran = TestRunner::new(config(150)).run(&strategy, |(ty, frames, cuts)| {
        let mut raw = Raw::ready(served.address());
        let statement = parse("s", &format!("select $1::{ty}, $2::{ty}"));
        send_torn(&mut raw, &[statement, frames.concat()].concat(), &cuts);
        let answers = raw.until_closed();
        judge(&served, &mut witness.borrow_mut(), &answers, panics)
    });
    ran.unwrap();
}

/// Values of each type as clients send them, right and wrong, in text and binary: an answer each.
#[test]
fn parameters_of_any_kind_are_taken_or_refused() {
    let served = Served::trust();
    let mut witness = Raw::ready(served.address());
    let (raw, panics) = (Raw::ready(served.address()), count_panics());
    let raw = std::cell::RefCell::new(raw);
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..40),
        vec((0_u8..12).prop_map(|b| b / 9), 0..48),
        "[-0-9.:,+{}\\[\\]\"eEinfa-z ]{0,20}".prop_map(String::into_bytes),
    ];
    let strategy = (select(TYPES), 0_u16..2, 0_u16..2, bytes);
    let ran = TestRunner::new(config(1_500)).run(&strategy, |(ty, format, result, bytes)| {
        let mut body = b"\0\0\0\x01".to_vec();
        body.extend(format.to_be_bytes());
        body.extend([0, 1]);
        body.extend((bytes.len() as u32).to_be_bytes());
        body.extend(&bytes);
        body.extend([0, 1]);
        body.extend(result.to_be_bytes());
        let asked = [
            parse("", &format!("select $1::{ty}")),
            message(b'B', &body),
            execute("", 0),
            sync(),
        ];
        let mut raw = raw.borrow_mut();
        raw.send(&asked.concat());
        let answers = raw.until_ready();
        let kinds: String = answers.iter().map(|m| char::from(m.kind)).collect();
        prop_assert!(
            ["12DCZ", "12EZ", "1EZ"].contains(&kinds.as_str()),
            "{}",
            shown(&answers)
        );
        prop_assert!(
            !answers.iter().any(is_internal),
            "{ty}: {}",
            shown(&answers)
        );
        Ok(())
    });
    ran.unwrap();
    assert_eq!(witness.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
    assert_eq!(count_panics(), panics);
}

/// The first packet: versions, parameters, requests for encryption and for cancelling.
#[test]
fn starts_of_any_kind_leave_others_served() {
    let served = Served::trust();
    let witness = std::cell::RefCell::new(Raw::ready(served.address()));
    let panics = count_panics();
    let parameters = vec(
        (
            "[a-z_.]{0,12}|user|database|options|replication",
            "[ -~]{0,16}|helios",
        ),
        0..5,
    );
    let cancel = [&b"\0\0\0\x10\x04\xd2\x16\x2e"[..], &[0; 8]].concat();
    let packet = prop_oneof![
        4 => parameters.prop_map(|parameters| {
            let parameters: Vec<(&str, &str)> =
                parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            startup_packet(&parameters)
        }),
        1 => Just(SSL_REQUEST.to_vec()),
        1 => Just(GSS_REQUEST.to_vec()),
        1 => Just(cancel),
        1 => vec(any::<u8>(), 0..24),
    ];
    let packet = (packet, damage()).prop_map(|(bytes, damage)| damage.done_to(bytes, 0));
    let strategy = (vec(packet, 1..4), vec(frame(), 0..3), cuts());
    let ran = TestRunner::new(config(300)).run(&strategy, |(packets, frames, cuts)| {
        let mut raw = Raw::silent(served.address());
        send_torn(
            &mut raw,
            &[packets.concat(), frames.concat()].concat(),
            &cuts,
        );
        // What is answered to a request for encryption is a byte, and no message.
        let mut answers = Vec::new();
        let _ = std::io::Read::read_to_end(&mut raw.stream, &mut answers);
        prop_assert!(!answers.windows(6).any(|w| w == b"CXX000"), "{answers:?}");
        judge(&served, &mut witness.borrow_mut(), &[], panics)
    });
    ran.unwrap();
}

/// Nobody is let in by a damaged exchange of SCRAM, whichever of its messages is wrong.
#[test]
fn damaged_passwords_let_nobody_in() {
    let served = Served::new(AuthMethod::Scram, 50);
    let first = select(&[
        "n,,n=,r=abcdefghijklmnop",
        "y,,n=helios,r=abcdefghijklmnop",
        "p=tls-server-end-point,,n=,r=abcdefghijklmnop",
        "n,a=helios,n=,r=abcdefghijklmnop",
        "n,,m=x,n=,r=abcdefghijklmnop",
    ]);
    let last = select(&[
        "c=biws,r=NONCE,p=PROOF",
        "c=eSws,r=NONCE,p=PROOF",
        "r=NONCE,c=biws,p=PROOF",
        "c=biws,r=NONCE",
    ]);
    let strategy = (
        (
            first,
            damage(),
            select(&["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN"]),
        ),
        (last, damage(), vec(any::<u8>(), 0..40)),
    );
    let panics = count_panics();
    let ran = TestRunner::new(config(120)).run(
        &strategy,
        |((first, harm, mechanism), (last, harm_last, proof))| {
            let mut raw = Raw::silent(served.address());
            raw.send(&startup_packet(&[("user", "helios")]));
            let mut answers: Vec<Message> = raw.next().into_iter().collect();
            let mut body = [mechanism.as_bytes(), &[0]].concat();
            body.extend((first.len() as u32).to_be_bytes());
            body.extend(first.as_bytes());
            let _ = raw.stream.write_all(&harm.done_to(message(b'p', &body), 1));
            if matches!(harm, Damage::None)
                && let Some(challenge) = raw.next()
            {
                let text = String::from_utf8_lossy(&challenge.body).into_owned();
                let nonce = text
                    .split("r=")
                    .nth(1)
                    .and_then(|rest| rest.split(',').next());
                let last = last.replace("NONCE", nonce.unwrap_or_default());
                let last = last.replace("PROOF", &String::from_utf8_lossy(&proof));
                answers.push(challenge);
                let _ = raw
                    .stream
                    .write_all(&harm_last.done_to(message(b'p', last.as_bytes()), 1));
            }
            let _ = raw.stream.shutdown(Shutdown::Write);
            answers.extend(raw.until_closed());
            // AuthenticationOk is an R of zeros.
            prop_assert!(
                !answers.iter().any(|m| m.kind == b'R' && m.body == [0; 4]),
                "{}",
                shown(&answers)
            );
            prop_assert!(!answers.iter().any(is_internal), "{}", shown(&answers));
            Ok(())
        },
    );
    ran.unwrap();
    assert_eq!(count_panics(), panics);
}
