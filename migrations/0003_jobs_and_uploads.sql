-- Operations that run on their own while their client asks now and then, and files that clients send.

create table syncline.job (
  job_id uuid primary key,
  service_id integer not null references syncline.service on delete cascade,
  operation text not null check (operation in ('createReplica', 'synchronizeReplica', 'extractChanges')),
  parameters text not null,
  base_url text not null,
  owner text not null default '',
  state text not null default 'Pending' check (state in ('Pending', 'InProgress', 'Completed', 'CompletedWithErrors', 'Failed')),
  attempts integer not null default 0,
  run_after timestamptz not null default now(),
  lease_id uuid,
  lease_until timestamptz,
  batch_id bigint,
  progress text,
  head text,
  export_id uuid,
  error text,
  submitted_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  ended_at timestamptz,
  constraint job_leased check ((state = 'InProgress') = (lease_id is not null) and num_nonnulls(lease_id, lease_until) in (0, 2)),
  constraint job_ended check ((state in ('Completed', 'CompletedWithErrors', 'Failed')) = (ended_at is not null))
);
comment on table syncline.job is 'An operation that was asked for with async=true; also the record of how it ended';
comment on column syncline.job.parameters is 'The request''s own, as a JSON array of pairs of texts; without tokens';
comment on column syncline.job.base_url is 'How the addresses began under which the client reached the server';
comment on column syncline.job.attempts is 'How often it was begun; one that was given back by a server that stopped does not count';
comment on column syncline.job.run_after is 'Not to be begun earlier: an attempt failed for a reason that may pass';
comment on column syncline.job.lease_id is 'Made anew by each attempt. Who works on a job may write its results only while this is still its own';
comment on column syncline.job.lease_until is 'By the clock of the database. Prolonged while the work goes on; once it is over, anybody may begin again';
comment on column syncline.job.batch_id is 'The upload that an attempt has applied already, written in the transaction of its edits';
comment on column syncline.job.progress is 'How far the current attempt is, as JSON';
comment on column syncline.job.head is 'The members that describe the result, as JSON';
comment on column syncline.job.error is 'Why it failed, as the API''s error object in JSON';
create index job_waiting on syncline.job (submitted_at) where ended_at is null;
create index job_ended on syncline.job (ended_at) where ended_at is not null;
create index job_service on syncline.job (service_id, submitted_at);

-- Whoever makes a job ready wakes the servers, when the job can be seen.
create function syncline.job_waits() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_notify('syncline_job', '');
  return null;
end $$;
create trigger waits after insert or update of state on syncline.job
for each row when (new.state = 'Pending') execute function syncline.job_waits();

alter table syncline.export add column sha256 bytea;
comment on column syncline.export.sha256 is 'The digest of the bytes; null if they were written by a version that kept none';

create table syncline.upload_item (
  item_id uuid primary key,
  service_id integer not null references syncline.service on delete cascade,
  name text not null,
  description text not null default '',
  file_id uuid,
  size_bytes bigint not null default 0,
  sha256 bytea,
  created_at timestamptz not null default now(),
  used_at timestamptz not null default now(),
  constraint upload_item_whole check (num_nonnulls(file_id, sha256) in (0, 2))
);
comment on table syncline.upload_item is 'A file that a client sends, whole or in parts; the bytes are in the data directory';
comment on column syncline.upload_item.name is 'As the client calls it; never part of a path';
comment on column syncline.upload_item.file_id is 'The file, once it is committed. Files are never written again: a new content is a new file';
comment on column syncline.upload_item.used_at is 'When it was last written to or used; it is deleted some time after that';
create index upload_item_service on syncline.upload_item (service_id, created_at);

create table syncline.upload_part (
  item_id uuid not null references syncline.upload_item on delete cascade,
  number integer not null check (number > 0),
  file_id uuid not null,
  size_bytes bigint not null,
  sha256 bytea not null,
  primary key (item_id, number)
);
comment on table syncline.upload_part is 'A part of an item that is not committed yet';
