-- Queries of past moments: since when the rows of a layer are known.

-- Of a layer that was published before this, nothing earlier is known than now.
alter table syncline.layer add column published_at timestamptz not null default clock_timestamp();
comment on column syncline.layer.published_at is 'Since when changes of the layer are recorded; before that, nobody knows its rows';
