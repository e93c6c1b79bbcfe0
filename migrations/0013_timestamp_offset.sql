-- A type for instants that keep the offset of the clock that told them.

-- PostgreSQL's own "timestamp with time zone" keeps the instant alone. The form is checked before the value, which the
-- conversion checks: that a text has an offset makes the conversion the same everywhere.
create domain syncline.timestamp_offset as text
  constraint timestamp_offset_form check (
    case when value ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$' then value::timestamptz is not null else value is null end);
comment on domain syncline.timestamp_offset is
  'An instant with an offset from UTC, as ISO 8601 text: 2003-01-25T17:00:00-05:00. Clients know it as esriFieldTypeTimestampOffset.';
