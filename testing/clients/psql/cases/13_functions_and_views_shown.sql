\sv cheap
\pset tuples_only on
SELECT pg_get_viewdef('cheap'::regclass, true);
