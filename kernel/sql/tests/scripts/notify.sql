-- LISTEN, UNLISTEN and NOTIFY as one session sees them.

SELECT pg_listening_channels();
LISTEN b;
LISTEN a;
LISTEN "Mixed Case";
LISTEN a;
SELECT * FROM pg_listening_channels() AS c ORDER BY c COLLATE "C";
SELECT pg_listening_channels() AS c ORDER BY 1;
UNLISTEN b;
UNLISTEN never_listened_to;
SELECT count(*) FROM pg_listening_channels();

-- It begins and ends with the commit.
BEGIN;
LISTEN c;
UNLISTEN a;
SELECT count(*) FROM pg_listening_channels() AS l WHERE l IN ('a', 'c');
COMMIT;
SELECT l FROM pg_listening_channels() AS l WHERE l IN ('a', 'c');
BEGIN;
LISTEN d;
ROLLBACK;
BEGIN;
SAVEPOINT s;
LISTEN e;
ROLLBACK TO s;
LISTEN f;
COMMIT;
SELECT l FROM pg_listening_channels() AS l WHERE l IN ('d', 'e', 'f');
UNLISTEN *;
SELECT count(*) FROM pg_listening_channels();

NOTIFY nobody;
NOTIFY nobody, 'payload';
NOTIFY nobody, '';
SELECT pg_notify('nobody', 'payload');
SELECT pg_notify('nobody', NULL);
SELECT pg_notify(NULL, 'payload');
SELECT pg_notify('', '');
SELECT pg_notify(repeat('n', 63), repeat('x', 7999));
SELECT pg_notify(repeat('n', 64), '');
SELECT pg_notify('nobody', repeat('x', 8000));
SELECT pg_notify('nobody', repeat('ä', 4000));
SELECT pg_notify('nobody');
SELECT pg_notify('nobody', 1);
SELECT pg_notify('nobody', n::text) FROM generate_series(1, 3) AS n;
-- differs: the parser takes a word for a text
NOTIFY nobody, payload;
LISTEN *;
LISTEN 'nobody';
BEGIN READ ONLY;
NOTIFY nobody;
LISTEN somebody;
COMMIT;
BEGIN;
SELECT 1/0;
LISTEN nobody;
NOTIFY nobody;
UNLISTEN *;
ROLLBACK;
SELECT pg_notification_queue_usage();
LISTEN g;
DISCARD ALL;
SELECT count(*) FROM pg_listening_channels();
