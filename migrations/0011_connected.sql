-- Edits of connected clients in the books, beside the uploads of replicas.

alter table syncline.batch
  alter column replica_id drop not null,
  alter column digest drop not null,
  alter column presented drop not null,
  alter column direction drop not null,
  add column service_id integer,
  add column operation text not null default 'synchronizeReplica',
  add column layers integer[] not null default '{}',
  add column user_name text not null default '',
  add column request_id text,
  add column changed_as text check (changed_as in ('update', 'delete')),
  add column n_changed bigint,
  add column n_not_kept bigint not null default 0;
update syncline.batch b set service_id = r.service_id from syncline.replica r where r.replica_id = b.replica_id;
update syncline.batch b set layers = array(select distinct k.layer_key from syncline.receipt k where k.batch_id = b.batch_id order by 1);
-- What no replica is known of any more, nobody can ask for.
delete from syncline.batch where service_id is null;
alter table syncline.batch
  alter column service_id set not null,
  alter column operation drop default,
  add constraint batch_of_replica check (replica_id is null or num_nonnulls(digest, presented, direction) = 3),
  add constraint batch_by_condition check (num_nonnulls(changed_as, n_changed) <> 1);
comment on table syncline.batch is 'The edits of one request: of an upload, recognised when it comes again, or of a connected client';
comment on column syncline.batch.replica_id is 'Whose upload it is; null: of a connected client';
comment on column syncline.batch.service_id is 'Without a foreign key, whose check would make all clients of a service lock one row';
comment on column syncline.batch.digest is
  'SHA-256 of the edits in a canonical form. Of a connected client, only if it named every feature by its global id: else nobody could tell a repetition';
comment on column syncline.batch.operation is 'The API''s name of the operation that brought the edits';
comment on column syncline.batch.layers is 'The keys of the layers that it edits';
comment on column syncline.batch.user_name is 'Who sent it; empty as long as there are no accounts';
comment on column syncline.batch.request_id is 'The id under which the log has the request, or that of its job';
comment on column syncline.batch.changed_as is
  'What became of the rows that a condition selected. They have no receipts of their own: the change table has each of them under txn_id';
comment on column syncline.batch.n_changed is 'How many rows that were';
comment on column syncline.batch.n_not_kept is 'How many of its refused edits were not kept, since there were too many already; each has a receipt';
-- Looking up the batch for each receipt took longer than writing it. Whoever deletes batches deletes their receipts.
alter table syncline.receipt drop constraint receipt_batch_id_fkey;
comment on column syncline.receipt.batch_id is 'Without a foreign key, whose check for each row would be most of the cost';
create index batch_service on syncline.batch (service_id, batch_id);
create index batch_repeated on syncline.batch (service_id, digest) where replica_id is null and digest is not null;

alter table syncline.rejected_edit
  alter column replica_id drop not null,
  add column operation text not null default 'synchronizeReplica',
  add column user_name text not null default '',
  add column request_id text,
  add column size_bytes bigint not null default 0;
update syncline.rejected_edit set size_bytes = octet_length(feature);
alter table syncline.rejected_edit alter column operation drop default, alter column size_bytes drop default;
comment on column syncline.rejected_edit.replica_id is 'Whose it is; null: of a connected client';
comment on column syncline.rejected_edit.operation is 'The API''s name of the operation that brought it';
comment on column syncline.rejected_edit.request_id is 'The id of the request that it last came with, if a connected client sent it';
comment on column syncline.rejected_edit.size_bytes is 'What it takes up, with the file of an attachment';
-- Nulls are never equal, and connected clients are all alike.
drop index syncline.rejected_edit_open;
create unique index rejected_edit_open on syncline.rejected_edit
  (coalesce(replica_id, '00000000-0000-0000-0000-000000000000'), layer_key, digest) where state = 'open';
create index rejected_edit_connected on syncline.rejected_edit (service_id, layer_key, global_id) where state = 'open' and replica_id is null;
