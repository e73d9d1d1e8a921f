-- Creates the role and the database of Watchword. Run it once on the primary, in
-- the directory of the file db-password.
\set password `cat db-password`
CREATE ROLE watchword LOGIN PASSWORD :'password';

-- Behind PgBouncer a client cannot set these timeouts itself. The server logs a
-- warning at startup if they are missing.
ALTER ROLE watchword SET statement_timeout = '15s';
ALTER ROLE watchword SET lock_timeout = '5s';
ALTER ROLE watchword SET idle_in_transaction_session_timeout = '30s';

CREATE DATABASE watchword OWNER watchword;
