//! Relations of objects that this database does not have: their columns are PostgreSQL's, and they
//! have no rows.

use crate::pg_catalog::relation::relations;

relations! {
    PG_INHERITS = pg_catalog.pg_inherits 2611 'r' {
        inhrelid Oid, inhparent Oid, inhseqno Int4, inhdetachpending Bool,
    } => None;
    PG_PARTITIONED_TABLE = pg_catalog.pg_partitioned_table 3350 'r' {
        partrelid Oid, partstrat Char, partnatts Int2, partdefid Oid, partattrs Int2Vector,
        partclass OidVector, partcollation OidVector, partexprs NodeTree null,
    } => None;
    PG_TRIGGER = pg_catalog.pg_trigger 2620 'r' {
        oid Oid, tgrelid Oid, tgparentid Oid, tgname Name, tgfoid Oid, tgtype Int2,
        tgenabled Char, tgisinternal Bool, tgconstrrelid Oid, tgconstrindid Oid,
        tgconstraint Oid, tgdeferrable Bool, tginitdeferred Bool, tgnargs Int2,
        tgattr Int2Vector, tgargs Bytea, tgqual NodeTree null, tgoldtable Name null,
        tgnewtable Name null,
    } => None;
    PG_STATISTIC_EXT = pg_catalog.pg_statistic_ext 3381 'r' {
        oid Oid, stxrelid Oid, stxname Name, stxnamespace Oid, stxowner Oid, stxstattarget Int4,
        stxkeys Int2Vector, stxkind CharArray, stxexprs NodeTree null,
    } => None;
    PG_PUBLICATION = pg_catalog.pg_publication 6104 'r' {
        oid Oid, pubname Name, pubowner Oid, puballtables Bool, pubinsert Bool, pubupdate Bool,
        pubdelete Bool, pubtruncate Bool, pubviaroot Bool,
    } => None;
    PG_PUBLICATION_NAMESPACE = pg_catalog.pg_publication_namespace 6237 'r' {
        oid Oid, pnpubid Oid, pnnspid Oid,
    } => None;
    PG_PUBLICATION_REL = pg_catalog.pg_publication_rel 6106 'r' {
        oid Oid, prpubid Oid, prrelid Oid, prqual NodeTree null, prattrs Int2Vector null,
    } => None;
    PG_PUBLICATION_TABLES = pg_catalog.pg_publication_tables 12068 'v' {
        pubname Name, schemaname Name, tablename Name, attnames NameArray, rowfilter Text,
    } => None;
    PG_SUBSCRIPTION_REL = pg_catalog.pg_subscription_rel 6102 'r' {
        srsubid Oid, srrelid Oid, srsubstate Char, srsublsn PgLsn null,
    } => None;
    PG_FOREIGN_DATA_WRAPPER = pg_catalog.pg_foreign_data_wrapper 2328 'r' {
        oid Oid, fdwname Name, fdwowner Oid, fdwhandler Oid, fdwvalidator Oid,
        fdwacl AclItemArray null, fdwoptions TextArray null,
    } => None;
    PG_FOREIGN_SERVER = pg_catalog.pg_foreign_server 1417 'r' {
        oid Oid, srvname Name, srvowner Oid, srvfdw Oid, srvtype Text null, srvversion Text null,
        srvacl AclItemArray null, srvoptions TextArray null,
    } => None;
    PG_FOREIGN_TABLE = pg_catalog.pg_foreign_table 3118 'r' {
        ftrelid Oid, ftserver Oid, ftoptions TextArray null,
    } => None;
    PG_USER_MAPPING = pg_catalog.pg_user_mapping 1418 'r' {
        oid Oid, umuser Oid, umserver Oid, umoptions TextArray null,
    } => None;
    PG_USER_MAPPINGS = pg_catalog.pg_user_mappings 12327 'v' {
        umid Oid, srvid Oid, srvname Name, umuser Oid, usename Name, umoptions TextArray,
    } => None;
    PG_EVENT_TRIGGER = pg_catalog.pg_event_trigger 3466 'r' {
        oid Oid, evtname Name, evtevent Name, evtowner Oid, evtfoid Oid, evtenabled Char,
        evttags TextArray null,
    } => None;
    PG_INIT_PRIVS = pg_catalog.pg_init_privs 3394 'r' {
        objoid Oid, classoid Oid, objsubid Int4, privtype Char, initprivs AclItemArray,
    } => None;
    PG_SECLABEL = pg_catalog.pg_seclabel 3596 'r' {
        objoid Oid, classoid Oid, objsubid Int4, provider Text, label Text,
    } => None;
    PG_SHSECLABEL = pg_catalog.pg_shseclabel 3592 'r' {
        objoid Oid, classoid Oid, provider Text, label Text,
    } => None;
    PG_MATVIEWS = pg_catalog.pg_matviews 12038 'v' {
        schemaname Name, matviewname Name, matviewowner Name, tablespace Name, hasindexes Bool,
        ispopulated Bool, definition Text,
    } => None;
    PG_RULES = pg_catalog.pg_rules 12023 'v' {
        schemaname Name, tablename Name, rulename Name, definition Text,
    } => None;
    PG_LARGEOBJECT_METADATA = pg_catalog.pg_largeobject_metadata 2995 'r' {
        oid Oid, lomowner Oid, lomacl AclItemArray null,
    } => None;
    PG_TRANSFORM = pg_catalog.pg_transform 3576 'r' {
        oid Oid, trftype Oid, trflang Oid, trffromsql Regproc, trftosql Regproc,
    } => None;
    PG_PREPARED_XACTS = pg_catalog.pg_prepared_xacts 12090 'v' {
        transaction Xid, gid Text, prepared Timestamptz, owner Name, database Name,
    } => None;
    PG_REPLICATION_SLOTS = pg_catalog.pg_replication_slots 12257 'v' {
        slot_name Name, plugin Name, slot_type Text, datoid Oid, database Name, temporary Bool,
        active Bool, active_pid Int4, xmin Xid, catalog_xmin Xid, restart_lsn PgLsn,
        confirmed_flush_lsn PgLsn, wal_status Text, safe_wal_size Int8, two_phase Bool,
    } => None;
    PG_SUBSCRIPTION = pg_catalog.pg_subscription 6100 'r' {
        oid Oid, subdbid Oid, subskiplsn PgLsn, subname Name, subowner Oid, subenabled Bool,
        subbinary Bool, substream Bool, subtwophasestate Char, subdisableonerr Bool,
        subconninfo Text, subslotname Name null, subsynccommit Text, subpublications TextArray,
    } => None;
    PG_CONVERSION = pg_catalog.pg_conversion 2607 'r' {
        oid Oid, conname Name, connamespace Oid, conowner Oid, conforencoding Int4,
        contoencoding Int4, conproc Regproc, condefault Bool,
    } => None;
    PG_TS_CONFIG = pg_catalog.pg_ts_config 3602 'r' {
        oid Oid, cfgname Name, cfgnamespace Oid, cfgowner Oid, cfgparser Oid,
    } => None;
    PG_TS_CONFIG_MAP = pg_catalog.pg_ts_config_map 3603 'r' {
        mapcfg Oid, maptokentype Int4, mapseqno Int4, mapdict Oid,
    } => None;
    PG_TS_DICT = pg_catalog.pg_ts_dict 3600 'r' {
        oid Oid, dictname Name, dictnamespace Oid, dictowner Oid, dicttemplate Oid,
        dictinitoption Text null,
    } => None;
    PG_TS_PARSER = pg_catalog.pg_ts_parser 3601 'r' {
        oid Oid, prsname Name, prsnamespace Oid, prsstart Regproc, prstoken Regproc,
        prsend Regproc, prsheadline Regproc, prslextype Regproc,
    } => None;
    PG_TS_TEMPLATE = pg_catalog.pg_ts_template 3764 'r' {
        oid Oid, tmplname Name, tmplnamespace Oid, tmplinit Regproc, tmpllexize Regproc,
    } => None;
    PG_STATS = pg_catalog.pg_stats 12053 'v' {
        schemaname Name, tablename Name, attname Name, inherited Bool, null_frac Float4,
        avg_width Int4, n_distinct Float4, most_common_vals AnyArray,
        most_common_freqs Float4Array, histogram_bounds AnyArray, correlation Float4,
        most_common_elems AnyArray, most_common_elem_freqs Float4Array,
        elem_count_histogram Float4Array,
    } => None;
    PG_SECLABELS = pg_catalog.pg_seclabels 12099 'v' {
        objoid Oid, classoid Oid, objsubid Int4, objtype Text, objnamespace Oid, objname Text,
        provider Text, label Text,
    } => None;
    PG_LARGEOBJECT = pg_catalog.pg_largeobject 2613 'r' {
        loid Oid, pageno Int4, data Bytea,
    } => None;
    PG_PARAMETER_ACL = pg_catalog.pg_parameter_acl 6243 'r' {
        oid Oid, parname Text, paracl AclItemArray null,
    } => None;
    PG_REPLICATION_ORIGIN = pg_catalog.pg_replication_origin 6000 'r' {
        roident Oid, roname Text,
    } => None;
    TRIGGERS = information_schema.triggers 13440 'v' {
        trigger_catalog SqlIdentifier, trigger_schema SqlIdentifier, trigger_name SqlIdentifier,
        event_manipulation CharacterData, event_object_catalog SqlIdentifier,
        event_object_schema SqlIdentifier, event_object_table SqlIdentifier,
        action_order CardinalNumber, action_condition CharacterData,
        action_statement CharacterData, action_orientation CharacterData,
        action_timing CharacterData, action_reference_old_table SqlIdentifier,
        action_reference_new_table SqlIdentifier, action_reference_old_row SqlIdentifier,
        action_reference_new_row SqlIdentifier, created TimeStamp,
    } => None;
    TRIGGERED_UPDATE_COLUMNS = information_schema.triggered_update_columns 13435 'v' {
        trigger_catalog SqlIdentifier, trigger_schema SqlIdentifier, trigger_name SqlIdentifier,
        event_object_catalog SqlIdentifier, event_object_schema SqlIdentifier,
        event_object_table SqlIdentifier, event_object_column SqlIdentifier,
    } => None;
    FOREIGN_TABLES = information_schema.foreign_tables 13541 'v' {
        foreign_table_catalog SqlIdentifier, foreign_table_schema SqlIdentifier,
        foreign_table_name SqlIdentifier, foreign_server_catalog SqlIdentifier,
        foreign_server_name SqlIdentifier,
    } => None;
    FOREIGN_SERVERS = information_schema.foreign_servers 13528 'v' {
        foreign_server_catalog SqlIdentifier, foreign_server_name SqlIdentifier,
        foreign_data_wrapper_catalog SqlIdentifier, foreign_data_wrapper_name SqlIdentifier,
        foreign_server_type CharacterData, foreign_server_version CharacterData,
        authorization_identifier SqlIdentifier,
    } => None;
}
