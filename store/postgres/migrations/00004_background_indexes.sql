-- +goose Up
-- Metrics count mails by state. The sweep finds abandoned mails by age.
CREATE INDEX mails_waiting ON mails (created_at) WHERE given_up_at = 0;
CREATE INDEX mails_given_up ON mails (given_up_at) WHERE given_up_at > 0;

-- The sweep reads counters in this order, and each batch starts after the last counter of the previous batch.
CREATE INDEX limits_in_order ON limits (sweep_from, key);
DROP INDEX limits_by_age;
