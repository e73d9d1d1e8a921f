-- The role and the database of Watchword: once, on the primary, where the file
-- db-password lies.
\set password `cat db-password`
CREATE ROLE watchword LOGIN PASSWORD :'password';

-- Behind PgBouncer a client can't set these for itself; the server warns at its
-- start if they are missing.
ALTER ROLE watchword SET statement_timeout = '15s';
ALTER ROLE watchword SET lock_timeout = '5s';
ALTER ROLE watchword SET idle_in_transaction_session_timeout = '30s';

CREATE DATABASE watchword OWNER watchword;
