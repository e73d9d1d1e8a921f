-- +goose Up
-- Mails are counted by state, and those given up are found by age.
CREATE INDEX mails_waiting ON mails (created_at) WHERE given_up_at = 0;
CREATE INDEX mails_given_up ON mails (given_up_at) WHERE given_up_at > 0;

-- The sweeper goes through counters in this order, and goes on where a batch ended.
CREATE INDEX limits_in_order ON limits (sweep_from, key);
DROP INDEX limits_by_age;
