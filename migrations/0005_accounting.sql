-- The books of what replicas uploaded. They outlive the replicas.

alter table syncline.replica add column unregistered_at timestamptz;
comment on column syncline.replica.unregistered_at is
  'When it was unregistered. What is known of it is kept, so that its edits stay accounted for, and late ones can be rescued';
alter table syncline.replica drop constraint replica_name_unique;
create unique index replica_name_unique on syncline.replica (service_id, name) where unregistered_at is null;

alter table syncline.batch drop constraint batch_replica_id_fkey;
alter table syncline.batch add column undone_at timestamptz;
comment on column syncline.batch.undone_at is 'When an administrator last reversed what it did; the reversal is a change of its own';

create table syncline.rejected_edit (
  rejected_edit_id bigint generated always as identity primary key,
  service_id integer not null references syncline.service on delete cascade,
  replica_id uuid not null,
  batch_id bigint,
  layer_key integer not null,
  op text not null check (op in ('add', 'update', 'delete')),
  global_id uuid,
  feature text not null,
  names text[] not null,
  digest bytea not null,
  code integer not null,
  message text not null,
  state text not null default 'open' check (state in ('open', 'applied', 'dismissed')),
  received_at timestamptz not null default now(),
  last_received_at timestamptz not null default now(),
  times_received integer not null default 1,
  closed_at timestamptz,
  closed_by text check (closed_by in ('client', 'administrator')),
  constraint rejected_edit_closed check ((state = 'open') = (closed_at is null))
);
comment on table syncline.rejected_edit is 'An edit that was received and refused, kept whole until it is applied or dismissed';
comment on column syncline.rejected_edit.batch_id is 'The upload that it last came with; null if that was undone as a whole, or came too late';
comment on column syncline.rejected_edit.feature is 'The edit as an Esri feature; what could not be read, as it was sent';
comment on column syncline.rejected_edit.names is 'The fields that it names, and ''geometry''';
comment on column syncline.rejected_edit.digest is 'SHA-256 of operation and feature: while it is open, the same edit is not kept twice';
create unique index rejected_edit_open on syncline.rejected_edit (replica_id, layer_key, digest) where state = 'open';
create index rejected_edit_service on syncline.rejected_edit (service_id, rejected_edit_id);

create table syncline.conflict (
  conflict_id bigint generated always as identity primary key,
  service_id integer not null references syncline.service on delete cascade,
  replica_id uuid not null,
  batch_id bigint not null,
  txn_id bigint not null,
  layer_key integer not null,
  global_id uuid not null,
  op text not null check (op in ('add', 'update', 'delete')),
  fields text[] not null,
  known_generation bigint not null,
  other_generation bigint not null,
  other_origin uuid,
  base text,
  server text,
  client text,
  found_at timestamptz not null default now(),
  restored_at timestamptz
);
comment on table syncline.conflict is 'An applied edit of an upload that overwrote what its client had not seen';
comment on column syncline.conflict.fields is 'The fields whose values were lost, and ''geometry''';
comment on column syncline.conflict.known_generation is 'What the client had seen';
comment on column syncline.conflict.other_generation is 'The newest change by somebody else that was overwritten …';
comment on column syncline.conflict.other_origin is '… and the replica it came from, if it came from one';
comment on column syncline.conflict.base is 'The feature as the client had seen it; null: it was not there';
comment on column syncline.conflict.server is 'The feature as it was overwritten; null: it was deleted';
comment on column syncline.conflict.client is 'The feature as the client sent it; null: it deleted it';
create index conflict_service on syncline.conflict (service_id, conflict_id);
create index conflict_replica on syncline.conflict (replica_id, conflict_id);

comment on column syncline.receipt.message is
  'Why the edit was refused; of one that was applied, the attributes that it named and the layer does not have, as JSON';
