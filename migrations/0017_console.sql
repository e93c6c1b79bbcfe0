-- What administrators are shown: who the clients of replicas are, each of their synchronizations, and exceptions from the
-- rule by which replicas expire.

alter table syncline.replica
  add column client text not null default '',
  add column n_syncs bigint not null default 0,
  add column expire_days integer,
  add constraint replica_expire_days check (expire_days between 0 and 36500);
comment on column syncline.replica.client is 'What the client that made it calls itself (User-Agent)';
comment on column syncline.replica.n_syncs is 'How many of its synchronizations were recorded, failed ones included; the number of the last';
comment on column syncline.replica.expire_days is
  'After how many days without a synchronization it expires, instead of what holds for its service; 0: never; null: as its service';

alter table syncline.service
  add column expire_days integer,
  add constraint service_expire_days check (expire_days between 0 and 36500);
comment on column syncline.service.expire_days is
  'The same for the replicas of the service that have no rule of their own; 0: never; null: as the settings say';

create table syncline.synchronization (
  replica_id uuid not null references syncline.replica on delete cascade,
  slot integer not null,
  number bigint not null,
  ended_at timestamptz not null default now(),
  duration_ms bigint not null,
  client text not null,
  user_name text not null default '',
  request_id text not null,
  direction text,
  outcome text not null check (outcome in ('completed', 'completed_with_errors', 'needs_snapshot', 'refused', 'failed')),
  batch_id bigint,
  n_applied bigint not null,
  n_refused bigint not null,
  n_sent bigint not null,
  bytes_up bigint not null,
  bytes_down bigint not null,
  code integer,
  message text,
  primary key (replica_id, slot)
);
comment on table syncline.synchronization is
  'The last synchronizations of each replica, also those that only downloaded and those that were answered with an error';
comment on column syncline.synchronization.slot is
  'The number modulo how many are kept: the newest takes the place of the oldest, so that nothing has to be pruned';
comment on column syncline.synchronization.number is 'Counts up for each replica';
comment on column syncline.synchronization.duration_ms is 'How long it took the server';
comment on column syncline.synchronization.direction is
  'Which way it went; several, with commas, if layers went different ways; null if it came to nothing before that was known';
comment on column syncline.synchronization.batch_id is 'The upload that it carried, for the first time or again';
comment on column syncline.synchronization.n_applied is 'How many of the edits that it brought were applied';
comment on column syncline.synchronization.n_sent is 'How many rows and deletions the client was sent';
comment on column syncline.synchronization.code is 'The number of the error that was the answer; null if it was none';

alter table syncline.job add column client text not null default '';
comment on column syncline.job.client is 'What the client that asked for it calls itself (User-Agent)';

-- The box of a geometry in longitude and latitude: west, south, east, north. Null where there is none, and where the database
-- cannot bring it there (no spatial reference, or coordinates outside of it): one such area must not keep a list from being shown.
create function syncline.box_in_degrees(ewkb bytea) returns float8[]
language plpgsql stable strict set plan_cache_mode = force_generic_plan as $$
begin
  return (
    select array[ST_XMin(b.g), ST_YMin(b.g), ST_XMax(b.g), ST_YMax(b.g)]
    from (select ST_Transform(ST_Segmentize(a.g, greatest(ST_XMax(a.g) - ST_XMin(a.g), ST_YMax(a.g) - ST_YMin(a.g), 1e-9) / 32), 4326) as g
      from (select ST_Envelope(ewkb::geometry) as g) a) b
    where ST_XMax(b.g) < 'Infinity' and ST_YMax(b.g) < 'Infinity'
  );
exception when others then
  return null;
end $$;
