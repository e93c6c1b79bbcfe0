-- Edits of connected clients as jobs.

alter table syncline.job drop constraint job_operation_check;
alter table syncline.job add constraint job_operation_check check (operation in (
  'createReplica', 'synchronizeReplica', 'extractChanges',
  'applyEdits', 'deleteFeatures', 'calculate', 'truncate', 'append'));

alter table syncline.job add column layer_id integer;
comment on column syncline.job.layer_id is 'The layer that was asked, by its id within the service; null for the service itself';
