-- options: -1 -v ON_ERROR_STOP=1
CREATE TABLE not_kept (i int);
SELECT 1/0;
