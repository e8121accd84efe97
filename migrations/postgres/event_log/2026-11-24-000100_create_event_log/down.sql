-- Takes the log away, and with it the only copy of what was announced.
DROP TABLE event_log_groups;
DROP TABLE event_log;
