// pgjdbc: metadata, types in both formats, batches, cursors by fetch size, COPY, generated keys, savepoints.

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

public class Cases {
    interface Case {
        void run() throws Exception;
    }

    static final Map<String, Case> cases = new LinkedHashMap<>();

    static Connection connect(String... settings) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("sslmode", "disable");
        for (int i = 0; i < settings.length; i += 2) {
            properties.setProperty(settings[i], settings[i + 1]);
        }
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        return DriverManager.getConnection(url, properties);
    }

    static void equal(Object got, Object expected) {
        if (!Objects.deepEquals(got, expected)) {
            throw new AssertionError("got " + show(got) + ", expected " + show(expected));
        }
    }

    static String show(Object value) {
        return value instanceof Object[] ? Arrays.deepToString((Object[]) value) : String.valueOf(value);
    }

    static List<Object> column(Connection c, String query) throws SQLException {
        List<Object> out = new ArrayList<>();
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(query)) {
            while (r.next()) {
                out.add(r.getObject(1));
            }
        }
        return out;
    }

    static void run(Connection c, String... statements) throws SQLException {
        try (Statement s = c.createStatement()) {
            for (String statement : statements) {
                s.execute(statement);
            }
        }
    }

    static void refused(String state, Case work) throws Exception {
        try {
            work.run();
        } catch (SQLException e) {
            equal(e.getSQLState(), state);
            return;
        }
        throw new AssertionError("not refused with " + state);
    }

    static void typesRoundTrip(String... settings) throws Exception {
        try (Connection c = connect(settings)) {
            run(c, "CREATE TEMP TABLE types (b boolean, s smallint, i int, l bigint, f real, d double precision, n numeric(20,5),"
                + " t text, v varchar(10), y bytea, u uuid, da date, ti time, ts timestamp, tz timestamptz, j jsonb, a int[], ta text[])");
            UUID uuid = UUID.randomUUID();
            OffsetDateTime moment = OffsetDateTime.of(2024, 2, 29, 1, 2, 3, 456789000, ZoneOffset.UTC);
            try (PreparedStatement p = c.prepareStatement("INSERT INTO types VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?::jsonb,?,?)")) {
                p.setBoolean(1, true);
                p.setShort(2, (short) -3);
                p.setInt(3, Integer.MAX_VALUE);
                p.setLong(4, Long.MIN_VALUE);
                p.setFloat(5, 1.5f);
                p.setDouble(6, 1e-300);
                p.setBigDecimal(7, new BigDecimal("-123456789012345.67890"));
                p.setString(8, "ünï '\\ \n");
                p.setString(9, "");
                if (settings.length == 2 && settings[1].equals("simple")) {
                    // The driver writes no bytes into the text of a query.
                    p.setObject(10, "\\x00ff41", Types.OTHER);
                } else {
                    p.setBytes(10, new byte[] {0, -1, 65});
                }
                p.setObject(11, uuid);
                p.setObject(12, LocalDate.of(2024, 2, 29));
                p.setObject(13, LocalTime.of(23, 59, 59, 999999000));
                p.setObject(14, LocalDateTime.of(1999, 12, 31, 23, 59, 59));
                p.setObject(15, moment);
                p.setString(16, "{\"a\": [1, null]}");
                p.setArray(17, c.createArrayOf("int4", new Integer[] {1, null, 3}));
                p.setArray(18, c.createArrayOf("text", new String[] {"a,b", "\"", null}));
                equal(p.executeUpdate(), 1);
            }
            try (PreparedStatement p = c.prepareStatement("SELECT * FROM types WHERE i = ?")) {
                // From the fifth execution on the driver's statement is a named one, and its results are binary.
                for (int round = 0; round < 8; round++) {
                    p.setInt(1, Integer.MAX_VALUE);
                    try (ResultSet r = p.executeQuery()) {
                        equal(r.next(), true);
                        equal(r.getBoolean(1), true);
                        equal(r.getShort(2), (short) -3);
                        equal(r.getInt(3), Integer.MAX_VALUE);
                        equal(r.getLong(4), Long.MIN_VALUE);
                        equal(r.getFloat(5), 1.5f);
                        equal(r.getDouble(6), 1e-300);
                        equal(r.getBigDecimal(7), new BigDecimal("-123456789012345.67890"));
                        equal(r.getString(8), "ünï '\\ \n");
                        equal(r.getString(9), "");
                        equal(r.getBytes(10), new byte[] {0, -1, 65});
                        equal(r.getObject(11), uuid);
                        equal(r.getObject(12, LocalDate.class), LocalDate.of(2024, 2, 29));
                        equal(r.getObject(13, LocalTime.class), LocalTime.of(23, 59, 59, 999999000));
                        equal(r.getObject(14, LocalDateTime.class), LocalDateTime.of(1999, 12, 31, 23, 59, 59));
                        equal(r.getObject(15, OffsetDateTime.class).toInstant(), moment.toInstant());
                        equal(r.getString(16), "{\"a\": [1, null]}");
                        equal(r.getArray(17).getArray(), new Integer[] {1, null, 3});
                        equal(r.getArray(18).getArray(), new String[] {"a,b", "\"", null});
                        equal(r.next(), false);
                    }
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        cases.put("types_in_extended_protocol", () -> typesRoundTrip());
        cases.put("types_in_simple_protocol", () -> typesRoundTrip("preferQueryMode", "simple"));
        cases.put("types_always_prepared", () -> typesRoundTrip("prepareThreshold", "-1"));
        cases.put("columns_are_described", () -> {
            try (Connection c = connect()) {
                run(c, "CREATE TABLE described (id serial PRIMARY KEY, n numeric(8,2) NOT NULL, v varchar(9), t timestamptz)");
                try (PreparedStatement p = c.prepareStatement("SELECT id, n, v AS word, t, 1 + 1 FROM described WHERE id = ?")) {
                    ResultSetMetaData m = p.getMetaData();
                    equal(m.getColumnCount(), 5);
                    equal(m.getColumnName(1), "id");
                    equal(m.isAutoIncrement(1), true);
                    equal(m.getColumnTypeName(2), "numeric");
                    equal(m.getPrecision(2), 8);
                    equal(m.getScale(2), 2);
                    equal(m.isNullable(2), ResultSetMetaData.columnNoNulls);
                    equal(m.getColumnLabel(3), "word");
                    equal(m.getColumnType(3), Types.VARCHAR);
                    equal(m.getPrecision(3), 9);
                    equal(m.getColumnTypeName(4), "timestamptz");
                    equal(m.getTableName(1), "described");
                    equal(p.getParameterMetaData().getParameterTypeName(1), "int4");
                }
            }
        });
        cases.put("the_catalog_by_metadata", () -> {
            try (Connection c = connect()) {
                run(c, "CREATE TABLE meta_a (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x')",
                    "CREATE TABLE meta_b (id bigserial PRIMARY KEY, a int REFERENCES meta_a ON DELETE CASCADE, UNIQUE (a, id))",
                    "CREATE VIEW meta_v AS SELECT name FROM meta_a", "COMMENT ON TABLE meta_a IS 'told'");
                DatabaseMetaData m = c.getMetaData();
                equal(m.getDatabaseProductName(), "PostgreSQL");
                equal(m.getDatabaseMajorVersion() >= 15, true);
                List<String> found = new ArrayList<>();
                try (ResultSet r = m.getTables(null, "public", "meta_%", new String[] {"TABLE", "VIEW"})) {
                    while (r.next()) {
                        found.add(r.getString("TABLE_NAME") + " " + r.getString("TABLE_TYPE") + " " + r.getString("REMARKS"));
                    }
                }
                equal(found, List.of("meta_a TABLE told", "meta_b TABLE null", "meta_v VIEW null"));
                found.clear();
                try (ResultSet r = m.getColumns(null, "public", "meta_a", null)) {
                    while (r.next()) {
                        found.add(r.getString("COLUMN_NAME") + " " + r.getString("TYPE_NAME") + " " + r.getString("IS_NULLABLE") + " " + r.getString("COLUMN_DEF"));
                    }
                }
                equal(found, List.of("id int4 NO null", "name text NO 'x'::text"));
                try (ResultSet r = m.getPrimaryKeys(null, "public", "meta_b")) {
                    equal(r.next(), true);
                    equal(r.getString("COLUMN_NAME") + " " + r.getString("PK_NAME"), "id meta_b_pkey");
                }
                try (ResultSet r = m.getImportedKeys(null, "public", "meta_b")) {
                    equal(r.next(), true);
                    equal(r.getString("PKTABLE_NAME") + " " + r.getString("FKCOLUMN_NAME"), "meta_a a");
                    equal(r.getShort("DELETE_RULE"), (short) DatabaseMetaData.importedKeyCascade);
                }
                try (ResultSet r = m.getExportedKeys(null, "public", "meta_a")) {
                    equal(r.next(), true);
                    equal(r.getString("FKTABLE_NAME"), "meta_b");
                }
                found.clear();
                try (ResultSet r = m.getIndexInfo(null, "public", "meta_b", false, true)) {
                    while (r.next()) {
                        found.add(r.getString("INDEX_NAME") + " " + r.getString("COLUMN_NAME") + " " + r.getBoolean("NON_UNIQUE"));
                    }
                }
                equal(found, List.of("meta_b_a_id_key a false", "meta_b_a_id_key id false", "meta_b_pkey id false"));
                found.clear();
                try (ResultSet r = m.getSchemas()) {
                    while (r.next()) {
                        found.add(r.getString(1));
                    }
                }
                equal(found.contains("public") && found.contains("pg_catalog") && found.contains("information_schema"), true);
                try (ResultSet r = m.getTypeInfo()) {
                    equal(r.next(), true);
                }
                try (ResultSet r = m.getFunctions(null, "pg_catalog", "lower")) {
                    equal(r.next(), true);
                }
                try (ResultSet r = m.getTablePrivileges(null, "public", "meta_a")) {
                    equal(r.next(), true);
                }
                try (ResultSet r = m.getBestRowIdentifier(null, "public", "meta_a", DatabaseMetaData.bestRowSession, true)) {
                    equal(r.next(), true);
                    equal(r.getString("COLUMN_NAME"), "id");
                }
            }
        });
        cases.put("generated_keys_and_returning", () -> {
            try (Connection c = connect()) {
                run(c, "CREATE TEMP TABLE keyed (id serial PRIMARY KEY, name text)");
                try (PreparedStatement p = c.prepareStatement("INSERT INTO keyed (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
                    for (String name : new String[] {"a", "b", "c"}) {
                        p.setString(1, name);
                        p.addBatch();
                    }
                    equal(p.executeBatch(), new int[] {1, 1, 1});
                    List<Object> ids = new ArrayList<>();
                    try (ResultSet r = p.getGeneratedKeys()) {
                        while (r.next()) {
                            ids.add(r.getInt("id"));
                        }
                    }
                    equal(ids, List.of(1, 2, 3));
                }
            }
        });
        cases.put("batches", () -> {
            for (String rewrite : new String[] {"false", "true"}) {
                try (Connection c = connect("reWriteBatchedInserts", rewrite)) {
                    run(c, "CREATE TEMP TABLE batched (id int PRIMARY KEY, name text)");
                    try (PreparedStatement p = c.prepareStatement("INSERT INTO batched VALUES (?, ?)")) {
                        for (int i = 0; i < 1000; i++) {
                            p.setInt(1, i);
                            p.setString(2, "n" + i);
                            p.addBatch();
                        }
                        equal(p.executeBatch().length, 1000);
                        p.setInt(1, 2000);
                        p.setString(2, "x");
                        p.addBatch();
                        p.setInt(1, 5);
                        p.setString(2, "x");
                        p.addBatch();
                        c.setAutoCommit(false);
                        try {
                            p.executeBatch();
                            throw new AssertionError("a duplicate was taken");
                        } catch (BatchUpdateException e) {
                            equal(e.getSQLState(), "23505");
                        }
                        c.rollback();
                    }
                    equal(column(c, "SELECT count(*) FROM batched"), List.of(1000L));
                }
            }
        });
        cases.put("cursors_by_fetch_size", () -> {
            try (Connection c = connect()) {
                c.setAutoCommit(false);
                try (PreparedStatement p = c.prepareStatement("SELECT n FROM generate_series(1, ?) n ORDER BY n")) {
                    p.setFetchSize(50);
                    p.setInt(1, 1234);
                    long sum = 0;
                    try (ResultSet r = p.executeQuery()) {
                        while (r.next()) {
                            sum += r.getInt(1);
                            if (r.getInt(1) == 100) {
                                // Another statement while the portal is open.
                                equal(column(c, "SELECT 7"), List.of(7));
                            }
                        }
                    }
                    equal(sum, 1234L * 1235 / 2);
                }
                c.commit();
            }
        });
        cases.put("scrollable_and_updatable_results", () -> {
            try (Connection c = connect()) {
                run(c, "CREATE TEMP TABLE scrolled (id int PRIMARY KEY, v text)", "INSERT INTO scrolled SELECT n, 'v' || n FROM generate_series(1, 5) n");
                try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
                     ResultSet r = s.executeQuery("SELECT id, v FROM scrolled ORDER BY id")) {
                    equal(r.last(), true);
                    equal(r.getRow(), 5);
                    equal(r.absolute(2), true);
                    r.updateString("v", "changed");
                    r.updateRow();
                    r.moveToInsertRow();
                    r.updateInt("id", 6);
                    r.updateString("v", "new");
                    r.insertRow();
                    r.absolute(1);
                    r.deleteRow();
                }
                equal(column(c, "SELECT v FROM scrolled ORDER BY id"), List.of("changed", "v3", "v4", "v5", "new"));
            }
        });
        cases.put("transactions_and_savepoints", () -> {
            try (Connection c = connect()) {
                run(c, "CREATE TEMP TABLE saved (id int PRIMARY KEY)");
                c.setAutoCommit(false);
                c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
                equal(column(c, "SHOW transaction_isolation"), List.of("serializable"));
                run(c, "INSERT INTO saved VALUES (1)");
                Savepoint savepoint = c.setSavepoint();
                refused("23505", () -> run(c, "INSERT INTO saved VALUES (1)"));
                refused("25P02", () -> run(c, "SELECT 1"));
                c.rollback(savepoint);
                run(c, "INSERT INTO saved VALUES (2)");
                c.commit();
                c.setReadOnly(true);
                refused("25006", () -> run(c, "CREATE TABLE not_made (i int)"));
                c.rollback();
                equal(column(c, "SELECT id FROM saved ORDER BY id"), List.of(1, 2));
            }
        });
        cases.put("autosave_keeps_transactions", () -> {
            try (Connection c = connect("autosave", "always")) {
                c.setAutoCommit(false);
                run(c, "CREATE TEMP TABLE kept (id int PRIMARY KEY)", "INSERT INTO kept VALUES (1)");
                refused("23505", () -> run(c, "INSERT INTO kept VALUES (1)"));
                run(c, "INSERT INTO kept VALUES (2)");
                equal(column(c, "SELECT count(*) FROM kept"), List.of(2L));
                c.commit();
            }
        });
        cases.put("copy_in_and_out", () -> {
            try (Connection c = connect()) {
                run(c, "CREATE TEMP TABLE copied (id int, t text)");
                CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
                equal(copy.copyIn("COPY copied FROM STDIN (FORMAT csv)", new StringReader("1,a\n2,\"b,c\"\n3,\n")), 3L);
                StringWriter out = new StringWriter();
                equal(copy.copyOut("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT", out), 3L);
                equal(out.toString(), "1\ta\n2\tb,c\n3\t\\N\n");
            }
        });
        cases.put("errors_have_their_fields", () -> {
            try (Connection c = connect()) {
                run(c, "CREATE TABLE told (id int CONSTRAINT small CHECK (id < 5))");
                try {
                    run(c, "INSERT INTO told VALUES (7)");
                    throw new AssertionError("not refused");
                } catch (PSQLException e) {
                    equal(e.getServerErrorMessage().getConstraint(), "small");
                    equal(e.getServerErrorMessage().getTable(), "told");
                    equal(e.getServerErrorMessage().getSchema(), "public");
                }
                refused("42601", () -> run(c, "SELEC"));
                refused("42P01", () -> run(c, "SELECT * FROM nowhere"));
            }
        });
        cases.put("nulls_and_setobject", () -> {
            try (Connection c = connect(); PreparedStatement p = c.prepareStatement("SELECT ?::int, ?::text, ?::timestamp, coalesce(?, 'd')")) {
                p.setNull(1, Types.INTEGER);
                p.setNull(2, Types.VARCHAR);
                p.setNull(3, Types.TIMESTAMP);
                p.setObject(4, null);
                try (ResultSet r = p.executeQuery()) {
                    r.next();
                    r.getInt(1);
                    equal(r.wasNull(), true);
                    equal(r.getString(2), null);
                    equal(r.getTimestamp(3), null);
                    equal(r.getString(4), "d");
                }
            }
        });
        cases.put("timeouts_and_cancels", () -> {
            try (Connection c = connect(); Statement s = c.createStatement()) {
                s.setQueryTimeout(1);
                refused("57014", () -> s.executeQuery("SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b WHERE a + b = -1"));
                equal(column(c, "SELECT 1"), List.of(1));
            }
        });
        cases.put("dates_of_the_old_kind", () -> {
            try (Connection c = connect(); PreparedStatement p = c.prepareStatement("SELECT ?::date, ?::timestamp")) {
                p.setDate(1, Date.valueOf("2024-02-29"));
                p.setTimestamp(2, Timestamp.valueOf("2024-02-29 01:02:03.5"));
                try (ResultSet r = p.executeQuery()) {
                    r.next();
                    equal(r.getDate(1), Date.valueOf("2024-02-29"));
                    equal(r.getTimestamp(2), Timestamp.valueOf("2024-02-29 01:02:03.5"));
                }
            }
        });
        System.out.println("version " + new org.postgresql.Driver().getClass().getPackage().getImplementationVersion());
        List<String> only = Arrays.asList(arguments);
        for (Map.Entry<String, Case> one : cases.entrySet()) {
            if (!only.isEmpty() && !only.contains(one.getKey())) {
                continue;
            }
            try {
                one.getValue().run();
                System.out.println("passed " + one.getKey());
            } catch (Throwable e) {
                e.printStackTrace();
                String message = String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
                System.out.println("failed " + one.getKey() + ": " + message.substring(0, Math.min(400, message.length())));
            }
        }
    }
}
