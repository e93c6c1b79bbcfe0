-- Which fields the holders of replicas may not see.

alter table syncline.replica_policy add column hidden_fields text[] not null default '{}';
comment on table syncline.replica_policy is
  'What of a layer the holder of a replica might see in what it was given. A layer without an entry: all rows and fields';
comment on column syncline.replica_policy.hidden_fields is 'The names of the fields that it might not see';
