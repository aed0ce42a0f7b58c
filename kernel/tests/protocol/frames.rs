//! Message order, implicit transactions, portals and errors, frame by frame.

use std::io::Write;
use std::net::Shutdown;

use crate::Served;
use crate::raw::*;

#[test]
fn simple_queries_answer_statement_by_statement() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    assert_eq!(raw.ask(&query("")), "I Z(I)");
    assert_eq!(raw.ask(&query(" ; -- nothing\n")), "I Z(I)");
    assert_eq!(
        raw.ask(&query("select 1; select 2;")),
        "T D(1) C(SELECT 1) T D(2) C(SELECT 1) Z(I)"
    );
    assert_eq!(
        raw.ask(&query("select 1; select 1/0; select 3")),
        "T D(1) C(SELECT 1) E(22012) Z(I)"
    );
    assert_eq!(raw.ask(&query("selec 1")), "E(42601) Z(I)");
    assert_eq!(raw.ask(&query("begin")), "C(BEGIN) Z(T)");
    assert_eq!(raw.ask(&query("select nothing")), "E(42703) Z(E)");
    assert_eq!(raw.ask(&query("select 1")), "E(25P02) Z(E)");
    assert_eq!(raw.ask(&query("rollback")), "C(ROLLBACK) Z(I)");
}

#[test]
fn a_multi_statement_query_is_one_transaction() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("create table t (a int primary key)"));
    // The error undoes the insert before it.
    assert_eq!(
        raw.ask(&query("insert into t values (1); insert into t values (1)")),
        "C(INSERT 0 1) E(23505) Z(I)"
    );
    assert_eq!(
        raw.ask(&query("select count(*) from t")),
        "T D(0) C(SELECT 1) Z(I)"
    );
    // A COMMIT inside divides the string.
    assert_eq!(
        raw.ask(&query(
            "begin; insert into t values (1); commit; insert into t values (2); select 1/0"
        )),
        "C(BEGIN) C(INSERT 0 1) C(COMMIT) C(INSERT 0 1) E(22012) Z(I)"
    );
    assert_eq!(
        raw.ask(&query("select count(*) from t")),
        "T D(1) C(SELECT 1) Z(I)"
    );
    // A BEGIN inside keeps the block open.
    assert_eq!(
        raw.ask(&query(
            "insert into t values (3); begin; insert into t values (4)"
        )),
        "C(INSERT 0 1) C(BEGIN) C(INSERT 0 1) Z(T)"
    );
    assert_eq!(raw.ask(&query("rollback")), "C(ROLLBACK) Z(I)");
    assert_eq!(
        raw.ask(&query("select count(*) from t")),
        "T D(1) C(SELECT 1) Z(I)"
    );
}

#[test]
fn a_pipeline_is_one_transaction_up_to_sync() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("create table t (a int primary key)"));
    let insert = |value: i32| {
        [
            parse("", &format!("insert into t values ({value})")),
            bind("", ""),
            execute("", 0),
        ]
        .concat()
    };
    assert_eq!(
        raw.ask(&[insert(1), insert(2), sync()].concat()),
        "1 2 C(INSERT 0 1) 1 2 C(INSERT 0 1) Z(I)"
    );
    // The failure takes the insert before it along, and skips what follows up to Sync.
    assert_eq!(
        raw.ask(&[insert(3), insert(1), insert(4), sync()].concat()),
        "1 2 C(INSERT 0 1) 1 2 E(23505) Z(I)"
    );
    assert_eq!(
        raw.ask(&query("select count(*) from t")),
        "T D(2) C(SELECT 1) Z(I)"
    );
    // Two cycles in one packet are two transactions.
    raw.send(&[insert(5), sync(), insert(1), sync(), insert(6), sync()].concat());
    let answers: Vec<String> = (0..3).map(|_| shown(&raw.until_ready())).collect();
    assert_eq!(
        answers,
        [
            "1 2 C(INSERT 0 1) Z(I)",
            "1 2 E(23505) Z(I)",
            "1 2 C(INSERT 0 1) Z(I)"
        ]
    );
    assert_eq!(
        raw.ask(&query("select count(*) from t")),
        "T D(4) C(SELECT 1) Z(I)"
    );
}

#[test]
fn portals_suspend_and_end_with_their_transaction() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    let open = [
        parse("s", "select * from generate_series(1, 3)"),
        bind("p", "s"),
    ]
    .concat();
    assert_eq!(
        raw.ask(
            &[
                open.clone(),
                describe_portal("p"),
                execute("p", 2),
                execute("p", 2),
                sync()
            ]
            .concat()
        ),
        "1 2 T D(1) D(2) s D(3) C(SELECT 1) Z(I)"
    );
    assert_eq!(
        raw.ask(&[execute("p", 0), sync()].concat()),
        "E(34000) Z(I)"
    );
    // A limit that is met exactly suspends; the end is found by asking again.
    assert_eq!(
        raw.ask(&[bind("p", "s"), execute("p", 3), execute("p", 3), sync()].concat()),
        "2 D(1) D(2) D(3) s C(SELECT 0) Z(I)"
    );
    assert_eq!(raw.ask(&query("begin")), "C(BEGIN) Z(T)");
    assert_eq!(
        raw.ask(&[bind("p", "s"), execute("p", 1), sync()].concat()),
        "2 D(1) s Z(T)"
    );
    assert_eq!(raw.ask(&[execute("p", 1), sync()].concat()), "D(2) s Z(T)");
    assert_eq!(raw.ask(&[bind("p", "s"), sync()].concat()), "E(42P03) Z(E)");
    assert_eq!(raw.ask(&query("rollback")), "C(ROLLBACK) Z(I)");
    assert_eq!(
        raw.ask(&[execute("p", 1), sync()].concat()),
        "E(34000) Z(I)"
    );
}

/// The names of the columns of a RowDescription, with their types.
fn columns(messages: &[Message]) -> Vec<(String, u32)> {
    let description = messages.iter().find(|m| m.kind == b'T').unwrap();
    let mut rest = &description.body[2..];
    let mut columns = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == 0).unwrap();
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let ty = u32::from_be_bytes(rest[end + 7..end + 11].try_into().unwrap());
        columns.push((name, ty));
        rest = &rest[end + 19..];
    }
    columns
}

const INT4: u32 = 23;
const TEXT: u32 = 25;

/// Drivers declare a cursor, describe it as a portal, fetch, and close it as a portal.
#[test]
fn a_cursor_is_a_portal_of_its_name() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("begin"));
    raw.ask(&query(
        "declare \"My c\" cursor for select i as n, 'x' as t from generate_series(1, 3) g(i)",
    ));
    raw.send(&[describe_portal("My c"), sync()].concat());
    let described = raw.until_ready();
    assert_eq!(shown(&described), "T Z(T)");
    let expected = [("n".to_owned(), INT4), ("t".to_owned(), TEXT)];
    assert_eq!(columns(&described), expected);
    assert_eq!(raw.ask(&query("fetch \"My c\"")), "T D(1) C(FETCH 1) Z(T)");
    assert_eq!(
        raw.ask(&[close_portal("My c"), close_portal("My c"), sync()].concat()),
        "3 3 Z(T)"
    );
    assert_eq!(raw.ask(&query("fetch \"My c\"; select 1")), "E(34000) Z(E)");
    raw.ask(&query("rollback"));
    // A name is not folded.
    raw.ask(&query("begin; declare C cursor for select 1"));
    assert_eq!(raw.ask(&[describe_portal("c"), sync()].concat()), "T Z(T)");
    assert_eq!(
        raw.ask(&[describe_portal("C"), sync()].concat()),
        "E(34000) Z(E)"
    );
    raw.ask(&query("rollback"));
}

#[test]
fn cursors_and_portals_share_their_names() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.ask(&[parse("s", "select 1"), sync()].concat());
    raw.ask(&query("begin; declare c cursor for select 1"));
    assert_eq!(raw.ask(&[bind("c", "s"), sync()].concat()), "E(42P03) Z(E)");
    raw.ask(&query("rollback"));
    raw.ask(&query("begin"));
    assert_eq!(raw.ask(&[bind("c", "s"), sync()].concat()), "2 Z(T)");
    assert_eq!(
        raw.ask(&query("declare c cursor for select 1")),
        "E(42P03) Z(E)"
    );
    raw.ask(&query("rollback"));
    raw.ask(&[parse("d", "declare c cursor for select 1"), sync()].concat());
    raw.ask(&query("begin"));
    for portals in [
        [bind("c", "s"), bind("p", "d"), execute("p", 0), sync()].concat(),
        [bind("c", "d"), execute("c", 0), sync()].concat(),
    ] {
        let answer = raw.ask(&portals);
        assert!(answer.ends_with("2 E(42P03) Z(E)"), "{answer}");
        raw.ask(&query("rollback"));
        raw.ask(&query("begin"));
    }
    assert_eq!(
        raw.ask(&[bind("p", "d"), execute("p", 0), sync()].concat()),
        "2 C(DECLARE CURSOR) Z(T)"
    );
}

/// What FETCH and EXECUTE return is what they name when they are bound.
#[test]
fn a_portal_returns_what_it_was_bound_to() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    let fetch = |raw: &mut Raw| {
        raw.send(
            &[
                describe_statement("f"),
                bind("", "f"),
                describe_portal(""),
                execute("", 0),
                sync(),
            ]
            .concat(),
        );
        raw.until_ready()
    };
    raw.ask(&[parse("f", "fetch 1 from c"), sync()].concat());
    raw.ask(&query("begin; declare c cursor for select 7 as i"));
    let fetched = fetch(&mut raw);
    assert_eq!(shown(&fetched), "t T 2 T D(7) C(FETCH 1) Z(T)");
    assert_eq!(columns(&fetched), [("i".to_owned(), INT4)]);
    raw.ask(&query("close c; declare c cursor for select 'seven' as t"));
    let fetched = fetch(&mut raw);
    assert_eq!(shown(&fetched), "t T 2 T D(seven) C(FETCH 1) Z(T)");
    assert_eq!(columns(&fetched), [("t".to_owned(), TEXT)]);
    // A wider one may be bound to more formats.
    raw.ask(&query("close c; declare c cursor for select 1, 2"));
    let two = message(b'B', b"\0f\0\0\0\0\0\0\x02\0\0\0\0");
    assert_eq!(
        raw.ask(&[two, execute("", 0), sync()].concat()),
        "2 D(1) C(FETCH 1) Z(T)"
    );
    // Between Bind and Execute it cannot become another.
    raw.ask(&query("close c; declare c cursor for select 1"));
    let again = [
        bind("p", "f"),
        parse("", "close c"),
        bind("", ""),
        execute("", 0),
        parse("", "declare c cursor for select 'one'"),
        bind("", ""),
        execute("", 0),
        execute("p", 0),
        sync(),
    ];
    assert_eq!(
        raw.ask(&again.concat()),
        "2 1 2 C(CLOSE CURSOR) 1 2 C(DECLARE CURSOR) E(0A000) Z(E)"
    );
    raw.ask(&query("rollback"));

    raw.ask(&query("prepare p(int) as select $1 + 1 as next"));
    raw.send(
        &[
            parse("", "execute p(41)"),
            describe_statement(""),
            bind("", ""),
            describe_portal(""),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let executed = raw.until_ready();
    assert_eq!(shown(&executed), "1 t T 2 T D(42) C(SELECT 1) Z(I)");
    assert_eq!(columns(&executed), [("next".to_owned(), INT4)]);
}

#[test]
fn prepared_statements_have_names() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    assert_eq!(
        raw.ask(&[parse("s", "select 1"), sync()].concat()),
        "1 Z(I)"
    );
    assert_eq!(
        raw.ask(&[parse("s", "select 2"), sync()].concat()),
        "E(42P05) Z(I)"
    );
    assert_eq!(
        raw.ask(&[bind("", "missing"), sync()].concat()),
        "E(26000) Z(I)"
    );
    let close = message(b'C', b"Ss\0");
    assert_eq!(
        raw.ask(&[close.clone(), close, sync()].concat()),
        "3 3 Z(I)"
    );
    assert_eq!(raw.ask(&[bind("", "s"), sync()].concat()), "E(26000) Z(I)");
    // The unnamed one is replaced by the next, and ends with a simple query.
    assert_eq!(
        raw.ask(
            &[
                parse("", "select 1"),
                parse("", "select 2"),
                bind("", ""),
                execute("", 0),
                sync()
            ]
            .concat()
        ),
        "1 1 2 D(2) C(SELECT 1) Z(I)"
    );
    raw.ask(&query("select 1"));
    assert_eq!(raw.ask(&[bind("", ""), sync()].concat()), "E(26000) Z(I)");
    assert_eq!(
        raw.ask(&[parse("", "select 1; select 2"), sync()].concat()),
        "E(42601) Z(I)"
    );
    assert_eq!(
        raw.ask(
            &[
                parse("", ""),
                bind("", ""),
                describe_portal(""),
                execute("", 0),
                sync()
            ]
            .concat()
        ),
        "1 2 n I Z(I)"
    );
}

#[test]
fn flush_sends_what_is_there() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.send(&[parse("", "select 1"), message(b'H', b"")].concat());
    assert_eq!(raw.next().unwrap().kind, b'1');
    assert_eq!(
        raw.ask(&[bind("", ""), execute("", 0), sync()].concat()),
        "2 D(1) C(SELECT 1) Z(I)"
    );
}

#[test]
fn copy_goes_both_ways_in_both_protocols() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("create table t (a int primary key, b text)"));
    let data = |text: &str| message(b'd', text.as_bytes());
    let done = message(b'c', b"");

    // In pieces that do not end where lines do, followed by the rest of the query string.
    raw.send(&query("copy t from stdin; select count(*) from t"));
    assert_eq!(raw.next().unwrap().kind, b'G');
    assert_eq!(
        raw.ask(&[data("1\to"), data("ne\n2\t\\N\n"), done.clone()].concat()),
        "C(COPY 2) T D(2) C(SELECT 1) Z(I)"
    );
    // A bad line; what the client still sends is ignored, and nothing of it stays.
    raw.send(&query("copy t from stdin"));
    raw.next();
    raw.send(&[data("3\tx\nfour\tx\n"), data("5\ty\n"), done.clone()].concat());
    assert_eq!(shown(&raw.until_ready()), "E(22P02) Z(I)");
    assert_eq!(
        raw.ask(&query("select count(*) from t")),
        "T D(2) C(SELECT 1) Z(I)"
    );
    // The client gives up.
    raw.send(&query("copy t from stdin"));
    raw.next();
    assert_eq!(
        raw.ask(&[data("3\tx\n"), message(b'f', b"no more\0")].concat()),
        "E(57014) Z(I)"
    );

    // Extended, with the Sync that drivers send early.
    let start = [
        parse("", "copy t from stdin"),
        bind("", ""),
        execute("", 0),
        sync(),
    ]
    .concat();
    raw.send(&start);
    assert_eq!(
        raw.ask(&[data("3\tx\n"), done.clone(), sync()].concat()),
        "1 2 G C(COPY 1) Z(I)"
    );

    raw.send(&query("copy (select a from t order by a) to stdout"));
    let messages = raw.until_ready();
    assert_eq!(shown(&messages), "H d d d c C(COPY 3) Z(I)");
    let text: Vec<u8> = messages
        .iter()
        .filter(|m| m.kind == b'd')
        .flat_map(|m| m.body.clone())
        .collect();
    assert_eq!(text, b"1\n2\n3\n");

    // In binary the header is in one message with the first row.
    raw.send(&query("copy t from stdin (format binary)"));
    let asked = raw.next().unwrap();
    assert_eq!(
        (asked.kind, &asked.body[..]),
        (b'G', &[1, 0, 2, 0, 1, 0, 1][..])
    );
    let row = b"\0\x02\0\0\0\x04\0\0\0\x09\xff\xff\xff\xff";
    let stream = [&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..], row, b"\xff\xff"].concat();
    assert_eq!(
        raw.ask(&[message(b'd', &stream), done].concat()),
        "C(COPY 1) Z(I)"
    );
    raw.send(&query(
        "copy (select * from t where a = 9) to stdout binary",
    ));
    let messages = raw.until_ready();
    assert_eq!(shown(&messages), "H d d c C(COPY 1) Z(I)");
    assert_eq!(messages[0].body, [1, 0, 2, 0, 1, 0, 1]);
    assert_eq!(messages[1].body, stream[..stream.len() - 2]);

    // Anything else in the middle of a COPY ends the connection.
    raw.send(&[query("copy t from stdin"), query("select 1")].concat());
    assert_eq!(shown(&raw.until_closed()), "G E(08P01)");
}

#[test]
fn an_error_names_its_objects_and_its_place() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    raw.ask(&query("create table t (a int primary key)"));
    raw.send(&query("insert into t values (1), (1)"));
    let error = raw
        .until_ready()
        .into_iter()
        .find(|m| m.kind == b'E')
        .unwrap();
    let field = |code| error.field(code).unwrap_or_default();
    assert_eq!((field(b'S'), field(b'V')), ("ERROR".into(), "ERROR".into()));
    assert_eq!((field(b't'), field(b'n')), ("t".into(), "t_pkey".into()));
    assert_eq!(field(b'D'), "Key (a)=(1) already exists.");
    // The position counts from the start of the whole string.
    raw.send(&query("select 1; select  nothing"));
    let error = raw
        .until_ready()
        .into_iter()
        .find(|m| m.kind == b'E')
        .unwrap();
    assert_eq!(error.field(b'P').as_deref(), Some("19"));
}

#[test]
fn malformed_frames_end_their_own_connection() {
    let served = Served::trust();
    let mut witness = Raw::ready(served.address());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("an unknown type", message(b'!', b"")),
        ("a length below four", b"Q\0\0\0\x03".to_vec()),
        ("a length beyond the limit", b"Q\x7f\xff\xff\xff".to_vec()),
        ("a negative length", b"d\xff\xff\xff\xff".to_vec()),
        ("a long Sync", b"S\0\x01\0\0".to_vec()),
        ("a string without an end", message(b'Q', b"select 1")),
        ("bytes after the end", message(b'Q', b"select 1\0x")),
        ("counts beyond the message", message(b'B', b"\0\0\xff\xff")),
        (
            "a value beyond the message",
            message(b'B', b"\0\0\0\0\0\x01\x00\xff\xff\xff"),
        ),
        ("a description of nothing", message(b'D', b"Xs\0")),
        ("a password nobody asked for", message(b'p', b"secret\0")),
    ];
    for (what, bytes) in cases {
        let mut raw = Raw::ready(served.address());
        raw.send(&bytes);
        let answer = raw.until_closed();
        assert_eq!(shown(&answer), "E(08P01)", "{what}");
        assert_eq!(answer[0].field(b'S').as_deref(), Some("FATAL"), "{what}");
    }
    assert_eq!(witness.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
}

#[test]
fn text_that_is_not_utf8_fails_its_statement_only() {
    let served = Served::trust();
    let mut raw = Raw::ready(served.address());
    assert_eq!(raw.ask(&message(b'Q', b"select '\xff'\0")), "E(22021) Z(I)");
    assert_eq!(
        raw.ask(
            &[
                message(b'P', b"\0select '\xff'\0\0\0"),
                bind("", ""),
                sync()
            ]
            .concat()
        ),
        "E(22021) Z(I)"
    );
    assert_eq!(
        raw.ask(&message(b'F', b"\0\0\0\x01\0\0\0\0\0\0")),
        "E(0A000) Z(I)"
    );
    assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
}

#[test]
fn openings_are_checked() {
    let served = Served::trust();
    let answer_to = |bytes: &[u8]| {
        let mut raw = Raw::silent(served.address());
        raw.send(bytes);
        shown(&raw.until_closed())
    };
    assert_eq!(answer_to(b"\0\0\0\x04"), "E(08P01)");
    assert_eq!(answer_to(b"\x7f\xff\xff\xff"), "E(08P01)");
    assert_eq!(answer_to(b"GET / HTTP/1.1\r\n\r\n"), "E(08P01)");
    assert_eq!(answer_to(b"\0\0\0\x08\0\x02\0\0"), "E(0A000)");
    assert_eq!(answer_to(&startup_packet(&[])), "E(28000)");
    assert_eq!(
        answer_to(&startup_packet(&[("user", "nobody")])),
        "R E(28000)"
    );
    assert_eq!(
        answer_to(&startup_packet(&[("user", "helios"), ("database", "none")])),
        "R E(3D000)"
    );
    assert_eq!(
        answer_to(&startup_packet(&[
            ("user", "helios"),
            ("replication", "database")
        ])),
        "E(0A000)"
    );

    // Each kind of encryption is refused once.
    for request in [GSS_REQUEST, SSL_REQUEST] {
        let mut raw = Raw::silent(served.address());
        raw.send(&request);
        let mut answer = [0];
        std::io::Read::read_exact(&mut raw.stream, &mut answer).unwrap();
        assert_eq!(&answer, b"N");
        raw.send(&request);
        assert_eq!(shown(&raw.until_closed()), "E(0A000)");
    }

    // Encryption is refused in one byte, then the connection goes on; so does a newer protocol.
    let mut raw = Raw::silent(served.address());
    for request in [GSS_REQUEST, SSL_REQUEST] {
        raw.send(&request);
        let mut answer = [0];
        std::io::Read::read_exact(&mut raw.stream, &mut answer).unwrap();
        assert_eq!(&answer, b"N");
    }
    let mut newer = startup_packet(&[("user", "helios"), ("_pq_.unknown", "1")]);
    newer[7] = 9;
    raw.send(&newer);
    let messages = raw.until_ready();
    assert_eq!(messages[0].kind, b'v');
    assert_eq!(messages[0].body, b"\0\x03\0\0\0\0\0\x01_pq_.unknown\0");
    assert_eq!(raw.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
}

/// Random frames, well framed or not, with messages that mean something mixed in: the server must
/// answer or close, and still serve others.
#[test]
fn random_bytes_do_no_harm() {
    let served = Served::trust();
    let mut witness = Raw::ready(served.address());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut frames = 0;
    while frames < 4_000 {
        let opened = random.below(4) > 0;
        let mut raw = if opened {
            Raw::ready(served.address())
        } else {
            Raw::silent(served.address())
        };
        let mut bytes = Vec::new();
        for _ in 0..1 + random.below(40) {
            bytes.extend(random.frame());
            frames += 1;
        }
        // A server that closed early makes this fail, as it may.
        let _ = raw.stream.write_all(&bytes);
        let _ = raw.stream.shutdown(Shutdown::Write);
        raw.until_closed();
    }
    assert_eq!(witness.ask(&query("select 1")), "T D(1) C(SELECT 1) Z(I)");
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    fn bytes(&mut self, limit: u64) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.next() as u8).collect()
    }

    fn frame(&mut self) -> Vec<u8> {
        const KINDS: &[u8] = b"QPBDCEHSdcfFpX!";
        match self.below(8) {
            0 => self.bytes(20),
            1 => query("select 1"),
            2 => [parse("", "select 1"), bind("", ""), execute("", 1)].concat(),
            3 => sync(),
            4 => query("copy (select 1) to stdout"),
            _ => {
                let kind = KINDS[self.below(KINDS.len() as u64) as usize];
                let body = if self.below(2) == 0 {
                    self.bytes(24)
                } else {
                    // Mostly zeros and small numbers, which get further into the decoders.
                    (0..self.below(24))
                        .map(|_| (self.below(12) / 9) as u8)
                        .collect()
                };
                message(kind, &body)
            }
        }
    }
}
